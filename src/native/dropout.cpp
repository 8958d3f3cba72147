#include "dropout.h"

#include "parallel.h"

namespace egopack {

// A 32-bit finaliser (two multiplications, xor-shifts) over the place, with one half of the seed before the first and the
// other before the second multiplication, so that two seeds do not give shifted copies of one sequence.
EGOPACK_WIDE void drop(const float* __restrict x, float* __restrict out, int64_t count, uint32_t place, uint32_t first,
                       uint32_t second, uint32_t threshold, float scale) {
    for (int64_t n = 0; n < count; ++n) {
        uint32_t hash = (place + static_cast<uint32_t>(n)) ^ first;
        hash = (hash ^ (hash >> 16)) * 0x21f0aaadu;
        hash ^= second;
        hash = (hash ^ (hash >> 15)) * 0x735a2d97u;
        hash ^= hash >> 15;
        out[n] = x[n] * (hash >= threshold ? scale : 0.0f);
    }
}

void dropout(const float* x, float* out, int64_t count, uint64_t seed, uint32_t threshold, float scale) {
    for_parts(4 * count, [&](int64_t part) {
        const int64_t from = count * part / kParts, to = count * (part + 1) / kParts;
        // places beyond 2^32 turn the other half of the seed
        const auto first = static_cast<uint32_t>(seed), second = static_cast<uint32_t>(seed >> 32);
        drop(x + from, out + from, to - from, static_cast<uint32_t>(from), first, second + static_cast<uint32_t>(from >> 32),
             threshold, scale);
    });
}

}  // namespace egopack
