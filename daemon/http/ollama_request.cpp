#include "daemon/http/ollama_request.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>
#include <utility>

#include "daemon/http/chat_text.hpp"
#include "daemon/http/ollama_messages.hpp"
#include "daemon/http/ollama_options.hpp"
#include "daemon/http/set_conversation.hpp"
#include "daemon/model/tokenizer.hpp"

namespace kvasir {

namespace json = boost::json;

namespace {

/// As the model's template wants it: true or false, or an effort by name.
Outcome read_think(const JsonFields& fields, json::object& template_variables) {
    const json::value* value = fields.find("think");
    if (value == nullptr) return std::nullopt;
    if (value->is_bool()) {
        template_variables["enable_thinking"] = value->get_bool();
        return std::nullopt;
    }
    if (!value->is_string()) {
        return field_error("think", fmt::format("{}, expected true, false, \"high\", \"medium\" or "
                                                "\"low\"",
                                                json_kind_name(*value)));
    }
    const std::string_view effort = text_of(*value);
    if (effort != "high" && effort != "medium" && effort != "low")
        return field_error("think", "expected true, false, \"high\", \"medium\" or \"low\"");
    template_variables["enable_thinking"] = true;
    template_variables["reasoning_effort"] = value->get_string();
    return std::nullopt;
}

/// truncate, on unless said otherwise: a chat's oldest turns go. shift: beyond the context it goes
/// on with what is left of it.
Outcome read_overflow(const JsonFields& fields, const ModelInfo& model,
                      CompletionRequest& request) {
    bool truncates = true;
    KVASIR_STEP(store(fields.boolean("truncate"), truncates));
    request.truncates = truncates;
    KVASIR_STEP(store(fields.boolean("shift"), request.slides));
    if (request.slides && model.window_length == 0) {
        return ApiError{ErrorKind::unsupported_parameter,
                        "shift: needs attention sinks: engine.sinks is 0, or the model's positions "
                        "are learned",
                        "shift"};
    }
    return std::nullopt;
}

Outcome read_both(const JsonFields& fields, const HttpLimits& limits, const ModelInfo& model,
                  CompletionRequest& request) {
    KVASIR_STEP(refuse_fields(fields, {"suffix", "images", "template", "logprobs", "top_logprobs",
                                       "width", "height", "steps"}));
    std::string_view ignored;  // one model is loaded; its name is checked for type alone
    KVASIR_STEP(store(fields.string("model"), ignored));
    KVASIR_STEP(check_keep_alive(fields));
    KVASIR_STEP(read_ollama_format(fields, request));
    KVASIR_STEP(read_ollama_options(fields, limits, model, request));
    KVASIR_STEP(read_overflow(fields, model, request));
    KVASIR_STEP(read_name(fields, "session_id", request.session));
    KVASIR_STEP(read_name(fields, "cache_salt", request.cache_salt));
    KVASIR_STEP(read_priority(fields, request.priority));
    request.stream = true;
    return store(fields.boolean("stream"), request.stream);
}

Outcome read_chat(json::object& body, const HttpLimits& limits, const ModelInfo& model,
                  OllamaRequest& read) {
    const JsonFields fields(body);
    KVASIR_STEP(read_both(fields, limits, model, read.request));
    Conversation said;
    KVASIR_STEP(read_think(fields, said.template_variables));
    KVASIR_STEP(read_ollama_messages(fields, said.messages));
    read.is_load = said.messages.empty();
    if (read.is_load) return std::nullopt;
    KVASIR_STEP(set_conversation(std::move(said), body, model, read.request));
    return apply_call_grammar(read.request);
}

bool has_chat_format(const ModelInfo& model) {
    return chat_writer(model) == ChatWriter::model_template ||
           (model.tokenizer->find_special("<|im_start|>") &&
            model.tokenizer->find_special("<|im_end|>"));
}

/// What an earlier answer gave as its context.
Outcome read_context(const JsonFields& fields, const ModelInfo& model, std::vector<TokenId>& ids) {
    const json::value* value = fields.find("context");
    if (value == nullptr) return std::nullopt;
    if (!value->is_array()) {
        return field_error(
            "context", fmt::format("{}, expected an array of token ids", json_kind_name(*value)));
    }
    ApiResult<std::vector<TokenId>> found =
        parse_token_ids(value->get_array(), "context", model.n_vocab);
    if (found.has_error()) return std::move(found).error();
    ids = std::move(*found);
    return std::nullopt;
}

Outcome read_generate(json::object& body, const HttpLimits& limits, const ModelInfo& model,
                      OllamaRequest& read) {
    const JsonFields fields(body);
    CompletionRequest& request = read.request;
    KVASIR_STEP(refuse_fields(fields, {"tools"}));
    KVASIR_STEP(read_both(fields, limits, model, request));
    std::string_view prompt;
    KVASIR_STEP(store(fields.string("prompt"), prompt));
    std::string_view system;
    KVASIR_STEP(store(fields.string("system"), system));
    bool is_raw = false;
    KVASIR_STEP(store(fields.boolean("raw"), is_raw));
    Conversation said;
    KVASIR_STEP(read_think(fields, said.template_variables));
    KVASIR_STEP(read_context(fields, model, request.before));
    if (is_raw && !system.empty()) return field_error("system", "present, expected without raw");
    if (is_raw && !request.before.empty())
        return field_error("context", "present, expected without raw");
    request.truncates = false;  // there are no turns to drop
    read.is_load = prompt.empty();
    read.returns_context = !is_raw;
    if (read.is_load) return std::nullopt;
    // A model that was never taught to chat gets the prompt as it is.
    if (is_raw || (!has_chat_format(model) && system.empty() && request.before.empty())) {
        request.prompts.emplace_back(std::string(prompt));
        return std::nullopt;
    }
    const auto say = [&](const char* role, std::string_view content) {
        said.messages.push_back(json::object{
            {"role", role}, {"content", json::string_view(content.data(), content.size())}});
    };
    if (!system.empty()) say("system", system);
    say("user", prompt);
    return set_conversation(std::move(said), body, model, request);
}

}  // namespace

ApiResult<OllamaRequest> parse_ollama_chat(std::string_view body, const HttpLimits& limits,
                                           const ModelInfo& model) {
    KVASIR_TRY(json::object object, parse_json_object(body, limits.json_depth));
    OllamaRequest read;
    if (Outcome wrong = read_chat(object, limits, model, read)) return std::move(*wrong);
    return read;
}

ApiResult<OllamaRequest> parse_ollama_generate(std::string_view body, const HttpLimits& limits,
                                               const ModelInfo& model) {
    KVASIR_TRY(json::object object, parse_json_object(body, limits.json_depth));
    OllamaRequest read;
    if (Outcome wrong = read_generate(object, limits, model, read)) return std::move(*wrong);
    return read;
}

}  // namespace kvasir
