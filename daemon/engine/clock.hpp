// What the engine's thread reads from the outside: the time, and chance.
#pragma once

#include <cstdint>

namespace kvasir {

/// Milliseconds on the boot clock, which runs on while the device sleeps: time to live is counted
/// on it.
std::uint64_t boot_clock_ms();

/// Milliseconds since 1970: what is on disk has its time to live on this one.
std::uint64_t wall_clock_ms();

std::uint64_t random_seed();

}  // namespace kvasir
