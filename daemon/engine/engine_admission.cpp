// Engine: which requests run, who holds their pages, and whose time is up.
#include <algorithm>
#include <limits>

#include "config/base/log.hpp"
#include "daemon/engine/clock.hpp"
#include "daemon/engine/domain_pages.hpp"
#include "daemon/engine/engine.hpp"
#include "daemon/engine/running_request.hpp"

namespace kvasir {
namespace {

constexpr std::uint32_t kPage = shared::kPageTokens;
constexpr std::uint64_t kExpireIntervalMs = 250;
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

}  // namespace

void Engine::expire() {
    const std::uint64_t now = boot_clock_ms();
    if (now >= next_expire_ms_) {
        holders_->expire(now);
        next_expire_ms_ = now + kExpireIntervalMs;
    }
    if (now >= next_sweep_ms_) {
        next_sweep_ms_ = kNever;
        if (const auto ttl = options_.anonymous_ttl_ms) {
            cache_->expire_anonymous(now > *ttl ? now - *ttl : 0);
            slots_->expire(now > *ttl ? now - *ttl : 0);
            next_sweep_ms_ = now + std::clamp<std::uint64_t>(*ttl / 8, kExpireIntervalMs, 60'000);
        }
    }
}

/// The holder's requests end here, or go on without it.
void Engine::end_running(const Holder& holder, bool cancel) {
    for (const auto& request : running_) {
        if (request->is_done || request->holder != &holder) continue;
        if (cancel) {
            finish(*request, FinishReason::cancelled);
        } else {
            --request->holder->n_running;
            request->holder = nullptr;
        }
    }
}

/// The context has ended: what its requests still compute is nobody's.
void Engine::detach_context(DomainId domain, const std::string& context) {
    for (const auto& request : running_) {
        if (request->is_done || request->holder == nullptr || request->request.prefix ||
            DomainId{request->request.domain} != domain || request->request.context != context)
            continue;
        --request->holder->n_running;
        request->holder = nullptr;
    }
}

/// Who is to keep the request's pages; nullptr: nobody by name.
Result<Holder*> Engine::find_holder(const GenerationRequest& request) {
    const DomainId domain{request.domain};
    const std::uint64_t now = boot_clock_ms();
    if (request.prefix) {
        const DomainId owner = request.is_administrator ? kCommonDomain : domain;
        return holders_->use(HolderKind::prefix, owner, request.prefix->name, now);
    }
    if (!request.session.empty())
        return holders_->use(HolderKind::session, domain, request.session, now);
    if (!request.context.empty())
        return holders_->use(HolderKind::context, domain, request.context, now);
    return nullptr;
}

void Engine::admit() {
    Overtaking overtaking(*cache_);
    admit_waiting(overtaking, Priority::interactive);
    resume_paused(overtaking);
    admit_waiting(overtaking, Priority::background);
    can_admit_ =
        std::ranges::any_of(waiting_, [&](Submitted& order) { return !waits_for_disk(order); });
}

void Engine::admit_waiting(Overtaking& overtaking, Priority priority) {
    const auto is_short = [](const Result<>& admitted) {
        return admitted.has_error() && admitted.error().code == ErrorCode::exhausted;
    };
    for (auto order = waiting_.begin(); order != waiting_.end() && has_place(priority);) {
        if (order->request.priority != priority) {
            ++order;
            continue;
        }
        const GroupId group = cache_->group_of(accounted_domain(order->request));
        if (waits_for_disk(*order) || overtaking.is_waiting(group)) {
            ++order;
            continue;
        }
        const std::uint32_t n_pages = cache_->held_pages(sequence_tokens(order->request));
        if (!overtaking.allows(group, n_pages)) {
            overtaking.wait(group, n_pages);
            ++order;
            continue;
        }
        if (n_active() == options_.model.max_sequences) pause(*find_pausable());
        Result<> admitted = admit_one(*order);
        while (is_short(admitted)) {
            // At its own cap, others' pages are no help.
            const bool is_at_cap = cache_->is_beyond_cap(group, n_pages);
            RunningRequest* const other =
                find_pausable(is_at_cap ? std::optional(group) : std::nullopt);
            if (other == nullptr || priority == Priority::background) break;
            pause(*other);
            admitted = admit_one(*order);
        }
        if (is_short(admitted) && n_active() > 0) {
            overtaking.wait(group, n_pages);  // until one has ended
            ++order;
            continue;
        }
        Submitted taken = std::move(*order);
        order = waiting_.erase(order);
        leave_queue(priority);
        ++counters_.n_requests_total;
        if (admitted.has_error()) {
            taken.sink->on_end(
                {.reason = FinishReason::error,
                 .error = admitted.error(),
                 .n_prompt_tokens = static_cast<std::uint32_t>(taken.request.prompt.size())});
        }
    }
}

std::uint32_t Engine::sequence_tokens(const GenerationRequest& request) const {
    const auto n_prompt = static_cast<std::uint32_t>(request.prompt.size());
    if (request.prefix || request.pooling) return n_prompt;
    const std::uint32_t room =
        std::min(max_sequence_tokens(request),
                 cache_->max_tokens(DomainId{request.page_domain}, accounted_domain(request),
                                    request.prompt));
    // Where not even one fits, the cache says so.
    return n_prompt + std::min(request.max_tokens, room > n_prompt ? room - n_prompt : 1);
}

/// On error the order is as it was.
Result<> Engine::admit_one(Submitted& order) {
    const auto n_prompt = static_cast<std::uint32_t>(order.request.prompt.size());
    const std::uint32_t max_tokens = sequence_tokens(order.request) - n_prompt;
    KVASIR_TRY(Holder* const holder, find_holder(order.request));
    // A prefix that an administrator makes is common.
    const DomainId domain =
        order.request.prefix ? holder->domain : DomainId{order.request.page_domain};
    const bool takes_cached = order.request.pooling != Pooling::mean;
    const auto lookup = takes_cached ? KvCache::Lookup::allowed : KvCache::Lookup::refused;
    auto state = SequenceState::begin({*model_, *cache_, *slots_}, domain, order.request.prompt,
                                      n_prompt + max_tokens, boot_clock_ms(), lookup,
                                      accounted_domain(order.request));
    if (state.has_error()) {
        if (holder != nullptr && holder->n_requests == 0 && holder->kind != HolderKind::session)
            holders_->end(*holder);  // made for this request
        return state.error();
    }
    std::optional<Holders::Divergence> divergence;
    if (holder != nullptr) {
        constexpr std::size_t kComparedTokens = 24;
        divergence = holders_->find_divergence(*holder, order.request.prompt, kComparedTokens);
        state->kv().keep(KvCache::Keep::as_claimed);
        // Now that what the prompt shares with the old context is leased.
        if (holder->kind == HolderKind::session)
            holders_->change_context(*holder, order.request.context);
    }
    const Miss miss =
        takes_cached ? explain_miss(state->kv().miss(), state->n_cached(), divergence,
                                    order.request.prompt, order.request.is_chat, *info_->tokenizer)
                     : Miss{};
    const GenerationRequest& asked = order.request;
    const std::uint64_t seed = asked.sampling.seed ? *asked.sampling.seed : random_seed();
    Sampler sampler(asked.sampling, model_->shape().n_vocab, seed);
    sampler.accept_prompt(asked.prompt);
    StopMatcher stop(asked.stop);
    IncrementalDetokenizer detokenizer(info_->tokenizer, asked.shown_specials);
    auto pool =
        asked.pooling ? std::make_unique<StatePool>(*asked.pooling, model_->shape().dim) : nullptr;
    auto matcher =
        asked.constraint ? std::make_unique<grammar::TokenMatcher>(asked.constraint) : nullptr;
    std::unique_ptr<RunningRequest> request(
        new RunningRequest{.id = order.id,
                           .request = std::move(order.request),
                           .sink = order.sink,
                           .state = std::move(*state),
                           .sampler = std::move(sampler),
                           .detokenizer = std::move(detokenizer),
                           .stop = std::move(stop),
                           .matcher = std::move(matcher),
                           .pool = std::move(pool),
                           .holder = holder,
                           .miss = miss,
                           .max_tokens = max_tokens,
                           .submitted = order.submitted});
    count_hits(*request);
    const auto after = request->is_background()
                           ? running_.end()
                           : std::ranges::find_if(
                                 running_, &RunningRequest::is_background,
                                 [](const auto& other) -> const RunningRequest& { return *other; });
    running_.insert(after, std::move(request));
    return {};
}

void Engine::count_hits(RunningRequest& r) {
    const std::uint32_t n_cached = r.state->n_cached();
    counters_.n_prompt_tokens_total += r.request.prompt.size();
    counters_.n_cached_tokens_total += n_cached;
    switch (r.miss.reason) {
        case MissReason::none: break;
        case MissReason::never_seen: ++counters_.n_misses_never_seen_total; break;
        case MissReason::expired: ++counters_.n_misses_expired_total; break;
        case MissReason::evicted: ++counters_.n_misses_evicted_total; break;
        case MissReason::retokenized: ++counters_.n_misses_retokenized_total; break;
        case MissReason::template_: ++counters_.n_misses_template_total; break;
        case MissReason::diverged: ++counters_.n_misses_diverged_total; break;
    }
    if (r.holder != nullptr) {
        ++r.holder->n_requests;
        ++r.holder->n_running;
        r.holder->n_cached_tokens += n_cached;
    }
    if (!r.request.prefix)
        holders_->count_prefix_hits(DomainId{r.request.domain}, r.state->kv().tip(),
                                    boot_clock_ms());
}

/// What was computed becomes the prefix of that name, instead of what was before.
Result<> Engine::hold_prefix(RunningRequest& r) {
    Holder& prefix = *r.holder;
    const NodeId before =
        prefix.branches.empty() ? kNoNode : cache_->tip(prefix.branches.back().id);
    for (const Holder::Branch& branch : prefix.branches) cache_->unpin_branch(branch.id);
    const std::uint64_t now = boot_clock_ms();
    prefix.ttl = {.idle_ms = r.request.prefix->ttl.idle_ms,
                  .absolute_ms = r.request.prefix->ttl.absolute_ms};
    prefix.created_ms = now;
    const NodeId tip = r.state->kv().tip();
    holders_->hold(prefix, tip, r.state->tokens(),
                   static_cast<std::uint32_t>(r.state->tokens().size()), now);
    prefix.n_tokens = (cache_->tree().depth(tip) + 1) * kPage;
    if (prefix.domain == kCommonDomain)
        KVASIR_TRY_VOID(cache_->pin_branch(prefix.branches.back().id));
    const bool is_on_disk = before == tip && !prefix.ttl.idle_ms && !prefix.ttl.absolute_ms &&
                            disk_ && disk_->has(prefix.kind, prefix.domain, prefix.name);
    if (disk_ && disk_->reaches(prefix.domain) && !is_on_disk) disk_->save(prefix, {});
    return {};
}

/// Before the sequence lets go of its pages, its session or context takes them. Returns who is to
/// have the tail. REQUIRES: it computes no prefix.
std::optional<TailOwner> Engine::leave_pages(RunningRequest& r) {
    // A holder that has ended meanwhile leaves nothing.
    if (r.holder == nullptr) return r.request.is_named() ? std::nullopt : std::optional(kAnybody);
    holders_->hold(*r.holder, r.state->kv().tip(), r.state->tokens(),
                   static_cast<std::uint32_t>(r.request.prompt.size()), boot_clock_ms());
    return r.holder->id;
}

/// The same for any request that ends. Of a prefix, what was computed now has its name.
std::optional<TailOwner> Engine::hold_pages(RunningRequest& r, FinishReason& reason,
                                            std::optional<Error>& error) {
    if (r.holder != nullptr) --r.holder->n_running;
    if (r.holder == nullptr || r.holder->kind != HolderKind::prefix) {
        const std::optional<TailOwner> owner = r.is_paused() ? std::nullopt : leave_pages(r);
        r.holder = nullptr;
        return owner;
    }
    Holder& holder = *r.holder;
    const auto held = reason == FinishReason::stop ? hold_prefix(r) : Result<>();
    r.holder = nullptr;
    if (held.has_error()) {
        reason = FinishReason::error;
        error = held.error();
    }
    if (!held.has_error() && !holder.branches.empty()) return holder.id;
    end_running(holder, false);
    holders_->end(holder);
    return std::nullopt;
}

}  // namespace kvasir
