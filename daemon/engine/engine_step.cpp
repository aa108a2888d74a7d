// Engine: a step of the device, and what becomes of each request's share of it.
#include <algorithm>
#include <fmt/format.h>

#include "config/base/check.hpp"
#include "config/base/log.hpp"
#include "config/base/wipe.hpp"
#include "daemon/engine/clock.hpp"
#include "daemon/engine/engine.hpp"
#include "daemon/engine/running_request.hpp"
#include "daemon/engine/scheduler.hpp"

namespace kvasir {
namespace {

double milliseconds(std::chrono::steady_clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

bool Engine::waits_for_earlier(std::size_t index) const {
    const RunningRequest& request = *running_[index];
    if (request.is_decoding() || !request.takes_cached()) return false;
    return std::any_of(running_.begin(), running_.begin() + static_cast<std::ptrdiff_t>(index),
                       [&](const auto& earlier) {
                           return !earlier->is_paused() && !earlier->is_decoding() &&
                                  request.state->could_share_next_page_of(*earlier->state);
                       });
}

void Engine::run_step() {
    std::vector<RequestFacts> facts;
    for (std::size_t i = 0; i < running_.size(); ++i) {
        const auto& request = running_[i];
        if (request->is_paused()) {
            facts.push_back({.is_waiting = true, .is_background = true});
            continue;
        }
        // Another request with the same opening may have computed more of it meanwhile.
        if (!request->is_decoding()) {
            const std::uint32_t n_found = request->state->extend_match(boot_clock_ms());
            if (!request->n_cached) counters_.n_cached_tokens_total += n_found;
        }
        const std::uint32_t n_most = request->state->kv().max_step_tokens();
        facts.push_back({.n_pending = std::min(request->state->n_pending(), n_most),
                         .is_decoding = request->is_decoding(),
                         .is_waiting = n_most == 0 || waits_for_earlier(i),
                         .is_background = request->is_background(),
                         .n_open = request->state->n_computed() % kTokensPerPage});
    }
    const BatchLimits& limits = model_->limits();
    const auto plan = plan_step(facts,
                                {.max_tokens = limits.max_tokens,
                                 .max_sequences = limits.max_sequences,
                                 .n_open_slots = model_->n_open_slots()},
                                rotation_++);
    if (plan.empty()) {  // pinned pages keep all from going on, or lost ones
        const auto last = std::find_if(running_.rbegin(), running_.rend(),
                                       [](const auto& request) { return !request->is_paused(); });
        finish(**last, FinishReason::error,
               Error{ErrorCode::exhausted, "pages: none is left for the next tokens"});
        running_.erase(std::next(last).base());
        return;
    }
    std::vector<RunningRequest*> requests;
    std::vector<std::uint32_t> n_tokens;
    for (const StepShare& share : plan) {
        requests.push_back(running_[share.index].get());
        n_tokens.push_back(share.n_tokens);
    }
    const auto computed = compute(requests, n_tokens);
    if (computed.has_error()) {
        log_error("step failed",
                  {{"error", computed.error().message}, {"requests", requests.size()}});
        fail_all(computed.error());
        if (computed.error().code == ErrorCode::device_lost) {
            const std::lock_guard lock(mutex_);
            broken_ = computed.error();
        }
    }
    std::erase_if(running_, [](const auto& request) { return request->is_done; });
}

Result<> Engine::compute(const std::vector<RunningRequest*>& requests,
                         const std::vector<std::uint32_t>& n_tokens) {
    std::vector<SequenceStep> steps;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        RunningRequest& r = *requests[i];
        const bool is_last = n_tokens[i] == r.state->n_pending();
        KVASIR_TRY(const SequenceStep step,
                   r.state->prepare(n_tokens[i],
                                    is_last && r.generates() ? std::vector{n_tokens[i] - 1}
                                                             : std::vector<std::uint32_t>{},
                                    r.pool ? r.pool->n_wanted(n_tokens[i], is_last) : 0));
        steps.push_back(step);
    }
    KVASIR_TRY_VOID(model_->step(steps));
    ++counters_.n_steps_total;
    std::size_t row = 0;
    std::size_t state = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        RunningRequest& request = *requests[i];
        const bool has_logits = !steps[i].logits_at.empty();
        if (!request.is_decoding()) counters_.n_prefill_tokens_total += n_tokens[i];
        if (!model_->is_finite(i)) {
            finish(request, FinishReason::error,
                   Error{ErrorCode::corrupt,
                         "the model's keys or values are not finite numbers for this input"});
        } else {
            request.state->complete(boot_clock_ms());
            if (has_logits) take_token(request, model_->logits(row));
            for (std::uint32_t k = 0; k < steps[i].n_states; ++k)
                request.pool->add(model_->state(state + k));
            if (request.pool && request.state->n_pending() == 0) finish_embedding(request);
            if (request.request.prefix && request.state->n_pending() == 0)
                finish(request, FinishReason::stop);
        }
        if (has_logits) ++row;
        state += steps[i].n_states;
    }
    return {};
}

Result<TokenId> Engine::draw(RunningRequest& r, std::span<const float> logits) {
    const auto position = static_cast<std::uint32_t>(r.state->tokens().size());
    if (!r.matcher) return r.sampler.sample(logits, position);
    allowed_logits_.assign(logits.begin(), logits.end());
    KVASIR_TRY_VOID(r.matcher->mask(allowed_logits_, r.request.ignore_eos));
    KVASIR_TRY(const TokenId id, r.sampler.sample(allowed_logits_, position));
    if (!info_->tokenizer->is_end_of_generation(id)) KVASIR_TRY_VOID(r.matcher->accept(id));
    return id;
}

void Engine::take_token(RunningRequest& r, std::span<const float> logits) {
    if (r.matcher && r.matcher->must_end()) {  // the empty text is all there is
        finish(r, FinishReason::stop);
        return;
    }
    const auto drawn = draw(r, logits.first(model_->shape().n_vocab));
    if (drawn.has_error()) {
        finish(r, FinishReason::error, drawn.error());
        return;
    }
    const TokenId id = *drawn;
    if (r.n_generated == 0) r.first_token = std::chrono::steady_clock::now();
    ++r.n_generated;
    ++counters_.n_generated_tokens_total;
    if ((!r.request.ignore_eos || r.matcher) && info_->tokenizer->is_end_of_generation(id)) {
        r.end_token = id;
        finish(r, FinishReason::stop);
        return;
    }
    r.sampler.accept(id);
    GenerationChunk chunk;
    GeneratedToken token{.id = id, .bytes = {}, .logprob = 0, .top = {}};
    if (r.request.logprobs) {
        token.bytes = info_->tokenizer->token_bytes(id, true);
        token.logprob = logprob(logits, id);
        top_logprobs(logits, r.request.n_top_logprobs, r.top);
        for (const auto& [other, value] : r.top)
            token.top.push_back({other, info_->tokenizer->token_bytes(other, true), value});
    }
    chunk.tokens.push_back(std::move(token));
    StopMatcher::Released released = r.stop.push(r.detokenizer.push(id));
    chunk.text = std::move(released.text);
    r.sink->on_chunk(std::move(chunk));
    if (released.stopped || (r.matcher && r.matcher->must_end())) {
        finish(r, FinishReason::stop);
    } else if (r.n_generated >= r.max_tokens) {
        finish(r, FinishReason::length);
    } else {
        r.state->push_token(id);
    }
}

void Engine::finish_embedding(RunningRequest& r) {
    auto pooled = r.pool->take();
    if (pooled.has_error()) return finish(r, FinishReason::error, pooled.error());
    r.embedding = std::move(*pooled);
    finish(r, FinishReason::stop);
}

void Engine::finish(RunningRequest& r, FinishReason reason, std::optional<Error> error) {
    if (reason == FinishReason::stop || reason == FinishReason::length) {
        // Text held back for an undecided character or stop string is released now.
        StopMatcher::Released last = r.stop.push(r.detokenizer.finish());
        GenerationChunk rest{.text = std::move(last.text) + r.stop.finish(), .tokens = {}};
        if (!rest.text.empty()) r.sink->on_chunk(std::move(rest));
    }
    // Before the sequence lets go.
    const std::uint32_t n_cached = r.n_cached ? *r.n_cached : r.state->n_cached();
    const std::optional<TailOwner> owner = hold_pages(r, reason, error);
    if (reason == FinishReason::error) {
        if (!r.is_paused()) r.state->discard();
        log_warn("request failed",
                 {{"request", r.request.request_id}, {"error", error ? error->message : ""}});
    } else if (!r.is_paused()) {
        r.state->release(boot_clock_ms(), owner);
    }
    wipe(r.paused_tokens);
    r.is_done = true;
    const auto n_prompt_tokens = static_cast<std::uint32_t>(r.request.prompt.size());
    wipe(r.request.prompt);
    const auto now = std::chrono::steady_clock::now();
    const auto first = r.n_generated == 0 ? now : r.first_token;
    r.sink->on_end({.reason = reason,
                    .error = std::move(error),
                    .n_prompt_tokens = n_prompt_tokens,
                    .n_cached_tokens = n_cached,
                    .n_generated_tokens = r.n_generated,
                    .end_token = r.end_token,
                    .miss = r.miss.reason,
                    .diverged_at = r.miss.diverged_at,
                    .prompt_ms = milliseconds(first - r.submitted),
                    .generate_ms = milliseconds(now - first),
                    .embedding = std::move(r.embedding)});
}

void Engine::fail_all(const Error& error) {
    for (const auto& request : running_) {
        if (!request->is_done) finish(*request, FinishReason::error, error);
    }
    running_.clear();
}

}  // namespace kvasir
