// The body of POST /v1/chat/completions.
#include <boost/json/array.hpp>
#include <fmt/format.h>

#include "daemon/http/request_fields.hpp"

namespace kvasir {

namespace json = boost::json;

namespace {

/// A string, or an array of {"type": "text", "text": "..."}.
Outcome read_content(const JsonFields& message, std::string& content) {
    const json::value* value = message.find("content");
    const std::string param = message.param("content");
    if (value == nullptr) return field_error(param, "missing");
    if (value->is_string()) {
        content = text_of(*value);
        return std::nullopt;
    }
    if (!value->is_array()) {
        return field_error(param, fmt::format("{}, expected a string or an array of parts",
                                              json_kind_name(*value)));
    }
    for (std::size_t i = 0; i < value->get_array().size(); ++i) {
        const json::value& part = value->get_array()[i];
        const std::string part_param = fmt::format("{}[{}]", param, i);
        if (!part.is_object()) {
            return field_error(part_param,
                               fmt::format("{}, expected an object", json_kind_name(part)));
        }
        const JsonFields fields(part.get_object(), part_param + ".");
        std::string_view type;
        KVASIR_STEP(store(fields.string("type"), type));
        if (type != "text") {
            return ApiError{
                ErrorKind::unsupported_parameter,
                fmt::format("{}.type: \"{}\", expected \"text\"", part_param, type.substr(0, 32)),
                part_param + ".type"};
        }
        std::optional<std::string_view> text;
        KVASIR_STEP(store(fields.string("text"), text));
        if (!text) return field_error(part_param + ".text", "missing");
        content += *text;
    }
    return std::nullopt;
}

Outcome read_role(const JsonFields& fields, ChatRole& role) {
    std::optional<std::string_view> name;
    KVASIR_STEP(store(fields.string("role"), name));
    if (!name) return field_error(fields.param("role"), "missing");
    if (*name == "system" || *name == "developer") {
        role = ChatRole::system;
    } else if (*name == "user") {
        role = ChatRole::user;
    } else if (*name == "assistant") {
        role = ChatRole::assistant;
    } else if (*name == "tool" || *name == "function") {
        return ApiError{ErrorKind::unsupported_parameter,
                        fmt::format("{}: \"{}\": tools are not supported by this server",
                                    fields.param("role"), *name),
                        fields.param("role")};
    } else {
        return field_error(fields.param("role"),
                           fmt::format("\"{}\", expected system, developer, user or assistant",
                                       name->substr(0, 32)));
    }
    return std::nullopt;
}

}  // namespace

Outcome read_messages(const JsonFields& fields, CompletionRequest& request) {
    const json::value* value = fields.find("messages");
    if (value == nullptr) return field_error("messages", "missing");
    if (!value->is_array() || value->get_array().empty()) {
        return field_error("messages",
                           fmt::format("{}, expected an array of messages",
                                       value->is_array() ? "empty" : json_kind_name(*value)));
    }
    for (std::size_t i = 0; i < value->get_array().size(); ++i) {
        const json::value& one = value->get_array()[i];
        const std::string param = fmt::format("messages[{}]", i);
        if (!one.is_object())
            return field_error(param, fmt::format("{}, expected an object", json_kind_name(one)));
        const JsonFields message(one.get_object(), param + ".");
        ChatMessage& read = request.messages.emplace_back();
        KVASIR_STEP(read_role(message, read.role));
        for (const char* name : {"tool_calls", "function_call"}) {
            if (const json::value* calls = message.find(name);
                calls != nullptr && !(calls->is_array() && calls->get_array().empty())) {
                return ApiError{
                    ErrorKind::unsupported_parameter,
                    fmt::format("{}: tools are not supported by this server", message.param(name)),
                    message.param(name)};
            }
        }
        KVASIR_STEP(read_content(message, read.content));
    }
    return std::nullopt;
}

namespace {

Outcome read_chat(const json::object& body, const HttpLimits& limits, std::uint32_t n_vocab,
                  CompletionRequest& request) {
    const JsonFields fields(body);
    request.is_chat = true;
    if (!request.chat_variables) KVASIR_STEP(read_messages(fields, request));
    KVASIR_STEP(read_common(body, limits, n_vocab, request));
    KVASIR_STEP(apply_call_grammar(request));
    KVASIR_STEP(store(fields.boolean("logprobs"), request.logprobs));
    std::optional<std::uint32_t> n_top;
    KVASIR_STEP(store(fields.integer("top_logprobs", 0, limits.n_top_logprobs), n_top));
    if (n_top.value_or(0) > 0 && !request.logprobs)
        return field_error("top_logprobs", "present, expected only with logprobs: true");
    request.n_top_logprobs = n_top.value_or(0);
    return std::nullopt;
}

}  // namespace

ApiResult<CompletionRequest> parse_chat_request(std::string_view body, const HttpLimits& limits,
                                                std::uint32_t n_vocab, ChatWriter writer) {
    KVASIR_TRY(json::object object, parse_json_object(body, limits.json_depth));
    CompletionRequest request;
    if (writer == ChatWriter::model_template) {
        if (Outcome wrong = take_chat_variables(object, true, request)) return std::move(*wrong);
    }
    if (Outcome outcome = read_chat(object, limits, n_vocab, request)) return std::move(*outcome);
    return request;
}

}  // namespace kvasir
