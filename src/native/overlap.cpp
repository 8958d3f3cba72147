// Predicted against ground-truth segments, for the detection metrics.
//
// A group is one class in one video. Ground truth is sorted by group: group g owns rows first[g] to first[g + 1].
// Predictions come best first and name their group; all of them belong to a group with ground truth.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "arrays.h"
#include "checks.h"

namespace egopack {
namespace {

struct Overlaps {
    std::vector<double> start, end;               // predictions
    std::vector<int64_t> group;                   // of each prediction
    std::vector<double> truth_start, truth_end;   // ground truth
    std::vector<int64_t> first;                   // [groups + 1]
};

// 0 when the two share no time, also for two empty segments at the same place.
double iou(const Overlaps& in, size_t prediction, size_t truth) {
    const double start = in.start[prediction], end = in.end[prediction];
    const double shared = std::min(end, in.truth_end[truth]) - std::max(start, in.truth_start[truth]);
    if (shared <= 0.0) return 0.0;
    return shared / ((in.truth_end[truth] - in.truth_start[truth]) + (end - start) - shared);
}

// 1 where a prediction matches a ground truth that no better one has taken: [thresholds, predictions].
std::vector<uint8_t> match(const Overlaps& in, const std::vector<double>& thresholds) {
    const size_t predictions = in.start.size(), truths = in.truth_start.size();
    std::vector<uint8_t> hits(thresholds.size() * predictions, 0), taken(thresholds.size() * truths, 0);
    std::vector<double> overlap;
    for (size_t p = 0; p < predictions; ++p) {
        const size_t from = in.first[in.group[p]], to = in.first[in.group[p] + 1];
        overlap.resize(to - from);
        for (size_t g = from; g < to; ++g) overlap[g - from] = iou(in, p, g);
        for (size_t t = 0; t < thresholds.size(); ++t) {
            size_t best = truths;  // the free ground truth of highest IoU, of equal ones the first
            for (size_t g = from; g < to; ++g) {
                if (overlap[g - from] < thresholds[t] || taken[t * truths + g]) continue;
                if (best == truths || overlap[g - from] > overlap[best - from]) best = g;
            }
            if (best == truths) continue;
            taken[t * truths + best] = 1;
            hits[t * predictions + p] = 1;
        }
    }
    return hits;
}

// Highest IoU of each ground truth with the top[k] * n best predictions of its group, n its ground truths: [top, truths].
std::vector<double> best_overlap(const Overlaps& in, const std::vector<int64_t>& top) {
    const size_t truths = in.truth_start.size();
    std::vector<double> best(top.size() * truths, 0.0);
    std::vector<int64_t> seen(in.first.size() - 1, 0);
    const int64_t most = top.empty() ? 0 : *std::max_element(top.begin(), top.end());
    for (size_t p = 0; p < in.start.size(); ++p) {
        const size_t group = in.group[p], from = in.first[group], to = in.first[group + 1];
        const int64_t rank = seen[group]++, count = to - from;
        if (rank >= most * count) continue;
        for (size_t g = from; g < to; ++g) {
            const double overlap = iou(in, p, g);
            for (size_t k = 0; k < top.size(); ++k)
                if (rank < top[k] * count) best[k * truths + g] = std::max(best[k * truths + g], overlap);
        }
    }
    return best;
}

Overlaps read_overlaps(nb::handle segments, nb::handle group, nb::handle truth, nb::handle first) {
    Overlaps in;
    read_segments(segments, "segments", in.start, in.end);
    read_segments(truth, "truth", in.truth_start, in.truth_end);
    in.group = read_vector<int64_t>(group, "group");
    in.first = read_vector<int64_t>(first, "first");
    check_length(in.group.size(), "group", in.start.size(), "segments");
    require(!in.first.empty() && in.first.front() == 0 &&
                in.first.back() == static_cast<int64_t>(in.truth_start.size()),
            "first: must run from 0 to the number of ground truths");
    for (size_t g = 1; g < in.first.size(); ++g) require(in.first[g - 1] <= in.first[g], "first: must not fall");
    for (const int64_t g : in.group)
        if (g < 0 || g + 1 >= static_cast<int64_t>(in.first.size())) refuse("group: no group " + std::to_string(g));
    return in;
}

auto py_match(nb::handle segments, nb::handle group, nb::handle truth, nb::handle first, nb::handle tiou) {
    const auto in = read_overlaps(segments, group, truth, first);
    const auto thresholds = read_vector<double>(tiou, "tiou");
    std::vector<uint8_t> hits;
    {
        nb::gil_scoped_release release;
        hits = match(in, thresholds);
    }
    return to_numpy(std::move(hits), {thresholds.size(), in.start.size()});
}

auto py_best_overlap(nb::handle segments, nb::handle group, nb::handle truth, nb::handle first, nb::handle top) {
    const auto in = read_overlaps(segments, group, truth, first);
    const auto ranks = read_vector<int64_t>(top, "top");
    std::vector<double> best;
    {
        nb::gil_scoped_release release;
        best = best_overlap(in, ranks);
    }
    return to_numpy(std::move(best), {ranks.size(), in.truth_start.size()});
}

}  // namespace

void bind_overlap(nb::module_& m) {
    using namespace nanobind::literals;
    m.def("match", &py_match, "segments"_a, "group"_a, "truth"_a, "first"_a, "tiou"_a,
          "1 where a prediction, best first, takes a free ground truth with IoU >= tiou: uint8 [T, P].");
    m.def("best_overlap", &py_best_overlap, "segments"_a, "group"_a, "truth"_a, "first"_a, "top"_a,
          "Highest IoU of each ground truth with the top * n best predictions of its group: float64 [K, G].");
}

}  // namespace egopack
