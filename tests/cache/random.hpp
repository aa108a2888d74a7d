// Small seeded randomness for tests: the same numbers on every platform.
#pragma once

#include <cstdint>
#include <random>

namespace kvasir {

class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    std::uint64_t bits() { return engine_(); }
    /// 0 to n - 1. REQUIRES: n > 0.
    std::uint32_t below(std::uint64_t n) { return static_cast<std::uint32_t>(engine_() % n); }
    bool one_in(std::uint32_t n) { return below(n) == 0; }
    double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }

private:
    std::mt19937_64 engine_;
};

/// Random trials, one a seed. A sanitizer takes ten times as long and finds what it finds in a few.
constexpr int n_seeds(int n) {
#ifdef __SANITIZE_ADDRESS__
    return (n + 3) / 4;
#else
    return n;
#endif
}

}  // namespace kvasir
