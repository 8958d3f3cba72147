// Dropout whose mask is a function of a seed and the place, so that nothing is kept for the backward pass.
#include <cstdint>

#include "checks.h"
#include "parallel.h"

namespace egopack {
namespace {

// splitmix64: neighboring seeds become unrelated keys.
uint64_t key_of(uint64_t seed) {
    seed += 0x9e3779b97f4a7c15u;
    seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9u;
    seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebu;
    return seed ^ (seed >> 31);
}

// A 32-bit finalizer of three multiplications and xor-shifts over the place, with one half of the key before the first and
// the other before the second multiplication, so that two keys do not give shifted copies of one sequence.
EGOPACK_WIDE void drop(const float* __restrict x, float* __restrict out, int64_t count, uint32_t place, uint32_t first,
                       uint32_t second, uint32_t threshold, float scale) {
    for (int64_t n = 0; n < count; ++n) {
        uint32_t hash = (place + static_cast<uint32_t>(n)) ^ first;
        hash = (hash ^ (hash >> 17)) * 0xed5ad4bbu;
        hash ^= second;
        hash = (hash ^ (hash >> 11)) * 0xac4c1b51u;
        hash = (hash ^ (hash >> 15)) * 0x31848babu;
        hash ^= hash >> 14;
        out[n] = x[n] * (hash >= threshold ? scale : 0.0f);
    }
}

// out[n] = x[n] * scale where a hash of (seed, n) is at least `threshold` of 2^32, else 0.
void dropout(const float* x, float* out, int64_t count, uint64_t seed, uint32_t threshold, float scale) {
    const uint64_t key = key_of(seed);
    for_parts(4 * count, [&](int64_t part) {
        const int64_t from = count * part / kParts, to = count * (part + 1) / kParts;
        // places beyond 2^32 turn the other half of the key
        const auto first = static_cast<uint32_t>(key), second = static_cast<uint32_t>(key >> 32);
        drop(x + from, out + from, to - from, static_cast<uint32_t>(from), first, second + static_cast<uint32_t>(from >> 32),
             threshold, scale);
    });
}

void py_dropout(Table<const float> x, Table<float> out, Table<const int64_t> seed, double p) {
    check_length(out.size(), "out", x.size(), "x");
    require(seed.size() == 1, "seed: expected one number");
    require(p >= 0.0 && p < 1.0, "p: must be in [0, 1), got " + std::to_string(p));
    nb::gil_scoped_release release;
    dropout(x.data(), out.data(), static_cast<int64_t>(x.size()), static_cast<uint64_t>(seed.data()[0]),
            static_cast<uint32_t>(p * 4294967296.0), static_cast<float>(1.0 / (1.0 - p)));
}

}  // namespace

void bind_dropout(nb::module_& m) {
    using namespace nanobind::literals;
    m.def("dropout", &py_dropout, "x"_a, "out"_a.noconvert(), "seed"_a, "p"_a,
          "out = x / (1 - p) where a hash of the seed (int64 [1]) and the place says so, else 0; contiguous float32.");
}

}  // namespace egopack
