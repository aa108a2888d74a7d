#include "daemon/engine/scheduler.hpp"

#include <algorithm>

namespace kvasir {

std::vector<StepShare> plan_step(std::span<const RequestFacts> requests, const StepLimits& limits,
                                 std::size_t rotation) {
    std::vector<StepShare> plan;
    std::uint32_t left = limits.max_tokens;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const std::size_t index = (i + rotation) % requests.size();
        if (!requests[index].is_decoding || left == 0 || plan.size() == limits.max_sequences)
            continue;
        plan.push_back({index, 1});
        --left;
    }
    const bool busy = !plan.empty();
    if (busy) left = std::min(left, limits.busy_prefill_tokens);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (requests[i].is_decoding || left == 0 || plan.size() == limits.max_sequences) continue;
        const std::uint32_t n = std::min(requests[i].n_pending, left);
        plan.push_back({i, n});
        left -= n;
        if (n < requests[i].n_pending) break;
    }
    return plan;
}

}  // namespace kvasir
