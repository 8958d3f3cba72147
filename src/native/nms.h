// Non-maximum suppression of temporal segments. Free of Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace egopack {

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

Kept suppress(const Segments& segments, const std::vector<float>& scores, const std::vector<int64_t>& labels,
              const NmsSettings& settings);

// Mean of all segments with IoU >= threshold, weighted by score * IoU, for each kept row: [start, end] pairs.
std::vector<float> vote(const Segments& segments, const std::vector<float>& scores, const std::vector<int64_t>& kept,
                        float threshold);

}  // namespace egopack
