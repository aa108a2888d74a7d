#include "daemon/http/ollama_options.hpp"

#include <boost/json/object.hpp>
#include <fmt/format.h>
#include <limits>

namespace kvasir {

namespace json = boost::json;

namespace {

// Source: Ollama's docs/modelfile.mdx, "Valid Parameters and Values". The repeat penalty is off:
// here it looks at the whole text, not at the last 64 tokens.
constexpr float kTemperature = 0.8F;
constexpr std::uint32_t kTopK = 40;
constexpr float kTopP = 0.9F;

constexpr std::int64_t kMaxInt = std::numeric_limits<std::int32_t>::max();

/// How a model is loaded and run: settings of the daemon, none of a request.
Outcome check_runner_options(const JsonFields& options) {
    for (const char* name : {"num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread"}) {
        std::int64_t ignored = 0;
        KVASIR_STEP(store(options.integer(name, -kMaxInt, kMaxInt), ignored));
    }
    for (const char* name : {"numa", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mmap",
                             "use_mlock", "embedding_only", "penalize_newline"}) {
        bool ignored = false;
        KVASIR_STEP(store(options.boolean(name), ignored));
    }
    for (const char* name : {"mirostat_tau", "mirostat_eta"}) {
        double ignored = 0;
        KVASIR_STEP(store(options.number(name, -1e9, 1e9), ignored));
    }
    return std::nullopt;
}

ApiError unsupported(const JsonFields& options, std::string_view name, std::string_view expected) {
    return {
        ErrorKind::unsupported_parameter,
        fmt::format("{}: not supported by this server, expected {}", options.param(name), expected),
        options.param(name)};
}

/// Samplers that this server has not: their value for "off" is all that passes.
Outcome check_other_samplers(const JsonFields& options) {
    std::int64_t mirostat = 0;
    KVASIR_STEP(store(options.integer("mirostat", 0, 2), mirostat));
    if (mirostat != 0) return unsupported(options, "mirostat", "0");
    for (const char* name : {"typical_p", "tfs_z"}) {
        double value = 1;
        KVASIR_STEP(store(options.number(name, 0, 1e9), value));
        if (value != 1) return unsupported(options, name, "1");
    }
    return std::nullopt;
}

Outcome read_penalties(const JsonFields& options, const ModelInfo& model,
                       SamplingOptions& sampling) {
    KVASIR_STEP(store(options.number("repeat_penalty", 0.01, 10), sampling.repetition_penalty));
    KVASIR_STEP(store(options.number("presence_penalty", -2, 2), sampling.presence_penalty));
    KVASIR_STEP(store(options.number("frequency_penalty", -2, 2), sampling.frequency_penalty));
    std::int64_t n_last = -1;
    KVASIR_STEP(store(options.integer("repeat_last_n", -1, kMaxInt), n_last));
    const bool is_off = sampling.repetition_penalty == 1 && sampling.presence_penalty == 0 &&
                        sampling.frequency_penalty == 0;
    if (n_last == 0) {
        sampling.repetition_penalty = 1;
        sampling.presence_penalty = 0;
        sampling.frequency_penalty = 0;
    } else if (!is_off && n_last != -1 && n_last < model.context_length) {
        return unsupported(options, "repeat_last_n", "-1: penalties look at the whole text");
    }
    return std::nullopt;
}

Outcome read_sampling(const JsonFields& options, SamplingOptions& sampling) {
    KVASIR_STEP(store(options.number("temperature", 0, 2), sampling.temperature));
    std::int64_t top_k = kTopK;
    KVASIR_STEP(store(options.integer("top_k", -1, kMaxInt), top_k));
    sampling.top_k = top_k < 0 ? 0 : static_cast<std::uint32_t>(top_k);
    KVASIR_STEP(store(options.number("top_p", 0, 1), sampling.top_p));
    if (sampling.top_p <= 0) sampling.top_p = std::numeric_limits<float>::min();
    KVASIR_STEP(store(options.number("min_p", 0, 1), sampling.min_p));
    std::optional<std::int64_t> seed;
    KVASIR_STEP(store(options.integer("seed", std::numeric_limits<std::int64_t>::min(),
                                      std::numeric_limits<std::int64_t>::max()),
                      seed));
    if (seed && *seed != -1) sampling.seed = static_cast<std::uint64_t>(*seed);  // -1: any
    return std::nullopt;
}

Outcome read_lengths(const JsonFields& options, const ModelInfo& model,
                     CompletionRequest& request) {
    std::int64_t n_predict = -1;
    KVASIR_STEP(store(options.integer("num_predict", -2, kMaxInt), n_predict));
    if (n_predict == 0) {
        return field_error(options.param("num_predict"),
                           "0, expected at least 1, or -1 or -2: to the end of the context");
    }
    if (n_predict > 0) request.max_tokens = static_cast<std::uint32_t>(n_predict);
    std::int64_t n_context = 1;
    KVASIR_STEP(store(options.integer("num_ctx", 1, kMaxInt), n_context));
    if (n_context > model.context_length) {
        return field_error(options.param("num_ctx"),
                           fmt::format("{} tokens, expected at most the context of {} tokens",
                                       n_context, model.context_length));
    }
    return std::nullopt;
}

}  // namespace

Outcome read_ollama_options(const JsonFields& fields, const HttpLimits& limits,
                            const ModelInfo& model, CompletionRequest& request) {
    request.sampling.temperature = kTemperature;
    request.sampling.top_k = kTopK;
    request.sampling.top_p = kTopP;
    const json::value* value = fields.find("options");
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) {
        return field_error("options",
                           fmt::format("{}, expected an object", json_kind_name(*value)));
    }
    const JsonFields options(value->get_object(), "options.");
    KVASIR_STEP(check_runner_options(options));
    KVASIR_STEP(check_other_samplers(options));
    KVASIR_STEP(read_sampling(options, request.sampling));
    KVASIR_STEP(read_penalties(options, model, request.sampling));
    KVASIR_STEP(read_lengths(options, model, request));
    return read_stop(options, limits, request);
}

Outcome check_keep_alive(const JsonFields& fields) {
    const json::value* value = fields.find("keep_alive");
    if (value == nullptr || value->is_number() || value->is_string()) return std::nullopt;
    return field_error("keep_alive",
                       fmt::format("{}, expected seconds or a string", json_kind_name(*value)));
}

}  // namespace kvasir
