#include "daemon/engine/scheduler.hpp"

#include <algorithm>

#include "cache/page_pool.hpp"

namespace kvasir {
namespace {

/// Slots that a request needs for its next n tokens, beside the one it has.
std::uint32_t slots_taken(const RequestFacts& request, std::uint32_t n) {
    const std::uint32_t n_touched = (request.n_open + n - 1) / kTokensPerPage + 1;
    return n_touched - (request.n_open > 0 ? 1 : 0);
}

/// And the tokens that so many slots are enough for.
std::uint64_t tokens_in(const RequestFacts& request, std::uint32_t n_slots) {
    const std::uint64_t n_pages = std::uint64_t{n_slots} + (request.n_open > 0 ? 1 : 0);
    return n_pages * kTokensPerPage - request.n_open;
}

/// Whether others have something to compute, and the background has no share of this step.
bool is_for_others(std::span<const RequestFacts> requests, std::size_t rotation) {
    return rotation % kBackgroundEvery != 0 &&
           std::any_of(requests.begin(), requests.end(), [](const RequestFacts& request) {
               return !request.is_background && !request.is_waiting;
           });
}

}  // namespace

std::vector<StepShare> plan_step(std::span<const RequestFacts> requests, const StepLimits& limits,
                                 std::size_t rotation) {
    const bool for_others = is_for_others(requests, rotation);
    const auto takes_part = [&](const RequestFacts& request) {
        return !request.is_waiting && !(for_others && request.is_background);
    };
    std::vector<StepShare> plan;
    std::uint32_t left = limits.max_tokens;
    std::uint32_t slots_left = limits.n_open_slots;
    for (const RequestFacts& request : requests) slots_left -= request.n_open > 0 ? 1 : 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const std::size_t index = (i + rotation) % requests.size();
        if (!requests[index].is_decoding || !takes_part(requests[index]) || left == 0 ||
            plan.size() == limits.max_sequences)
            continue;
        slots_left -= slots_taken(requests[index], 1);
        plan.push_back({index, 1});
        --left;
    }
    const bool busy = !plan.empty();
    if (busy) left = std::min(left, limits.busy_prefill_tokens);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (requests[i].is_decoding || !takes_part(requests[i]) || left == 0 ||
            plan.size() == limits.max_sequences)
            continue;
        const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(
            {requests[i].n_pending, left, tokens_in(requests[i], slots_left)}));
        if (n == 0) break;
        plan.push_back({i, n});
        left -= n;
        slots_left -= slots_taken(requests[i], n);
        if (n < requests[i].n_pending) break;
    }
    return plan;
}

}  // namespace kvasir
