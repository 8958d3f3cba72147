// Means over ranges of rows, in time linear in rows and ranges however the ranges overlap.
#include <cstdint>
#include <vector>

#include "checks.h"
#include "parallel.h"

namespace egopack {
namespace {

// Range s covers the rows first[s] ... last[s] - 1; one with last <= first is empty.
struct Ranges {
    const int64_t* first;
    const int64_t* last;
    int64_t count;
};

// Call work(first column, columns) for kParts ranges of columns.
template <typename Work>
void in_columns(const Ranges& ranges, int64_t rows, int64_t width, Work work) {
    for_parts((rows + ranges.count) * width, [&](int64_t part) {
        const int64_t from = width * part / kParts, to = width * (part + 1) / kParts;
        if (from < to) work(from, to - from);
    });
}

// out[s] = mean of the rows of x [rows, width] in range s; zeros where it is empty.
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

// grad_x[n] = sum over the ranges that cover row n of grad[s] / rows of s.
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

Ranges read_ranges(const Table<const int64_t>& first, const Table<const int64_t>& last, int64_t rows) {
    check_length(last.size(), "last", first.size(), "first");
    const auto count = static_cast<int64_t>(first.size());
    for (int64_t s = 0; s < count; ++s)
        if (first.data()[s] < 0 || first.data()[s] > rows || last.data()[s] > rows)
            refuse("first, last: range " + std::to_string(s) + " is outside of the " + std::to_string(rows) + " rows");
    return {first.data(), last.data(), count};
}

void py_range_means(Table<const float> x, Table<const int64_t> first, Table<const int64_t> last, Table<float> out) {
    require(x.ndim() == 2 && out.ndim() == 2 && x.shape(1) == out.shape(1), "x, out: expected [N, F] and [S, F]");
    const auto rows = static_cast<int64_t>(x.shape(0)), width = static_cast<int64_t>(x.shape(1));
    const auto ranges = read_ranges(first, last, rows);
    check_length(out.shape(0), "out", first.size(), "first");
    nb::gil_scoped_release release;
    range_means(ranges, x.data(), out.data(), rows, width);
}

void py_range_means_backward(Table<const float> grad, Table<const int64_t> first, Table<const int64_t> last,
                             Table<float> grad_x) {
    require(grad.ndim() == 2 && grad_x.ndim() == 2 && grad.shape(1) == grad_x.shape(1),
            "grad, grad_x: expected [S, F] and [N, F]");
    const auto rows = static_cast<int64_t>(grad_x.shape(0)), width = static_cast<int64_t>(grad.shape(1));
    const auto ranges = read_ranges(first, last, rows);
    check_length(grad.shape(0), "grad", first.size(), "first");
    nb::gil_scoped_release release;
    range_means_backward(ranges, grad.data(), grad_x.data(), rows, width);
}

}  // namespace

void bind_pooling(nb::module_& m) {
    using namespace nanobind::literals;
    m.def("range_means", &py_range_means, "x"_a, "first"_a, "last"_a, "out"_a.noconvert(),
          "out[s] = mean of the rows first[s] ... last[s] - 1 of x, zeros where there are none; contiguous float32.");
    m.def("range_means_backward", &py_range_means_backward, "grad"_a, "first"_a, "last"_a,
          "grad_x"_a.noconvert(), "Gradient of range_means with respect to x, written in place.");
}

}  // namespace egopack
