// Gated aggregation over the radius graph of a level, forward and backward, without one row an edge.
#pragma once

#include <cstdint>

namespace egopack {

// Edges sorted by target i: source j, sign(p_j - p_i), number of the distance; the reverse of every edge is an edge too.
struct EdgeList {
    const int64_t* row_start;  // [nodes + 1]
    const int64_t* source;     // [edges]
    const float* sign;         // [edges]
    const int64_t* distance;   // [edges], below `distances`
    int64_t nodes, distances;
    bool is_signed, mean;
};

// out[i] += sum (or mean) over the edges of i of sign * gate[distance] * message[source]; gate may be null.
void aggregate(const EdgeList& edges, const float* message, const float* gate, float* out, int64_t width);

// Gradients of `aggregate` with respect to message [nodes, width] and, where not null, gate [distances, width].
void aggregate_backward(const EdgeList& edges, const float* grad, const float* message, const float* gate,
                        float* grad_message, float* grad_gate, int64_t width);

}  // namespace egopack
