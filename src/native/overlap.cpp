#include "overlap.h"

#include <algorithm>

namespace egopack {
namespace {

// 0 when the two share no time, also for two empty segments at the same place.
double iou(const Overlaps& in, size_t prediction, size_t truth) {
    const double start = in.start[prediction], end = in.end[prediction];
    const double shared = std::min(end, in.truth_end[truth]) - std::max(start, in.truth_start[truth]);
    if (shared <= 0.0) return 0.0;
    return shared / ((in.truth_end[truth] - in.truth_start[truth]) + (end - start) - shared);
}

}  // namespace

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

}  // namespace egopack
