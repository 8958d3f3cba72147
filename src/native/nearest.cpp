// The search for the nearest prototypes, and what their rows receive on the way back.
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "checks.h"
#include "parallel.h"

namespace egopack {
namespace {

struct Places {
    const int64_t* index;  // [count, k], each in 0 ... rows - 1
    const float* weight;
    int64_t count, k, rows;
};

constexpr int64_t kBlock = 32;  // of a row, passed over at once where nothing in it is small enough

EGOPACK_WIDE bool any_below(const float* x, int64_t count, float bound) {
    int found = 0;
    for (int64_t i = 0; i < count; ++i) found |= x[i] < bound;
    return found != 0;
}

// Put one more into the first `filled` of the smallest so far, the last of which gives way where there is no room.
void insert(float value, int64_t place, float* values, int64_t* index, int64_t filled, int64_t k) {
    int64_t at = filled < k ? filled : k - 1;
    for (; at > 0 && value < values[at - 1]; --at) {
        values[at] = values[at - 1];
        index[at] = index[at - 1];
    }
    values[at] = value;
    index[at] = place;
}

void smallest_of_row(const float* x, int64_t width, float* values, int64_t* index, int64_t k) {
    for (int64_t i = 0; i < k; ++i)
        insert(std::isnan(x[i]) ? std::numeric_limits<float>::infinity() : x[i], i, values, index, i, k);
    for (int64_t from = k; from < width; from += kBlock) {
        const int64_t to = from + kBlock < width ? from + kBlock : width;
        if (!any_below(x + from, to - from, values[k - 1])) continue;
        for (int64_t i = from; i < to; ++i)
            if (x[i] < values[k - 1]) insert(x[i], i, values, index, k, k);
    }
}

EGOPACK_WIDE void add_scaled(const float* row, float scale, float* onto, int64_t width) {
    for (int64_t c = 0; c < width; ++c) onto[c] += scale * row[c];
}

// values, index [rows, k]: the k smallest of each row of x [rows, width], smallest first and of equal ones the earlier
// first; NaN counts as infinity. k <= width.
void smallest(const float* x, int64_t rows, int64_t width, float* values, int64_t* index, int64_t k) {
    for_parts(rows * width, [&](int64_t part) {
        for (int64_t n = rows * part / kParts; n < rows * (part + 1) / kParts; ++n)
            smallest_of_row(x + n * width, width, values + n * k, index + n * k, k);
    });
}

// grad_x[p] = sum over the places (n, j) with index[n, j] = p of grad[n] * weight[n, j]; a null weight is 1 / k for all.
// Places sorted by the row they name, so that each row is summed by one thread, in the order of the places.
void scatter_rows(const Places& places, const float* grad, float* grad_x, int64_t width) {
    const int64_t total = places.count * places.k;
    std::vector<int64_t> first(places.rows + 1, 0), sorted(total);
    for (int64_t i = 0; i < total; ++i) ++first[places.index[i] + 1];
    for (int64_t p = 0; p < places.rows; ++p) first[p + 1] += first[p];
    std::vector<int64_t> next(first.begin(), first.end() - 1);
    for (int64_t i = 0; i < total; ++i) sorted[next[places.index[i]]++] = i;
    const float share = places.k ? 1.0f / static_cast<float>(places.k) : 0.0f;
    for_parts(total * width, [&](int64_t part) {
        // rows whose places begin in this part of all places
        const int64_t low = total * part / kParts, high = part + 1 == kParts ? total + 1 : total * (part + 1) / kParts;
        for (int64_t p = 0; p < places.rows; ++p) {
            if (first[p] < low || first[p] >= high) continue;
            float* onto = grad_x + p * width;
            std::fill(onto, onto + width, 0.0f);
            for (int64_t at = first[p]; at < first[p + 1]; ++at) {
                const int64_t i = sorted[at];
                add_scaled(grad + i / places.k * width, places.weight ? places.weight[i] : share, onto, width);
            }
        }
    });
}

void py_smallest(Table<const float> x, Table<float> values, Table<int64_t> index) {
    require(x.ndim() == 2 && values.ndim() == 2 && index.ndim() == 2, "x, values, index: expected [N, P], [N, k], [N, k]");
    require(values.shape(0) == x.shape(0) && index.shape(0) == x.shape(0) && index.shape(1) == values.shape(1),
            "values, index: expected [N, k] both, with a row for each of x");
    require(values.shape(1) <= x.shape(1), "values: k is larger than a row of x");
    if (!values.shape(1)) return;
    nb::gil_scoped_release release;
    smallest(x.data(), x.shape(0), x.shape(1), values.data(), index.data(), values.shape(1));
}

void py_scatter_rows(Table<const float> grad, Table<const int64_t> index, std::optional<Table<const float>> weight,
                     Table<float> grad_x) {
    require(grad.ndim() == 2 && grad_x.ndim() == 2 && grad.shape(1) == grad_x.shape(1),
            "grad, grad_x: expected [N, F] and [P, F]");
    require(index.ndim() == 2 && index.shape(0) == grad.shape(0), "index: expected [N, k]");
    if (weight) check_length(weight->size(), "weight", index.size(), "index");
    const auto rows = static_cast<int64_t>(grad_x.shape(0));
    for (size_t i = 0; i < index.size(); ++i)
        if (index.data()[i] < 0 || index.data()[i] >= rows) refuse("index: no row " + std::to_string(index.data()[i]));
    nb::gil_scoped_release release;
    scatter_rows({index.data(), weight ? weight->data() : nullptr, static_cast<int64_t>(index.shape(0)),
                  static_cast<int64_t>(index.shape(1)), rows},
                 grad.data(), grad_x.data(), grad.shape(1));
}

}  // namespace

void bind_nearest(nb::module_& m) {
    using namespace nanobind::literals;
    m.def("smallest", &py_smallest, "x"_a, "values"_a.noconvert(), "index"_a.noconvert(),
          "The k smallest of each row of x, smallest first, of equal ones the earlier first; contiguous [N, k].");
    m.def("scatter_rows", &py_scatter_rows, "grad"_a, "index"_a, "weight"_a.none(), "grad_x"_a.noconvert(),
          "grad_x[p] = sum of grad[n] * weight[n, j] (or / k) over the places [n, j] of index that hold p.");
}

}  // namespace egopack
