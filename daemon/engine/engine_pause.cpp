// Engine: requests of the background make room for those that wait, and come back.
#include <algorithm>

#include "config/base/wipe.hpp"
#include "daemon/engine/clock.hpp"
#include "daemon/engine/domain_pages.hpp"
#include "daemon/engine/engine.hpp"
#include "daemon/engine/running_request.hpp"

namespace kvasir {

std::size_t Engine::n_active(std::optional<Priority> priority) const {
    return static_cast<std::size_t>(std::ranges::count_if(running_, [&](const auto& request) {
        return !request->is_done && !request->is_paused() &&
               (!priority || request->request.priority == *priority);
    }));
}

/// Where there is more than one place, one is for the background as long as it has requests: it
/// goes on however many others wait. All else an interactive request may have.
bool Engine::has_place(Priority priority) const {
    const std::size_t n_places = options_.model.max_sequences;
    if (priority == Priority::background) return n_active() < n_places;
    const auto is_background = [](const Submitted& order) {
        return order.request.priority == Priority::background;
    };
    const bool has_background = (!running_.empty() && running_.back()->is_background()) ||
                                std::ranges::any_of(waiting_, is_background);
    return n_active(Priority::interactive) < n_places - (has_background && n_places > 1 ? 1 : 0);
}

/// The youngest of the background; group: of those accounted to it. nullptr: none.
RunningRequest* Engine::find_pausable(std::optional<GroupId> group) const {
    for (auto request = running_.rbegin(); request != running_.rend(); ++request) {
        RunningRequest& r = **request;
        if (!r.is_background()) return nullptr;
        if (r.is_done || r.is_paused()) continue;
        if (!group || cache_->group_of(accounted_domain(r.request)) == *group) return &r;
    }
    return nullptr;
}

/// Its pages stay as those of a request that ends do: found again, unless they were needed.
void Engine::pause(RunningRequest& r) {
    if (!r.n_cached) r.n_cached = r.state->n_cached();
    r.paused_tokens.assign(r.state->tokens().begin(), r.state->tokens().end());
    const std::optional<TailOwner> owner = leave_pages(r);
    r.state->release(boot_clock_ms(), owner);
    r.state.reset();
    ++counters_.n_requests_paused_total;
}

/// Errors: as SequenceState::begin; it stays paused.
Result<> Engine::resume(RunningRequest& r) {
    const auto lookup = r.takes_cached() ? KvCache::Lookup::allowed : KvCache::Lookup::refused;
    KVASIR_TRY(SequenceState state,
               SequenceState::begin({*model_, *cache_, *slots_}, DomainId{r.request.page_domain},
                                    r.paused_tokens, r.total_tokens(), boot_clock_ms(), lookup,
                                    accounted_domain(r.request)));
    if (r.request.is_named()) state.kv().keep(KvCache::Keep::as_claimed);
    r.state.emplace(std::move(state));
    wipe(r.paused_tokens);
    // What is computed again is counted again, from the start.
    if (r.pool) r.pool = std::make_unique<StatePool>(*r.request.pooling, model_->shape().dim);
    return {};
}

void Engine::resume_paused(Overtaking& overtaking) {
    for (const auto& request : running_) {
        if (request->is_done || !request->is_paused()) continue;
        if (n_active() == options_.model.max_sequences) break;
        const GroupId group = cache_->group_of(accounted_domain(request->request));
        const std::uint32_t n_pages = cache_->held_pages(request->total_tokens());
        if (!overtaking.allows(group, n_pages)) continue;
        const auto resumed = resume(*request);
        if (!resumed.has_error()) continue;
        if (resumed.error().code == ErrorCode::exhausted && n_active() > 0) {
            overtaking.wait(group, n_pages);
        } else {
            finish(*request, FinishReason::error, resumed.error());
        }
    }
    std::erase_if(running_, [](const auto& request) { return request->is_done; });
}

}  // namespace kvasir
