#include "aggregate.h"

#include <algorithm>
#include <vector>

#include "parallel.h"

namespace egopack {

EGOPACK_WIDE void add_row(float* __restrict out, const float* __restrict row, float weight, int64_t width) {
    for (int64_t h = 0; h < width; ++h) out[h] += weight * row[h];
}

EGOPACK_WIDE void add_gated(float* __restrict out, const float* __restrict row, const float* __restrict gate, float weight,
                            int64_t width) {
    for (int64_t h = 0; h < width; ++h) out[h] += weight * gate[h] * row[h];
}

namespace {

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

}  // namespace

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

}  // namespace egopack
