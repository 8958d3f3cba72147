// Means over ranges of rows, in time linear in rows and ranges however the ranges overlap.
#pragma once

#include <cstdint>

namespace egopack {

// Range s covers the rows first[s] ... last[s] - 1; one with last <= first is empty.
struct Ranges {
    const int64_t* first;
    const int64_t* last;
    int64_t count;
};

// out[s] = mean of the rows of x [rows, width] in range s; zeros where it is empty.
void range_means(const Ranges& ranges, const float* x, float* out, int64_t rows, int64_t width);

// grad_x[n] = sum over the ranges that cover row n of grad[s] / rows of s.
void range_means_backward(const Ranges& ranges, const float* grad, float* grad_x, int64_t rows, int64_t width);

}  // namespace egopack
