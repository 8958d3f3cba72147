// Predicted against ground-truth segments, for the detection metrics. Free of Python.
//
// A group is one class in one video. Ground truth is sorted by group: group g owns rows first[g] to first[g + 1].
// Predictions come best first and name their group; all of them belong to a group with ground truth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace egopack {

struct Overlaps {
    std::vector<double> start, end;               // predictions
    std::vector<int64_t> group;                   // of each prediction
    std::vector<double> truth_start, truth_end;   // ground truth
    std::vector<int64_t> first;                   // [groups + 1]
};

// 1 where a prediction matches a ground truth that no better one has taken: [thresholds, predictions].
std::vector<uint8_t> match(const Overlaps& in, const std::vector<double>& thresholds);

// Highest IoU of each ground truth with the top[k] * n best predictions of its group, n its ground truths: [top, truths].
std::vector<double> best_overlap(const Overlaps& in, const std::vector<int64_t>& top);

}  // namespace egopack
