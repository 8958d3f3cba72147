// Work in parts on several threads; the parts do not depend on how many that are.
#pragma once

#include <cstdint>

// Two versions of a loop, one for wider registers, chosen when the module is loaded. Without fused multiply-add
// (-ffp-contract=off) and with the order of every sum written out, both give the same bytes.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define EGOPACK_WIDE __attribute__((target_clones("avx2", "default")))
#else
#define EGOPACK_WIDE
#endif

namespace egopack {

constexpr int64_t kParts = 8;
constexpr int64_t kWorthThreads = 1 << 15;  // operations below which waking threads costs more than it saves

// Call work(part) for parts 0 ... kParts - 1, each once; on the threads that torch uses, which may still be awake from
// what it computed before.
template <typename Work>
void for_parts(int64_t operations, Work work) {
#pragma omp parallel for schedule(static) if (operations >= kWorthThreads)
    for (int64_t part = 0; part < kParts; ++part) work(part);
}

}  // namespace egopack
