// The search for the nearest prototypes, and what their rows receive on the way back.
#pragma once

#include <cstdint>

namespace egopack {

// values, index [rows, k]: the k smallest of each row of x [rows, width], smallest first and of equal ones the earlier
// first; NaN counts as infinity. k <= width.
void smallest(const float* x, int64_t rows, int64_t width, float* values, int64_t* index, int64_t k);

// grad_x[p] = sum over the places (n, j) with index[n, j] = p of grad[n] * weight[n, j]; a null weight is 1 / k for all.
struct Places {
    const int64_t* index;  // [count, k], each in 0 ... rows - 1
    const float* weight;
    int64_t count, k, rows;
};
void scatter_rows(const Places& places, const float* grad, float* grad_x, int64_t width);

}  // namespace egopack
