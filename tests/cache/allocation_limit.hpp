// Memory that runs out: the room's operator new (test_kv_cache_random.cpp) asks here first.
#pragma once

#include <limits>

namespace kvasir {

constexpr int kUnlimited = std::numeric_limits<int>::max();
inline thread_local int allocations_left = kUnlimited;

/// While alive, the n-th allocation from now on and all after it fail.
struct AllocationLimit {
    explicit AllocationLimit(int n) { allocations_left = n; }
    ~AllocationLimit() { allocations_left = kUnlimited; }
    AllocationLimit(const AllocationLimit&) = delete;
    AllocationLimit& operator=(const AllocationLimit&) = delete;
};

}  // namespace kvasir
