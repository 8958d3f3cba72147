// Dropout whose mask is a function of a seed and the place, so that nothing is kept for the backward pass.
#pragma once

#include <cstdint>

namespace egopack {

// out[n] = x[n] * scale where a hash of (seed, n) is at least `threshold` of 2^32, else 0.
void dropout(const float* x, float* out, int64_t count, uint64_t seed, uint32_t threshold, float scale);

}  // namespace egopack
