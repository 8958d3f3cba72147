// Work in parts on as many threads as the machine has; the parts do not depend on how many that are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

// Two versions of a loop, one for wider registers, chosen when the module is loaded. Without fused multiply-add
// (-ffp-contract=off) and with the order of every sum written out, both give the same bytes.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define EGOPACK_WIDE __attribute__((target_clones("avx2", "default")))
#else
#define EGOPACK_WIDE
#endif

namespace egopack {

constexpr int64_t kParts = 8;
constexpr int64_t kWorthThreads = 1 << 20;  // operations below which starting threads costs more than it saves

// Call work(part) for parts 0 ... kParts - 1, each once.
template <typename Work>
void for_parts(int64_t operations, Work work) {
    const int64_t cores = std::max(1u, std::thread::hardware_concurrency());
    const int64_t threads = operations < kWorthThreads ? 1 : std::min<int64_t>(kParts, cores);
    auto some = [&](int64_t thread) {
        for (int64_t part = thread; part < kParts; part += threads) work(part);
    };
    std::vector<std::thread> pool;
    for (int64_t thread = 1; thread < threads; ++thread) pool.emplace_back(some, thread);
    some(0);
    for (auto& thread : pool) thread.join();
}

}  // namespace egopack
