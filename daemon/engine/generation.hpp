// What the socket needs of the engine, and nothing of how it is made: requests in, chunks out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/base/error.hpp"
#include "config/base/types.hpp"
#include "daemon/engine/cache_control.hpp"

namespace kvasir {

class Tokenizer;

namespace grammar {
struct Constraint;
}

/// How the next token is drawn. temperature 0 is greedy. Ranges are the caller's to check (http
/// does).
struct SamplingOptions {
    float temperature = 1.0F;
    std::uint32_t top_k = 0;  // 0: off
    float top_p = 1.0F;       // 1: off
    float min_p = 0.0F;       // 0: off
    float repetition_penalty = 1.0F;
    float frequency_penalty = 0.0F;
    float presence_penalty = 0.0F;
    std::vector<std::pair<TokenId, float>> logit_bias;
    std::optional<std::uint64_t> seed;  // absent: drawn by the engine
    std::uint32_t choice = 0;  // index among n choices; randomness = f(seed, choice, position)
};

/// The prompt's pages are computed and kept under this name; nothing is generated.
struct PrefixOptions {
    std::string name;
    TimeToLive ttl;
};

/// How the hidden states of a prompt become one vector. mean takes no cached prefix: it is of every
/// token.
enum class Pooling { last, mean };

/// Who goes first. What runs in the background has a small share of the steps while others run, and
/// gives up its place and pages to those that wait for them; it goes on where it was.
enum class Priority { interactive, background };

struct GenerationRequest {
    std::string request_id;  // for log lines
    std::uint32_t domain =
        0;  // isolation domain of the caller: prefixes are reused within one only
    std::uint32_t page_domain = 0;  // where its pages lie: the same, or a part of it
    std::vector<TokenId> prompt;
    std::uint32_t max_tokens = 0;  // at least 1 where anything is generated; the engine stops
                                   // earlier at the context's end
    SamplingOptions sampling;
    std::vector<std::string>
        stop;  // generation ends before the first of these; they are not part of the text
    bool ignore_eos = false;
    std::vector<TokenId> shown_specials;  // special tokens whose text is part of the answer's
    /// What the text must be; it ends where nothing else can follow, whatever ignore_eos says.
    std::shared_ptr<const grammar::Constraint> constraint;
    bool logprobs = false;
    std::uint32_t n_top_logprobs = 0;
    bool is_administrator = false;  // of the caller: its prefixes are common
    Priority priority = Priority::interactive;
    std::string session;                  // empty: nameless
    std::string context;                  // empty: none
    std::optional<PrefixOptions> prefix;  // compute only
    std::optional<Pooling> pooling;       // compute only: the answer is GenerationEnd::embedding
    bool slides = false;   // beyond the context it goes on with attention sinks and a window
    bool is_chat = false;  // the prompt is a rendered conversation: for miss reasons

    /// Somebody keeps its pages by name, or did when it began.
    bool is_named() const { return !session.empty() || !context.empty() || prefix; }
};

/// Why a prompt found less in the cache than it has. An earlier request of the same session is
/// what it is compared with.
enum class MissReason {
    none,         // all that could be reused was
    never_seen,   // as far as this caller's domain goes
    expired,      // was there, its time to live ran out
    evicted,      // was there, pages were short
    retokenized,  // the same text as generated, in other tokens
    template_,    // the template renders what was said otherwise than it was generated
    diverged,     // another text from diverged_at on
};

struct TokenLogprob {
    TokenId id = 0;
    std::string bytes;
    float logprob = 0.0F;
};

struct GeneratedToken {
    TokenId id = 0;
    std::string
        bytes;  // of this token alone, maybe a part of a character; filled with logprobs only
    float logprob = 0.0F;
    std::vector<TokenLogprob> top;  // n_top_logprobs entries, best first
};

/// text is whole UTF-8 characters; it may be empty while a character or a stop string is undecided.
struct GenerationChunk {
    std::string text;
    std::vector<GeneratedToken> tokens;
};

enum class FinishReason { stop, length, cancelled, error };

struct GenerationEnd {
    FinishReason reason = FinishReason::stop;
    std::optional<Error> error;  // with FinishReason::error
    std::uint32_t n_prompt_tokens = 0;
    std::uint32_t n_cached_tokens = 0;
    std::uint32_t n_generated_tokens = 0;
    std::optional<TokenId> end_token;  // drawn last, ended the text; in no chunk
    MissReason miss = MissReason::none;
    std::uint32_t diverged_at = 0;  // token; with retokenized, template_ and diverged
    double prompt_ms = 0;
    double generate_ms = 0;
    /// (dim) of a request with a pooling that ended with stop: after the final norm, of no
    /// particular length.
    std::vector<float> embedding;
};

/// Receives one request's output. Called on the engine's thread, in order; must not block and must
/// not throw. on_end is called exactly once, last, also after cancel.
class GenerationSink {
public:
    virtual ~GenerationSink() = default;
    virtual void on_chunk(GenerationChunk chunk) noexcept = 0;
    virtual void on_end(GenerationEnd end) noexcept = 0;
};

enum class RequestId : std::uint64_t {};

/// Fixed once the model is loaded.
struct ModelInfo {
    std::string id;  // general.name or the file's stem
    std::string architecture;
    std::uint64_t weight_bytes = 0;
    std::uint32_t context_length = 0;
    std::uint32_t window_length = 0;  // of requests that slide; 0: there are none
    std::uint32_t n_vocab = 0;
    std::uint32_t embedding_length = 0;  // values of an embedding
    Pooling pooling = Pooling::last;     // where a request does not say
    std::uint64_t n_parameters = 0;
    std::string chat_template;  // Jinja source; empty: the model has none
    std::string tool_template;  // in its place where there are tools; empty: it is for both
    std::string bos_text;       // tokens as templates write them
    std::string eos_text;
    std::shared_ptr<const Tokenizer> tokenizer;  // its const members may be called from any thread

    const std::string& template_for(bool has_tools) const {
        return has_tools && !tool_template.empty() ? tool_template : chat_template;
    }
};

struct EngineState {
    enum class Phase { loading, ready, failed, stopping };
    Phase phase = Phase::loading;
    double progress = 0;  // 0 to 1 while loading
    std::optional<Error> error;
};

struct EngineMetrics {
    std::uint64_t n_requests_running = 0;
    std::uint64_t n_requests_waiting = 0;
    std::uint64_t n_requests_paused = 0;        // of the background, for others
    std::uint64_t n_requests_paused_total = 0;  // times it happened
    std::uint64_t n_requests_total = 0;
    std::uint64_t n_prompt_tokens_total = 0;
    std::uint64_t n_cached_tokens_total = 0;
    std::uint64_t n_prefill_tokens_total = 0;  // prompt tokens that were computed
    std::uint64_t n_generated_tokens_total = 0;
    std::uint64_t n_pages_total = 0;
    std::uint64_t n_pages_leased = 0;  // held by running sequences
    std::uint64_t n_pages_cached = 0;  // sealed, reusable, evictable
    std::uint64_t n_steps_total = 0;
    std::uint64_t kv_bytes_per_token = 0;
    std::uint64_t kv_bytes_allocated = 0;
    std::uint64_t n_pages_on_host = 0;
    std::uint64_t n_pages_saved_total = 0;   // from the device to host memory
    std::uint64_t n_pages_loaded_total = 0;  // and back
    std::uint64_t host_bytes_allocated = 0;  // for pages in host memory
    std::uint64_t n_sessions = 0;
    std::uint64_t n_prefixes = 0;
    std::uint64_t n_pages_claimed = 0;  // by sessions, prefixes, contexts
    std::uint64_t n_hits_total = 0;     // requests that began on cached pages
    std::uint64_t n_misses_never_seen_total = 0;
    std::uint64_t n_misses_expired_total = 0;
    std::uint64_t n_misses_evicted_total = 0;
    std::uint64_t n_misses_retokenized_total = 0;
    std::uint64_t n_misses_template_total = 0;
    std::uint64_t n_misses_diverged_total = 0;
    std::uint64_t n_evicted_for_space_total = 0;  // pages
    std::uint64_t n_evicted_by_request_total = 0;
    std::uint64_t n_evicted_expired_total = 0;
    std::uint64_t n_evicted_ended_total = 0;  // with a session, prefix or context
    struct Domain {
        std::string name;  // or "unlisted", all together, or "common"
        std::uint64_t bytes = 0;
    };
    std::vector<Domain> domains;  // KV pages on the device
};

/// Every member may be called from any thread and never waits for the device.
class GenerationEngine {
public:
    virtual ~GenerationEngine() = default;
    virtual EngineState state() const = 0;
    /// nullptr until ready.
    virtual std::shared_ptr<const ModelInfo> model() const = 0;
    /// Errors: too_large (prompt does not fit the context or the page budget), exhausted (queue
    /// full), invalid_argument (empty prompt, token out of the vocabulary), unsupported (not
    /// ready).
    virtual Result<RequestId> submit(GenerationRequest request,
                                     std::shared_ptr<GenerationSink> sink) = 0;
    /// The sink's on_end follows with FinishReason::cancelled, unless the request had ended.
    /// Unknown ids do nothing.
    virtual void cancel(RequestId id) = 0;
    virtual EngineMetrics metrics() const = 0;
    /// Runs the task on the engine's thread between two steps, in order of arrival. It must not
    /// block. Where the engine goes first, the task is destroyed without having run.
    /// Errors: unsupported (not ready, or stopping).
    virtual Result<> post(std::function<void(CacheControl&)> task) = 0;
    /// What runs ends as cancelled; returns when the engine's thread is done. Call it before the
    /// last owner lets go: a sink may be an owner too, and a thread cannot wait for itself. Not
    /// from a sink or a task.
    virtual void shut_down() {}
};

}  // namespace kvasir
