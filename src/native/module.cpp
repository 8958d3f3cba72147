// The Python face of the compiled code: arguments are checked here, the GIL is released around the work.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cmath>
#include <limits>
#include <optional>

#include "aggregate.h"
#include "arrays.h"
#include "dropout.h"
#include "nearest.h"
#include "nms.h"
#include "overlap.h"
#include "pooling.h"

namespace egopack {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw nb::value_error(message.c_str()); }

// For settings; a check of every row calls refuse() itself, so that its message is only written when needed.
void require(bool holds, const std::string& message) {
    if (!holds) refuse(message);
}

template <typename T>
void check_finite(const std::vector<T>& values, const std::string& name) {
    for (size_t i = 0; i < values.size(); ++i)
        if (!std::isfinite(values[i]))
            refuse(name + ": row " + std::to_string(i) + " is " + std::to_string(values[i]));
}

template <typename T>
void read_segments(nb::handle value, const std::string& name, std::vector<T>& start, std::vector<T>& end) {
    const auto array = checked<T>(value, name, 2);
    start = read_column<T>(array, 0);
    end = read_column<T>(array, 1);
    check_finite(start, name);
    check_finite(end, name);
    for (size_t i = 0; i < start.size(); ++i)
        if (start[i] > end[i])
            refuse(name + ": row " + std::to_string(i) + " ends before it starts: [" + std::to_string(start[i]) + ", " +
                   std::to_string(end[i]) + "]");
}

NmsSettings check_settings(const std::string& method, double iou_threshold, double sigma, double min_score,
                           int64_t max_segments, bool per_class) {
    require(method == "gaussian" || method == "hard", "method: expected 'gaussian' or 'hard', got '" + method + "'");
    const bool gaussian = method == "gaussian";
    require(gaussian || iou_threshold > 0.0, "iou_threshold: must be positive, got " + std::to_string(iou_threshold));
    require(!gaussian || (sigma > 0.0 && std::isfinite(sigma)),
            "sigma: must be positive and finite, got " + std::to_string(sigma));
    require(min_score >= 0.0, "min_score: must not be negative, got " + std::to_string(min_score));
    require(max_segments >= 0, "max_segments: must not be negative, got " + std::to_string(max_segments));
    return {gaussian,
            static_cast<float>(iou_threshold),
            static_cast<float>(sigma),
            static_cast<float>(min_score),
            static_cast<size_t>(max_segments),
            per_class};
}

nb::tuple nms(nb::handle segments, nb::handle scores, nb::handle labels, const std::string& method,
              double iou_threshold, double sigma, double min_score, int64_t max_segments, bool per_class) {
    const auto settings = check_settings(method, iou_threshold, sigma, min_score, max_segments, per_class);
    Segments boxes;
    read_segments(segments, "segments", boxes.start, boxes.end);
    const auto score = read_vector<float>(scores, "scores");
    const auto label = read_vector<int64_t>(labels, "labels");
    check_length(score.size(), "scores", boxes.size(), "segments");
    check_length(label.size(), "labels", boxes.size(), "segments");
    check_finite(score, "scores");
    require(boxes.size() < std::numeric_limits<uint32_t>::max(), "segments: too many rows");
    Kept kept;
    {
        nb::gil_scoped_release release;
        kept = suppress(boxes, score, label, settings);
    }
    const size_t count = kept.index.size();
    return nb::make_tuple(to_numpy(std::move(kept.index), {count}), to_numpy(std::move(kept.score), {count}));
}

auto segment_voting(nb::handle segments, nb::handle scores, nb::handle kept, double threshold) {
    require(threshold > 0.0 && threshold <= 1.0, "threshold: must be in (0, 1], got " + std::to_string(threshold));
    Segments boxes;
    read_segments(segments, "segments", boxes.start, boxes.end);
    const auto score = read_vector<float>(scores, "scores");
    const auto rows = read_vector<int64_t>(kept, "kept");
    check_length(score.size(), "scores", boxes.size(), "segments");
    check_finite(score, "scores");
    for (const int64_t row : rows)
        if (row < 0 || row >= static_cast<int64_t>(boxes.size())) refuse("kept: no row " + std::to_string(row));
    std::vector<float> voted;
    {
        nb::gil_scoped_release release;
        voted = vote(boxes, score, rows, static_cast<float>(threshold));
    }
    return to_numpy(std::move(voted), {rows.size(), 2});
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

auto match_truth(nb::handle segments, nb::handle group, nb::handle truth, nb::handle first, nb::handle tiou) {
    const auto in = read_overlaps(segments, group, truth, first);
    const auto thresholds = read_vector<double>(tiou, "tiou");
    std::vector<uint8_t> hits;
    {
        nb::gil_scoped_release release;
        hits = match(in, thresholds);
    }
    return to_numpy(std::move(hits), {thresholds.size(), in.start.size()});
}

auto truth_overlap(nb::handle segments, nb::handle group, nb::handle truth, nb::handle first, nb::handle top) {
    const auto in = read_overlaps(segments, group, truth, first);
    const auto ranks = read_vector<int64_t>(top, "top");
    std::vector<double> best;
    {
        nb::gil_scoped_release release;
        best = best_overlap(in, ranks);
    }
    return to_numpy(std::move(best), {ranks.size(), in.truth_start.size()});
}

template <typename T>
using Table = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

EdgeList read_edges(const Table<const int64_t>& row_start, const Table<const int64_t>& source, const Table<const float>& sign,
                    const Table<const int64_t>& distance, int64_t nodes, int64_t distances, bool is_signed, bool mean) {
    require(row_start.size() == static_cast<size_t>(nodes) + 1, "row_start: expected one more than the nodes");
    check_length(sign.size(), "sign", source.size(), "source");
    check_length(distance.size(), "distance", source.size(), "source");
    require(row_start.data()[nodes] == static_cast<int64_t>(source.size()), "row_start: must end at the number of edges");
    return {row_start.data(), source.data(), sign.data(), distance.data(), nodes, distances, is_signed, mean};
}

void aggregate_edges(Table<const int64_t> row_start, Table<const int64_t> source, Table<const float> sign,
                     Table<const int64_t> distance, Table<const float> message, std::optional<Table<const float>> gate,
                     Table<float> out, bool is_signed, bool mean) {
    require(message.ndim() == 2 && out.ndim() == 2 && message.size() == out.size(), "message, out: expected [N, H] both");
    const int64_t width = message.shape(1), nodes = message.shape(0);
    require(!gate || (gate->ndim() == 2 && gate->shape(1) == message.shape(1)), "gate: expected [U, H]");
    const auto edges = read_edges(row_start, source, sign, distance, nodes, gate ? gate->shape(0) : 0, is_signed, mean);
    nb::gil_scoped_release release;
    aggregate(edges, message.data(), gate ? gate->data() : nullptr, out.data(), width);
}

void aggregate_edges_backward(Table<const int64_t> row_start, Table<const int64_t> source, Table<const float> sign,
                              Table<const int64_t> distance, Table<const float> grad, Table<const float> message,
                              std::optional<Table<const float>> gate, Table<float> grad_message,
                              std::optional<Table<float>> grad_gate, bool is_signed, bool mean) {
    require(message.ndim() == 2 && grad.size() == message.size() && grad_message.size() == message.size(),
            "grad, message, grad_message: expected [N, H] each");
    require(gate.has_value() == grad_gate.has_value() && (!gate || gate->size() == grad_gate->size()),
            "gate, grad_gate: expected [U, H] both or neither");
    const auto edges = read_edges(row_start, source, sign, distance, message.shape(0), gate ? gate->shape(0) : 0, is_signed, mean);
    nb::gil_scoped_release release;
    aggregate_backward(edges, grad.data(), message.data(), gate ? gate->data() : nullptr, grad_message.data(),
                       grad_gate ? grad_gate->data() : nullptr, message.shape(1));
}

using Flat = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

void drop_out(nb::ndarray<const float, nb::c_contig, nb::device::cpu> x, Flat out,
              nb::ndarray<const int64_t, nb::c_contig, nb::device::cpu> seed, double p) {
    check_length(out.size(), "out", x.size(), "x");
    require(seed.size() == 1, "seed: expected one number");
    require(p >= 0.0 && p < 1.0, "p: must be in [0, 1), got " + std::to_string(p));
    nb::gil_scoped_release release;
    dropout(x.data(), out.data(), static_cast<int64_t>(x.size()), static_cast<uint64_t>(seed.data()[0]),
            static_cast<uint32_t>(p * 4294967296.0), static_cast<float>(1.0 / (1.0 - p)));
}

Ranges read_ranges(const Table<const int64_t>& first, const Table<const int64_t>& last, int64_t rows) {
    check_length(last.size(), "last", first.size(), "first");
    const auto count = static_cast<int64_t>(first.size());
    for (int64_t s = 0; s < count; ++s)
        if (first.data()[s] < 0 || first.data()[s] > rows || last.data()[s] > rows)
            refuse("first, last: range " + std::to_string(s) + " is outside of the " + std::to_string(rows) + " rows");
    return {first.data(), last.data(), count};
}

void mean_of_ranges(Table<const float> x, Table<const int64_t> first, Table<const int64_t> last, Table<float> out) {
    require(x.ndim() == 2 && out.ndim() == 2 && x.shape(1) == out.shape(1), "x, out: expected [N, F] and [S, F]");
    const auto rows = static_cast<int64_t>(x.shape(0)), width = static_cast<int64_t>(x.shape(1));
    const auto ranges = read_ranges(first, last, rows);
    check_length(out.shape(0), "out", first.size(), "first");
    nb::gil_scoped_release release;
    range_means(ranges, x.data(), out.data(), rows, width);
}

void mean_of_ranges_backward(Table<const float> grad, Table<const int64_t> first, Table<const int64_t> last,
                             Table<float> grad_x) {
    require(grad.ndim() == 2 && grad_x.ndim() == 2 && grad.shape(1) == grad_x.shape(1),
            "grad, grad_x: expected [S, F] and [N, F]");
    const auto rows = static_cast<int64_t>(grad_x.shape(0)), width = static_cast<int64_t>(grad.shape(1));
    const auto ranges = read_ranges(first, last, rows);
    check_length(grad.shape(0), "grad", first.size(), "first");
    nb::gil_scoped_release release;
    range_means_backward(ranges, grad.data(), grad_x.data(), rows, width);
}

void smallest_of_rows(Table<const float> x, Table<float> values, Table<int64_t> index) {
    require(x.ndim() == 2 && values.ndim() == 2 && index.ndim() == 2, "x, values, index: expected [N, P], [N, k], [N, k]");
    require(values.shape(0) == x.shape(0) && index.shape(0) == x.shape(0) && index.shape(1) == values.shape(1),
            "values, index: expected [N, k] both, with a row for each of x");
    require(values.shape(1) <= x.shape(1), "values: k is larger than a row of x");
    if (!values.shape(1)) return;
    nb::gil_scoped_release release;
    smallest(x.data(), x.shape(0), x.shape(1), values.data(), index.data(), values.shape(1));
}

void scatter_of_rows(Table<const float> grad, Table<const int64_t> index, std::optional<Table<const float>> weight,
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
}  // namespace egopack

NB_MODULE(egopack_native, m) {
    using namespace nanobind::literals;
    m.doc() = "Compiled parts of egopack.detection and egopack.nn.";
    m.def("aggregate", &egopack::aggregate_edges, "row_start"_a, "source"_a, "sign"_a, "distance"_a, "message"_a,
          "gate"_a.none(), "out"_a.noconvert(), "is_signed"_a, "mean"_a,
          "out[i] += sum or mean over edges j -> i of sign * gate[distance] * message[j]; contiguous float32 [N, H].");
    m.def("aggregate_backward", &egopack::aggregate_edges_backward, "row_start"_a, "source"_a, "sign"_a, "distance"_a,
          "grad"_a, "message"_a, "gate"_a.none(), "grad_message"_a.noconvert(),
          "grad_gate"_a.none().noconvert(), "is_signed"_a, "mean"_a,
          "Gradients of aggregate with respect to message and gate, written in place.");
    m.def("dropout", &egopack::drop_out, "x"_a, "out"_a.noconvert(), "seed"_a, "p"_a,
          "out = x / (1 - p) where a hash of the seed (int64 [1]) and the place says so, else 0; contiguous float32.");
    m.def("range_means", &egopack::mean_of_ranges, "x"_a, "first"_a, "last"_a, "out"_a.noconvert(),
          "out[s] = mean of the rows first[s] ... last[s] - 1 of x, zeros where there are none; contiguous float32.");
    m.def("range_means_backward", &egopack::mean_of_ranges_backward, "grad"_a, "first"_a, "last"_a,
          "grad_x"_a.noconvert(), "Gradient of range_means with respect to x, written in place.");
    m.def("smallest", &egopack::smallest_of_rows, "x"_a, "values"_a.noconvert(), "index"_a.noconvert(),
          "The k smallest of each row of x, smallest first, of equal ones the earlier first; contiguous [N, k].");
    m.def("scatter_rows", &egopack::scatter_of_rows, "grad"_a, "index"_a, "weight"_a.none(), "grad_x"_a.noconvert(),
          "grad_x[p] = sum of grad[n] * weight[n, j] (or / k) over the places [n, j] of index that hold p.");
    m.def("nms", &egopack::nms, "segments"_a, "scores"_a, "labels"_a, "method"_a, "iou_threshold"_a, "sigma"_a,
          "min_score"_a, "max_segments"_a, "per_class"_a,
          "Kept rows (int64, best first) and their decayed scores (float32); ties go to the earlier row.");
    m.def("vote", &egopack::segment_voting, "segments"_a, "scores"_a, "kept"_a, "threshold"_a,
          "Each kept row's mean over all segments with IoU >= threshold, weighted by score * IoU: float32 [M, 2].");
    m.def("match", &egopack::match_truth, "segments"_a, "group"_a, "truth"_a, "first"_a, "tiou"_a,
          "1 where a prediction, best first, takes a free ground truth with IoU >= tiou: uint8 [T, P].");
    m.def("best_overlap", &egopack::truth_overlap, "segments"_a, "group"_a, "truth"_a, "first"_a, "top"_a,
          "Highest IoU of each ground truth with the top * n best predictions of its group: float64 [K, G].");
}
