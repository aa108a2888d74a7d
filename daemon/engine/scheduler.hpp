// Scheduler: which tokens of which requests share the next step. A pure function of what is
// pending.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace kvasir {

/// One running request: those of the background last, else oldest first.
struct RequestFacts {
    std::uint32_t n_pending = 0;  // tokens not yet computed: 1 while decoding
    bool is_decoding = false;     // its prompt is done
    bool is_waiting = false;      // for a page: an earlier one is about to compute it, or to end;
                                  // or it has paused
    bool is_background = false;
    std::uint32_t n_open = 0;  // tokens in its open page; it has an open slot where there are any
};

struct StepLimits {
    std::uint32_t max_tokens = 0;
    std::uint32_t max_sequences = 0;
    /// What pages are computed in, those that requests have included. More than there are requests,
    /// so that every request can go on; a prompt's share ends where there are no more.
    std::uint32_t n_open_slots = 0xffffffffU;
    std::uint32_t busy_prefill_tokens =
        64;  // prompt tokens a step takes while others decode: they wait for the whole step
};

/// Tokens of request `index` in the step.
struct StepShare {
    std::size_t index = 0;
    std::uint32_t n_tokens = 0;
};

/// While others have something to compute, the background takes part in one step of so many: it
/// goes on, and they hardly feel it.
inline constexpr std::size_t kBackgroundEvery = 16;

/// Those that wait have no share. Decoding requests first, one token each, from `rotation` on so
/// that none starves where there are more than fit; then the prompts, oldest first, one at a time:
/// what two have in common is computed once.
std::vector<StepShare> plan_step(std::span<const RequestFacts> requests, const StepLimits& limits,
                                 std::size_t rotation);

}  // namespace kvasir
