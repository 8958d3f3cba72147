// Gated aggregation over the radius graph of a level, forward and backward, without one row an edge.
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "checks.h"
#include "parallel.h"

namespace egopack {
namespace {

// Edges sorted by target i: source j, sign(p_j - p_i), number of the distance; the reverse of every edge is an edge too.
struct EdgeList {
    const int64_t* row_start;  // [nodes + 1]
    const int64_t* source;     // [edges]
    const float* sign;         // [edges]
    const int64_t* distance;   // [edges], below `distances`
    int64_t nodes, distances;
    bool is_signed, mean;
};

EGOPACK_WIDE void add_row(float* __restrict out, const float* __restrict row, float weight, int64_t width) {
    for (int64_t h = 0; h < width; ++h) out[h] += weight * row[h];
}

EGOPACK_WIDE void add_gated(float* __restrict out, const float* __restrict row, const float* __restrict gate, float weight,
                            int64_t width) {
    for (int64_t h = 0; h < width; ++h) out[h] += weight * gate[h] * row[h];
}

// Call work(part, first node, last node) for kParts ranges of nodes with about as many edges each.
template <typename Work>
void in_parts(const EdgeList& edges, int64_t width, Work work) {
    const int64_t total = edges.row_start[edges.nodes];
    std::vector<int64_t> bounds(kParts + 1, edges.nodes);
    bounds[0] = 0;
    for (int64_t part = 1; part < kParts; ++part)
        bounds[part] = std::lower_bound(edges.row_start, edges.row_start + edges.nodes, total * part / kParts) - edges.row_start;
    for_parts(total * width, [&](int64_t part) { work(part, bounds[part], bounds[part + 1]); });
}

float share(const EdgeList& edges, int64_t node) {
    const int64_t degree = edges.row_start[node + 1] - edges.row_start[node];
    return edges.mean && degree ? 1.0f / static_cast<float>(degree) : 1.0f;
}

// out[i] += sum (or mean) over the edges of i of sign * gate[distance] * message[source]; gate may be null.
void aggregate(const EdgeList& edges, const float* message, const float* gate, float* out, int64_t width) {
    in_parts(edges, width, [&](int64_t, int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
            float* row = out + i * width;
            const float part = share(edges, i);
            for (int64_t e = edges.row_start[i]; e < edges.row_start[i + 1]; ++e) {
                const float weight = (edges.is_signed ? edges.sign[e] : 1.0f) * part;
                const float* other = message + edges.source[e] * width;
                if (gate) add_gated(row, other, gate + edges.distance[e] * width, weight, width);
                else add_row(row, other, weight, width);
            }
        }
    });
}

// Gradients of `aggregate` with respect to message [nodes, width] and, where not null, gate [distances, width].
void aggregate_backward(const EdgeList& edges, const float* grad, const float* message, const float* gate,
                        float* grad_message, float* grad_gate, int64_t width) {
    const int64_t table = edges.distances * width;
    std::vector<float> sums(grad_gate ? kParts * table : 0, 0.0f);
    in_parts(edges, width, [&](int64_t part, int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
            float* row = grad_message + i * width;
            std::fill(row, row + width, 0.0f);
            const float own_share = share(edges, i);
            for (int64_t e = edges.row_start[i]; e < edges.row_start[i + 1]; ++e) {
                const int64_t j = edges.source[e];
                const float sign = edges.is_signed ? edges.sign[e] : 1.0f;
                // the edge i -> j is the reverse of this one: same distance, opposite sign, its mean is over j's edges
                const float back = (edges.is_signed ? -sign : sign) * share(edges, j);
                const float* grad_j = grad + j * width;
                if (gate) add_gated(row, grad_j, gate + edges.distance[e] * width, back, width);
                else add_row(row, grad_j, back, width);
                if (grad_gate)
                    add_gated(sums.data() + part * table + edges.distance[e] * width, message + j * width, grad + i * width,
                              sign * own_share, width);
            }
        }
    });
    if (!grad_gate) return;
    std::fill(grad_gate, grad_gate + table, 0.0f);
    for (int64_t part = 0; part < kParts; ++part) add_row(grad_gate, sums.data() + part * table, 1.0f, table);
}

EdgeList read_edges(const Table<const int64_t>& row_start, const Table<const int64_t>& source, const Table<const float>& sign,
                    const Table<const int64_t>& distance, int64_t nodes, int64_t distances, bool is_signed, bool mean) {
    require(row_start.size() == static_cast<size_t>(nodes) + 1, "row_start: expected one more than the nodes");
    check_length(sign.size(), "sign", source.size(), "source");
    check_length(distance.size(), "distance", source.size(), "source");
    require(row_start.data()[nodes] == static_cast<int64_t>(source.size()), "row_start: must end at the number of edges");
    return {row_start.data(), source.data(), sign.data(), distance.data(), nodes, distances, is_signed, mean};
}

void py_aggregate(Table<const int64_t> row_start, Table<const int64_t> source, Table<const float> sign,
                  Table<const int64_t> distance, Table<const float> message, std::optional<Table<const float>> gate,
                  Table<float> out, bool is_signed, bool mean) {
    require(message.ndim() == 2 && out.ndim() == 2 && message.size() == out.size(), "message, out: expected [N, H] both");
    const int64_t width = message.shape(1), nodes = message.shape(0);
    require(!gate || (gate->ndim() == 2 && gate->shape(1) == message.shape(1)), "gate: expected [U, H]");
    const auto edges = read_edges(row_start, source, sign, distance, nodes, gate ? gate->shape(0) : 0, is_signed, mean);
    nb::gil_scoped_release release;
    aggregate(edges, message.data(), gate ? gate->data() : nullptr, out.data(), width);
}

void py_aggregate_backward(Table<const int64_t> row_start, Table<const int64_t> source, Table<const float> sign,
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

}  // namespace

void bind_aggregate(nb::module_& m) {
    using namespace nanobind::literals;
    m.def("aggregate", &py_aggregate, "row_start"_a, "source"_a, "sign"_a, "distance"_a, "message"_a,
          "gate"_a.none(), "out"_a.noconvert(), "is_signed"_a, "mean"_a,
          "out[i] += sum or mean over edges j -> i of sign * gate[distance] * message[j]; contiguous float32 [N, H].");
    m.def("aggregate_backward", &py_aggregate_backward, "row_start"_a, "source"_a, "sign"_a, "distance"_a,
          "grad"_a, "message"_a, "gate"_a.none(), "grad_message"_a.noconvert(),
          "grad_gate"_a.none().noconvert(), "is_signed"_a, "mean"_a,
          "Gradients of aggregate with respect to message and gate, written in place.");
}

}  // namespace egopack
