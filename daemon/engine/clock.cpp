#include "daemon/engine/clock.hpp"

#include <random>
#include <time.h>

namespace kvasir {

namespace {

std::uint64_t milliseconds_of(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

}  // namespace

std::uint64_t boot_clock_ms() {
    return milliseconds_of(CLOCK_BOOTTIME);
}

std::uint64_t wall_clock_ms() {
    return milliseconds_of(CLOCK_REALTIME);
}

std::uint64_t random_seed() {
    std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32U) | device();
}

}  // namespace kvasir
