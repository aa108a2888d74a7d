#include "daemon/http/embedding_request.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "daemon/http/ollama_options.hpp"
#include "daemon/http/set_conversation.hpp"

namespace kvasir {

namespace json = boost::json;

namespace {

/// Ours, on every route: "last" or "mean".
Outcome read_pooling(const JsonFields& fields, const ModelInfo& model, CompletionRequest& request) {
    request.pooling = model.pooling;
    std::optional<std::string_view> pooling;
    KVASIR_STEP(store(fields.string("pooling"), pooling));
    if (!pooling) return std::nullopt;
    if (*pooling != "last" && *pooling != "mean") {
        return field_error("pooling",
                           fmt::format("\"{}\", expected last or mean", pooling->substr(0, 32)));
    }
    request.pooling = *pooling == "mean" ? Pooling::mean : Pooling::last;
    return std::nullopt;
}

/// least: OpenAI's clients leave the field out, some of Ollama's send 0.
Outcome read_dimensions(const JsonFields& fields, const ModelInfo& model, std::int64_t least,
                        EmbeddingRequest& read) {
    std::uint32_t dimensions = 0;
    KVASIR_STEP(store(fields.integer("dimensions", least, model.embedding_length), dimensions));
    read.n_values = dimensions == 0 ? model.embedding_length : dimensions;
    return std::nullopt;
}

/// What all routes have, but for the inputs.
Outcome read_all(const JsonFields& fields, const ModelInfo& model, CompletionRequest& request) {
    std::string_view ignored;  // one model is loaded; its name is checked for type alone
    KVASIR_STEP(store(fields.string("model"), ignored));
    KVASIR_STEP(read_pooling(fields, model, request));
    KVASIR_STEP(read_name(fields, "session_id", request.session));
    KVASIR_STEP(read_name(fields, "context", request.context));
    KVASIR_STEP(read_name(fields, "cache_salt", request.cache_salt));
    return read_priority(fields, request.priority);
}

Outcome check_size(const EmbeddingRequest& read, const HttpLimits& limits) {
    const std::size_t n = read.request.prompts.size();
    const std::size_t n_most = limits.n_embedding_values / std::max(1U, read.n_values);
    if (n <= n_most) return std::nullopt;
    return field_error("input", fmt::format("{} vectors of {} values, expected at most {} of them",
                                            n, read.n_values, n_most));
}

Outcome read_encoding(const JsonFields& fields, bool& is_base64) {
    std::string_view encoding = "float";
    KVASIR_STEP(store(fields.string("encoding_format"), encoding));
    if (encoding != "float" && encoding != "base64") {
        return field_error("encoding_format",
                           fmt::format("\"{}\", expected float or base64", encoding.substr(0, 32)));
    }
    is_base64 = encoding == "base64";
    return std::nullopt;
}

Outcome read_openai(const json::object& body, const HttpLimits& limits, const ModelInfo& model,
                    EmbeddingRequest& read) {
    const JsonFields fields(body);
    // Other servers': what they would change is not to be had.
    KVASIR_STEP(refuse_fields(fields, {"stream", "messages", "content", "truncate_prompt_tokens",
                                       "input_type", "task", "late_chunking", "embd_normalize"}));
    std::string_view user;  // for OpenAI's own use
    KVASIR_STEP(store(fields.string("user"), user));
    KVASIR_STEP(read_name(fields, "prompt_cache_key", read.request.session));
    KVASIR_STEP(read_all(fields, model, read.request));
    KVASIR_STEP(read_encoding(fields, read.is_base64));
    KVASIR_STEP(read_dimensions(fields, model, 1, read));
    KVASIR_STEP(read_prompts(fields, "input", limits.n_inputs, model.n_vocab, read.request));
    return check_size(read, limits);
}

/// Ollama's common fields. truncates: whether an input's end goes where the request does not say.
Outcome read_ollama(const JsonFields& fields, const HttpLimits& limits, const ModelInfo& model,
                    bool truncates, CompletionRequest& request) {
    KVASIR_STEP(refuse_fields(fields, {"images"}));
    KVASIR_STEP(read_all(fields, model, request));
    KVASIR_STEP(check_keep_alive(fields));
    KVASIR_STEP(read_ollama_options(fields, limits, model, request));
    request.truncates = truncates;
    return store(fields.boolean("truncate"), request.truncates);
}

/// A text or several; "" alone is none at all.
Outcome read_texts(const JsonFields& fields, const HttpLimits& limits, CompletionRequest& request) {
    const json::value* value = fields.find("input");
    if (value == nullptr) return std::nullopt;
    if (value->is_string()) {
        if (!text_of(*value).empty()) request.prompts.emplace_back(std::string(text_of(*value)));
        return std::nullopt;
    }
    if (!value->is_array()) {
        return field_error("input", fmt::format("{}, expected a string or an array of strings",
                                                json_kind_name(*value)));
    }
    const json::array& texts = value->get_array();
    if (texts.size() > limits.n_inputs) {
        return field_error("input", fmt::format("an array of {}, expected at most {}", texts.size(),
                                                limits.n_inputs));
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (!texts[i].is_string()) {
            return field_error(fmt::format("input[{}]", i),
                               fmt::format("{}, expected a string", json_kind_name(texts[i])));
        }
        request.prompts.emplace_back(std::string(text_of(texts[i])));
    }
    return std::nullopt;
}

Outcome read_embed(const json::object& body, const HttpLimits& limits, const ModelInfo& model,
                   EmbeddingRequest& read) {
    const JsonFields fields(body);
    KVASIR_STEP(read_ollama(fields, limits, model, true, read.request));
    KVASIR_STEP(read_dimensions(fields, model, 0, read));
    KVASIR_STEP(read_texts(fields, limits, read.request));
    return check_size(read, limits);
}

/// The older route; it has one text, and an error for one that is too long.
Outcome read_embeddings(const json::object& body, const HttpLimits& limits, const ModelInfo& model,
                        EmbeddingRequest& read) {
    const JsonFields fields(body);
    KVASIR_STEP(read_ollama(fields, limits, model, false, read.request));
    read.n_values = model.embedding_length;
    std::string_view prompt;
    KVASIR_STEP(store(fields.string("prompt"), prompt));
    if (!prompt.empty()) read.request.prompts.emplace_back(std::string(prompt));
    return std::nullopt;
}

using Read = Outcome (*)(const json::object& body, const HttpLimits& limits, const ModelInfo& model,
                         EmbeddingRequest& read);

ApiResult<EmbeddingRequest> parse(std::string_view body, const HttpLimits& limits,
                                  const ModelInfo& model, Read read_fields) {
    KVASIR_TRY(const json::object object, parse_json_object(body, limits.json_depth));
    EmbeddingRequest read;
    if (Outcome wrong = read_fields(object, limits, model, read)) return std::move(*wrong);
    return read;
}

}  // namespace

ApiResult<EmbeddingRequest> parse_embeddings(std::string_view body, const HttpLimits& limits,
                                             const ModelInfo& model) {
    return parse(body, limits, model, read_openai);
}

ApiResult<EmbeddingRequest> parse_ollama_embed(std::string_view body, const HttpLimits& limits,
                                               const ModelInfo& model) {
    return parse(body, limits, model, read_embed);
}

ApiResult<EmbeddingRequest> parse_ollama_embeddings(std::string_view body, const HttpLimits& limits,
                                                    const ModelInfo& model) {
    return parse(body, limits, model, read_embeddings);
}

}  // namespace kvasir
