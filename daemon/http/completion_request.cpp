#include "daemon/http/completion_request.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <charconv>
#include <fmt/format.h>
#include <limits>

#include "daemon/http/json_writer.hpp"
#include "daemon/http/request_fields.hpp"
#include "daemon/http/unsupported_fields.hpp"

namespace kvasir {

namespace json = boost::json;

namespace {

constexpr std::uint32_t kDefaultCompletionTokens = 16;  // OpenAI's
constexpr std::int64_t kMaxTokens = std::numeric_limits<std::uint32_t>::max();

Outcome read_max_tokens(const JsonFields& fields, CompletionRequest& request) {
    KVASIR_STEP(store(fields.integer("max_tokens", 1, kMaxTokens), request.max_tokens));
    KVASIR_STEP(store(fields.integer("max_completion_tokens", 1, kMaxTokens), request.max_tokens));
    if (!request.is_chat && !request.max_tokens) request.max_tokens = kDefaultCompletionTokens;
    return std::nullopt;
}

Outcome read_logit_bias(const JsonFields& fields, const HttpLimits& limits, std::uint32_t n_vocab,
                        CompletionRequest& request) {
    const json::value* value = fields.find("logit_bias");
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) {
        return field_error("logit_bias", fmt::format("{}, expected an object of token ids",
                                                     json_kind_name(*value)));
    }
    const json::object& biases = value->get_object();
    if (biases.size() > limits.n_logit_biases) {
        return field_error("logit_bias", fmt::format("{} entries, expected at most {}",
                                                     biases.size(), limits.n_logit_biases));
    }
    for (const auto& entry : biases) {
        const std::string_view key(entry.key().data(), entry.key().size());
        TokenId id = 0;
        const auto [end, ec] = std::from_chars(key.data(), key.data() + key.size(), id);
        if (ec != std::errc{} || end != key.data() + key.size() || id >= n_vocab) {
            return field_error("logit_bias", fmt::format("key \"{}\", expected a token id below {}",
                                                         key.substr(0, 32), n_vocab));
        }
        double bias = 0;
        const JsonFields one(biases, "logit_bias.");
        KVASIR_STEP(store(one.number(key, -100, 100), bias));
        request.sampling.logit_bias.emplace_back(id, static_cast<float>(bias));
    }
    return std::nullopt;
}

Outcome read_sampling(const JsonFields& fields, SamplingOptions& sampling) {
    KVASIR_STEP(store(fields.number("temperature", 0, 2), sampling.temperature));
    KVASIR_STEP(store(fields.number("top_p", 0, 1), sampling.top_p));
    // OpenAI allows 0, which leaves the best token; the sampler wants a share above 0.
    if (sampling.top_p <= 0) sampling.top_p = std::numeric_limits<float>::min();
    std::int64_t top_k = 0;
    KVASIR_STEP(
        store(fields.integer("top_k", -1, std::numeric_limits<std::int32_t>::max()), top_k));
    sampling.top_k = top_k < 0 ? 0 : static_cast<std::uint32_t>(top_k);  // -1: off, as elsewhere
    KVASIR_STEP(store(fields.number("min_p", 0, 1), sampling.min_p));
    KVASIR_STEP(store(fields.number("repetition_penalty", 0.01, 10), sampling.repetition_penalty));
    KVASIR_STEP(store(fields.number("frequency_penalty", -2, 2), sampling.frequency_penalty));
    KVASIR_STEP(store(fields.number("presence_penalty", -2, 2), sampling.presence_penalty));
    std::optional<std::int64_t> seed;
    KVASIR_STEP(store(fields.integer("seed", std::numeric_limits<std::int64_t>::min(),
                                     std::numeric_limits<std::int64_t>::max()),
                      seed));
    if (seed) sampling.seed = static_cast<std::uint64_t>(*seed);
    return std::nullopt;
}

}  // namespace

Outcome read_stop(const JsonFields& fields, const HttpLimits& limits, CompletionRequest& request) {
    const json::value* value = fields.find("stop");
    const std::string param = fields.param("stop");
    if (value == nullptr) return std::nullopt;
    const auto add = [&](const json::value& one) -> Outcome {
        if (!one.is_string()) {
            return field_error(param, fmt::format("{} among the stop strings, expected strings",
                                                  json_kind_name(one)));
        }
        const std::string_view text = text_of(one);
        if (text.empty() || text.size() > limits.stop_bytes) {
            return field_error(param, fmt::format("a string of {} bytes, expected 1 to {}",
                                                  text.size(), limits.stop_bytes));
        }
        request.stop.emplace_back(text);
        return std::nullopt;
    };
    if (value->is_string()) return add(*value);
    if (!value->is_array()) {
        return field_error(param, fmt::format("{}, expected a string or an array of strings",
                                              json_kind_name(*value)));
    }
    const json::array& array = value->get_array();
    if (array.size() > limits.n_stops) {
        return field_error(
            "stop", fmt::format("{} strings, expected at most {}", array.size(), limits.n_stops));
    }
    for (const json::value& one : array) KVASIR_STEP(add(one));
    return std::nullopt;
}

namespace {

Outcome read_stream(const JsonFields& fields, CompletionRequest& request) {
    KVASIR_STEP(store(fields.boolean("stream"), request.stream));
    const json::value* options = fields.find("stream_options");
    if (options == nullptr) return std::nullopt;
    if (!options->is_object()) {
        return field_error("stream_options",
                           fmt::format("{}, expected an object", json_kind_name(*options)));
    }
    if (!request.stream)
        return field_error("stream_options", "present, expected only with stream: true");
    return store(JsonFields(options->get_object(), "stream_options.").boolean("include_usage"),
                 request.include_usage);
}

Outcome read_choices(const JsonFields& fields, const HttpLimits& limits,
                     CompletionRequest& request) {
    const auto max_n = static_cast<std::int64_t>(limits.n_choices);
    KVASIR_STEP(store(fields.integer("n", 1, max_n), request.n));
    if (request.n_choices() > limits.n_choices) {
        return field_error("n", fmt::format("{} choices with these prompts, expected at most {}",
                                            request.n_choices(), limits.n_choices));
    }
    std::int64_t best_of = request.n;
    KVASIR_STEP(store(fields.integer("best_of", 1, max_n), best_of));
    if (best_of != request.n) {
        return ApiError{
            ErrorKind::unsupported_parameter,
            fmt::format("best_of: {}, expected n = {}: ranking is not supported by this server",
                        best_of, request.n),
            "best_of"};
    }
    return std::nullopt;
}

}  // namespace

Outcome check_name(std::string_view name, std::string_view param) {
    constexpr std::size_t kMostBytes = 128;
    if (name.empty() || name.size() > kMostBytes) {
        return field_error(param,
                           fmt::format("{} bytes, expected 1 to {}", name.size(), kMostBytes));
    }
    const auto is_control = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    };
    if (std::ranges::any_of(name, is_control) || to_valid_utf8(name) != name)
        return field_error(param, "control characters or invalid UTF-8, expected neither");
    return std::nullopt;
}

Outcome read_name(const JsonFields& fields, std::string_view param, std::string& name) {
    ApiResult<std::optional<std::string_view>> found = fields.string(param);
    if (found.has_error()) return std::move(found).error();
    if (!*found) return std::nullopt;
    KVASIR_STEP(check_name(**found, param));
    name = **found;
    return std::nullopt;
}

Outcome read_priority(const JsonFields& fields, Priority& priority) {
    const ApiResult<std::optional<std::string_view>> found = fields.string("priority");
    if (found.has_error()) return found.error();
    if (!*found) return std::nullopt;
    const std::string_view word = **found;
    if (word != "interactive" && word != "background") {
        return field_error(fields.param("priority"),
                           fmt::format("\"{}\", expected interactive or background", word));
    }
    priority = word == "background" ? Priority::background : Priority::interactive;
    return std::nullopt;
}

Outcome read_overflow(const JsonFields& fields, CompletionRequest& request) {
    std::string_view overflow = "error";
    KVASIR_STEP(store(fields.string("overflow"), overflow));
    if (overflow == "error") return std::nullopt;
    if (overflow == "truncate" && request.is_chat) {
        request.truncates = true;
        return std::nullopt;
    }
    if (overflow == "truncate") {
        return ApiError{ErrorKind::unsupported_parameter,
                        "overflow: truncate is for chats, a prompt has no turns", "overflow"};
    }
    if (overflow == "window") {
        request.slides = true;
        return std::nullopt;
    }
    return field_error("overflow", "expected error, truncate or window");
}

Outcome read_common(const json::object& body, const HttpLimits& limits, std::uint32_t n_vocab,
                    CompletionRequest& request) {
    const JsonFields fields(body);
    if (std::optional<ApiError> unsupported = find_unsupported_field(body)) return unsupported;
    std::string_view model;  // one model is loaded; its name is checked for type alone
    KVASIR_STEP(store(fields.string("model"), model));
    KVASIR_STEP(read_max_tokens(fields, request));
    KVASIR_STEP(read_sampling(fields, request.sampling));
    KVASIR_STEP(read_logit_bias(fields, limits, n_vocab, request));
    KVASIR_STEP(read_stop(fields, limits, request));
    KVASIR_STEP(read_choices(fields, limits, request));
    KVASIR_STEP(store(fields.boolean("ignore_eos"), request.ignore_eos));
    KVASIR_STEP(store(fields.boolean("return_tokens"), request.return_tokens));
    KVASIR_STEP(read_name(fields, "prompt_cache_key", request.session));
    KVASIR_STEP(read_name(fields, "session_id", request.session));
    KVASIR_STEP(read_name(fields, "context", request.context));
    KVASIR_STEP(read_name(fields, "cache_salt", request.cache_salt));
    std::string_view tier;  // OpenAI's: its "flex" is the background
    KVASIR_STEP(store(fields.string("service_tier"), tier));
    if (tier == "flex") request.priority = Priority::background;
    KVASIR_STEP(read_priority(fields, request.priority));
    KVASIR_STEP(read_overflow(fields, request));
    KVASIR_STEP(read_constraint(fields, request));
    return read_stream(fields, request);
}

Outcome add_prompt(const json::value& value, std::string_view param, std::uint32_t n_vocab,
                   CompletionRequest& request) {
    if (value.is_string()) {
        request.prompts.emplace_back(std::string(text_of(value)));
        return std::nullopt;
    }
    if (!value.is_array()) {
        return field_error(param, fmt::format("{}, expected a string or an array of token ids",
                                              json_kind_name(value)));
    }
    ApiResult<std::vector<TokenId>> ids = parse_token_ids(value.get_array(), param, n_vocab);
    if (ids.has_error()) return std::move(ids).error();
    request.prompts.emplace_back(std::move(*ids));
    return std::nullopt;
}

Outcome read_prompts(const JsonFields& fields, std::string_view name, std::size_t n_most,
                     std::uint32_t n_vocab, CompletionRequest& request) {
    const json::value* value = fields.find(name);
    if (value == nullptr) return field_error(name, "missing");
    // An array whose first element is a number is one prompt of ids; else an array of prompts.
    const bool several =
        value->is_array() && !value->get_array().empty() && !value->get_array()[0].is_number();
    if (!several) return add_prompt(*value, name, n_vocab, request);
    const json::array& array = value->get_array();
    if (array.size() > n_most)
        return field_error(
            name, fmt::format("an array of {}, expected at most {}", array.size(), n_most));
    for (std::size_t i = 0; i < array.size(); ++i)
        KVASIR_STEP(add_prompt(array[i], fmt::format("{}[{}]", name, i), n_vocab, request));
    return std::nullopt;
}

namespace {

Outcome read_completion(const json::object& body, const HttpLimits& limits, std::uint32_t n_vocab,
                        CompletionRequest& request) {
    const JsonFields fields(body);
    KVASIR_STEP(read_prompts(fields, "prompt", limits.n_choices, n_vocab, request));
    KVASIR_STEP(read_common(body, limits, n_vocab, request));
    KVASIR_STEP(store(fields.boolean("echo"), request.echo));
    std::optional<std::uint32_t> n_logprobs;
    KVASIR_STEP(store(fields.integer("logprobs", 0, limits.n_top_logprobs), n_logprobs));
    request.logprobs = n_logprobs.has_value();
    request.n_top_logprobs = n_logprobs.value_or(0);
    if (request.echo && request.logprobs) {
        return ApiError{ErrorKind::unsupported_parameter,
                        "echo: true with logprobs is not supported by this server", "echo"};
    }
    return std::nullopt;
}

}  // namespace

ApiResult<CompletionRequest> parse_completion_request(std::string_view body,
                                                      const HttpLimits& limits,
                                                      std::uint32_t n_vocab) {
    KVASIR_TRY(const json::object object, parse_json_object(body, limits.json_depth));
    CompletionRequest request;
    if (Outcome outcome = read_completion(object, limits, n_vocab, request))
        return std::move(*outcome);
    return request;
}

ApiResult<std::vector<TokenId>> parse_token_ids(const json::array& array, std::string_view param,
                                                std::uint32_t n_vocab) {
    std::vector<TokenId> ids;
    ids.reserve(array.size());
    for (std::size_t i = 0; i < array.size(); ++i) {
        const json::value& one = array[i];
        if (!one.is_int64() && !one.is_uint64()) {
            return field_error(
                param, fmt::format("{} at index {}, expected a token id", json_kind_name(one), i));
        }
        const bool fits = one.is_int64() && one.get_int64() >= 0 && one.get_int64() < n_vocab;
        if (!fits) {
            return field_error(
                param, fmt::format("id at index {} out of the vocabulary, expected 0 to {}", i,
                                   n_vocab - 1));
        }
        ids.push_back(static_cast<TokenId>(one.get_int64()));
    }
    return ids;
}

}  // namespace kvasir
