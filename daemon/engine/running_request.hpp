// RunningRequest: everything the engine's thread keeps of one request between steps.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cache/holders.hpp"
#include "daemon/engine/generation.hpp"
#include "daemon/engine/miss_reason.hpp"
#include "daemon/engine/sampler.hpp"
#include "daemon/engine/sequence_state.hpp"
#include "daemon/engine/state_pool.hpp"
#include "daemon/engine/stop_matcher.hpp"
#include "daemon/grammar/token_matcher.hpp"
#include "daemon/model/tokenizer.hpp"

namespace kvasir {

struct RunningRequest {
    RequestId id;
    GenerationRequest request;
    std::shared_ptr<GenerationSink> sink;
    std::optional<SequenceState> state;  // none: it has paused
    std::vector<TokenId> paused_tokens;  // then, prompt and answer so far: what it goes on from
    Sampler sampler;
    IncrementalDetokenizer detokenizer;
    StopMatcher stop;
    std::unique_ptr<grammar::TokenMatcher> matcher;  // none: the text is free
    std::unique_ptr<StatePool> pool;                 // of an embedding; else none
    Holder* holder = nullptr;  // keeps its pages; none: the anonymous claim does
    Miss miss{};
    std::uint32_t max_tokens = 0;  // what context and pages leave of the request's
    std::uint32_t n_generated = 0;
    std::optional<std::uint32_t> n_cached;  // once it has paused: what it found when it began
    std::optional<TokenId> end_token;       // that said the text is over
    std::chrono::steady_clock::time_point submitted;
    std::chrono::steady_clock::time_point first_token;  // set with the first token
    bool is_done = false;
    std::vector<std::pair<TokenId, float>> top;  // scratch for logprobs
    std::vector<float> embedding;                // once it is complete

    std::uint32_t total_tokens() const {
        return static_cast<std::uint32_t>(request.prompt.size()) + max_tokens;
    }
    bool is_paused() const { return !state; }
    bool is_background() const { return request.priority == Priority::background; }
    /// Its prompt, or what it goes on from after a pause, is computed.
    bool is_decoding() const { return n_generated > 0 && state->n_pending() == 1; }
    /// Whether logits follow the prompt.
    bool generates() const { return !request.prefix && !request.pooling; }
    /// Whether pages that others computed spare it its own.
    bool takes_cached() const { return request.pooling != Pooling::mean; }
};

}  // namespace kvasir
