// Non-maximum suppression of temporal segments.
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "arrays.h"
#include "checks.h"

namespace egopack {
namespace {

struct Segments {
    std::vector<float> start, end;  // seconds, end >= start
    size_t size() const { return start.size(); }
};

struct NmsSettings {
    bool gaussian;        // decay by exp(-IoU^2 / sigma); otherwise suppress IoU >= iou_threshold
    float iou_threshold;
    float sigma;
    float min_score;      // what falls below it is dropped
    size_t max_segments;  // over all classes
    bool per_class;
};

struct Kept {
    std::vector<int64_t> index;  // rows of the input, best first
    std::vector<float> score;    // decayed
};

constexpr float kLength = 1e-6f;  // added to every length, so that an empty segment still overlaps itself

struct Box {
    float start, end;
};

// Length of the intersection; not positive when the two are apart.
float intersection(Box a, Box b) { return std::min(a.end, b.end) - std::max(a.start, b.start) + kLength; }

float iou(Box a, Box b, float shared) {
    return shared / ((a.end - a.start + kLength) + (b.end - b.start + kLength) - shared);
}

struct Candidate {
    float score;       // an upper bound until `decayed` says that all kept segments of the class were seen
    uint32_t row;
    uint32_t decayed;  // how many of its class's kept segments have decayed it so far
};

// Heap order: the highest score on top, of equal scores the earliest row.
bool behind(const Candidate& a, const Candidate& b) {
    return a.score < b.score || (a.score == b.score && a.row > b.row);
}

// Class number of every row, by label; all 0 when classes do not count.
std::vector<uint32_t> number_classes(const std::vector<int64_t>& labels, bool per_class) {
    std::vector<uint32_t> classes(labels.size(), 0);
    if (!per_class) return classes;
    std::vector<int64_t> distinct(labels);
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    for (size_t i = 0; i < labels.size(); ++i)
        classes[i] = std::lower_bound(distinct.begin(), distinct.end(), labels[i]) - distinct.begin();
    return classes;
}

// Let the kept segments that `candidate` has not met yet decay it, in the order they were kept. False: it is dropped.
bool catch_up(Candidate& candidate, Box box, const std::vector<Box>& kept, const NmsSettings& settings) {
    for (; candidate.decayed < kept.size(); ++candidate.decayed) {
        const Box other = kept[candidate.decayed];
        const float shared = intersection(box, other);
        if (shared <= 0.0f) continue;
        const float overlap = iou(other, box, shared);
        if (settings.gaussian) {
            candidate.score *= std::exp(-(overlap * overlap) / settings.sigma);
            if (candidate.score < settings.min_score) return false;
        } else if (overlap >= settings.iou_threshold) {
            return false;
        }
    }
    return true;
}

// One heap over all classes. Scores only ever fall, so a candidate's last known score bounds its true one: the top of the
// heap is brought up to date, and if it is still the top it is the best of all that remain. Segments that never come
// near the top are never compared, and the search ends with the last segment wanted.
Kept suppress(const Segments& segments, const std::vector<float>& scores, const std::vector<int64_t>& labels,
              const NmsSettings& settings) {
    const auto classes = number_classes(labels, settings.per_class);
    const uint32_t count = classes.empty() ? 0 : *std::max_element(classes.begin(), classes.end()) + 1;
    std::vector<std::vector<Box>> kept(count);
    std::vector<Candidate> heap;
    heap.reserve(scores.size());
    for (size_t row = 0; row < scores.size(); ++row)
        if (scores[row] >= settings.min_score) heap.push_back({scores[row], static_cast<uint32_t>(row), 0});
    std::make_heap(heap.begin(), heap.end(), behind);

    Kept result;
    while (!heap.empty() && result.index.size() < settings.max_segments) {
        std::pop_heap(heap.begin(), heap.end(), behind);
        Candidate best = heap.back();
        heap.pop_back();
        const Box box{segments.start[best.row], segments.end[best.row]};
        auto& rivals = kept[classes[best.row]];
        if (!catch_up(best, box, rivals, settings)) continue;
        if (!heap.empty() && behind(best, heap.front())) {
            heap.push_back(best);
            std::push_heap(heap.begin(), heap.end(), behind);
            continue;
        }
        rivals.push_back(box);
        result.index.push_back(best.row);
        result.score.push_back(best.score);
    }
    return result;
}

// Mean of all segments with IoU >= threshold, weighted by score * IoU, for each kept row: [start, end] pairs.
std::vector<float> vote(const Segments& segments, const std::vector<float>& scores, const std::vector<int64_t>& kept,
                        float threshold) {
    std::vector<uint32_t> order(segments.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return segments.start[a] < segments.start[b]; });
    std::vector<float> starts(order.size());
    for (size_t i = 0; i < order.size(); ++i) starts[i] = segments.start[order[i]];

    std::vector<float> voted(2 * kept.size());
    for (size_t i = 0; i < kept.size(); ++i) {
        const Box box{segments.start[kept[i]], segments.end[kept[i]]};
        // IoU >= t bounds how far apart two starts can be: (1 - t) * length after, (1 - t) * length / t before.
        const double reach = (1.0 - threshold) * (static_cast<double>(box.end) - box.start) + 1e-3 / threshold;
        const double slack = 1e-5 * std::abs(static_cast<double>(box.start));
        auto at = std::lower_bound(starts.begin(), starts.end(), static_cast<float>(box.start - reach / threshold - slack));
        double total = 0.0, start = 0.0, end = 0.0;
        for (; at != starts.end() && *at <= box.start + reach + slack; ++at) {
            const uint32_t row = order[at - starts.begin()];
            const Box other{segments.start[row], segments.end[row]};
            const float shared = intersection(box, other);
            if (shared <= 0.0f) continue;
            const float overlap = iou(box, other, shared);
            if (overlap < threshold) continue;
            const double weight = static_cast<double>(scores[row]) * overlap;
            total += weight;
            start += weight * other.start;
            end += weight * other.end;
        }
        voted[2 * i] = total > 0.0 ? static_cast<float>(start / total) : box.start;
        voted[2 * i + 1] = total > 0.0 ? static_cast<float>(end / total) : box.end;
    }
    return voted;
}

NmsSettings check_settings(const std::string& method, double iou_threshold, double sigma, double min_score,
                           int64_t max_segments, bool per_class) {
    require(method == "gaussian" || method == "hard", "method: expected 'gaussian' or 'hard', got '" + method + "'");
    const bool gaussian = method == "gaussian";
    require(gaussian || iou_threshold > 0.0, "iou_threshold: must be positive, got " + std::to_string(iou_threshold));
    require(!gaussian || (sigma > 0.0 && std::isfinite(sigma)),
            "sigma: must be positive and finite, got " + std::to_string(sigma));
    require(min_score >= 0.0, "min_score: must not be negative, got " + std::to_string(min_score));
    require(max_segments >= 0, "max_segments: must not be negative, got " + std::to_string(max_segments));
    return {gaussian,
            static_cast<float>(iou_threshold),
            static_cast<float>(sigma),
            static_cast<float>(min_score),
            static_cast<size_t>(max_segments),
            per_class};
}

nb::tuple py_nms(nb::handle segments, nb::handle scores, nb::handle labels, const std::string& method,
                 double iou_threshold, double sigma, double min_score, int64_t max_segments, bool per_class) {
    const auto settings = check_settings(method, iou_threshold, sigma, min_score, max_segments, per_class);
    Segments boxes;
    read_segments(segments, "segments", boxes.start, boxes.end);
    const auto score = read_vector<float>(scores, "scores");
    const auto label = read_vector<int64_t>(labels, "labels");
    check_length(score.size(), "scores", boxes.size(), "segments");
    check_length(label.size(), "labels", boxes.size(), "segments");
    check_finite(score, "scores");
    require(boxes.size() < std::numeric_limits<uint32_t>::max(), "segments: too many rows");
    Kept kept;
    {
        nb::gil_scoped_release release;
        kept = suppress(boxes, score, label, settings);
    }
    const size_t count = kept.index.size();
    return nb::make_tuple(to_numpy(std::move(kept.index), {count}), to_numpy(std::move(kept.score), {count}));
}

auto py_vote(nb::handle segments, nb::handle scores, nb::handle kept, double threshold) {
    require(threshold > 0.0 && threshold <= 1.0, "threshold: must be in (0, 1], got " + std::to_string(threshold));
    Segments boxes;
    read_segments(segments, "segments", boxes.start, boxes.end);
    const auto score = read_vector<float>(scores, "scores");
    const auto rows = read_vector<int64_t>(kept, "kept");
    check_length(score.size(), "scores", boxes.size(), "segments");
    check_finite(score, "scores");
    for (const int64_t row : rows)
        if (row < 0 || row >= static_cast<int64_t>(boxes.size())) refuse("kept: no row " + std::to_string(row));
    std::vector<float> voted;
    {
        nb::gil_scoped_release release;
        voted = vote(boxes, score, rows, static_cast<float>(threshold));
    }
    return to_numpy(std::move(voted), {rows.size(), 2});
}

}  // namespace

void bind_nms(nb::module_& m) {
    using namespace nanobind::literals;
    m.def("nms", &py_nms, "segments"_a, "scores"_a, "labels"_a, "method"_a, "iou_threshold"_a, "sigma"_a,
          "min_score"_a, "max_segments"_a, "per_class"_a,
          "Kept rows (int64, best first) and their decayed scores (float32); ties go to the earlier row.");
    m.def("vote", &py_vote, "segments"_a, "scores"_a, "kept"_a, "threshold"_a,
          "Each kept row's mean over all segments with IoU >= threshold, weighted by score * IoU: float32 [M, 2].");
}

}  // namespace egopack
