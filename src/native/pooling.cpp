#include "pooling.h"

#include <vector>

#include "parallel.h"

namespace egopack {

namespace {

// Call work(first column, columns) for kParts ranges of columns.
template <typename Work>
void in_columns(const Ranges& ranges, int64_t rows, int64_t width, Work work) {
    for_parts((rows + ranges.count) * width, [&](int64_t part) {
        const int64_t from = width * part / kParts, to = width * (part + 1) / kParts;
        if (from < to) work(from, to - from);
    });
}

}  // namespace

// Running sums in double precision: the difference of two of them is exact far beyond what float32 holds.
void range_means(const Ranges& ranges, const float* x, float* out, int64_t rows, int64_t width) {
    in_columns(ranges, rows, width, [&](int64_t from, int64_t columns) {
        std::vector<double> sums((rows + 1) * columns, 0.0);
        for (int64_t n = 0; n < rows; ++n) {
            const double* before = sums.data() + n * columns;
            double* after = sums.data() + (n + 1) * columns;
            const float* row = x + n * width + from;
            for (int64_t c = 0; c < columns; ++c) after[c] = before[c] + row[c];
        }
        for (int64_t s = 0; s < ranges.count; ++s) {
            const int64_t first = ranges.first[s], last = ranges.last[s];
            const double share = last > first ? 1.0 / static_cast<double>(last - first) : 0.0;
            const double* low = sums.data() + first * columns;
            const double* high = sums.data() + (last > first ? last : first) * columns;
            float* mean = out + s * width + from;
            for (int64_t c = 0; c < columns; ++c) mean[c] = static_cast<float>((high[c] - low[c]) * share);
        }
    });
}

void range_means_backward(const Ranges& ranges, const float* grad, float* grad_x, int64_t rows, int64_t width) {
    in_columns(ranges, rows, width, [&](int64_t from, int64_t columns) {
        std::vector<double> changes((rows + 1) * columns, 0.0);  // of the gradient from one row to the next
        for (int64_t s = 0; s < ranges.count; ++s) {
            const int64_t first = ranges.first[s], last = ranges.last[s];
            if (last <= first) continue;
            const double share = 1.0 / static_cast<double>(last - first);
            const float* own = grad + s * width + from;
            double* begins = changes.data() + first * columns;
            double* ends = changes.data() + last * columns;
            for (int64_t c = 0; c < columns; ++c) {
                begins[c] += own[c] * share;
                ends[c] -= own[c] * share;
            }
        }
        std::vector<double> now(columns, 0.0);
        for (int64_t n = 0; n < rows; ++n) {
            const double* change = changes.data() + n * columns;
            float* row = grad_x + n * width + from;
            for (int64_t c = 0; c < columns; ++c) row[c] = static_cast<float>(now[c] += change[c]);
        }
    });
}

}  // namespace egopack
