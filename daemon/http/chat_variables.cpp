// What a model's chat template gets to see of a request's body.
#include <boost/json/array.hpp>
#include <fmt/format.h>

#include "daemon/http/request_fields.hpp"

namespace kvasir {

namespace json = boost::json;

namespace {

/// Images and sound have no way into the model yet: a template would write their place only.
Outcome check_parts(const json::value& content, const std::string& param) {
    if (!content.is_array()) return std::nullopt;
    for (std::size_t i = 0; i < content.get_array().size(); ++i) {
        const json::value& part = content.get_array()[i];
        const std::string part_param = fmt::format("{}[{}]", param, i);
        if (!part.is_object()) {
            return field_error(part_param,
                               fmt::format("{}, expected an object", json_kind_name(part)));
        }
        const json::value* type = part.get_object().if_contains("type");
        if (type == nullptr || (type->is_string() && text_of(*type) == "text")) continue;
        return ApiError{ErrorKind::unsupported_parameter,
                        fmt::format("{}.type: expected \"text\"", part_param),
                        part_param + ".type"};
    }
    return std::nullopt;
}

Outcome check_messages(const json::value& messages) {
    if (!messages.is_array() || messages.get_array().empty()) {
        return field_error("messages",
                           fmt::format("{}, expected an array of messages",
                                       messages.is_array() ? "empty" : json_kind_name(messages)));
    }
    for (std::size_t i = 0; i < messages.get_array().size(); ++i) {
        const json::value& message = messages.get_array()[i];
        const std::string param = fmt::format("messages[{}]", i);
        if (!message.is_object()) {
            return field_error(param,
                               fmt::format("{}, expected an object", json_kind_name(message)));
        }
        const JsonFields fields(message.get_object(), param + ".");
        std::optional<std::string_view> role;
        KVASIR_STEP(store(fields.string("role"), role));
        if (!role) return field_error(fields.param("role"), "missing");
        if (const json::value* content = fields.find("content"))
            KVASIR_STEP(check_parts(*content, fields.param("content")));
        const bool has_other = fields.find("tool_calls") != nullptr ||
                               fields.find("function_call") != nullptr ||
                               fields.find("reasoning_content") != nullptr;
        if (fields.find("content") == nullptr && !has_other)
            return field_error(fields.param("content"), "missing");
    }
    return std::nullopt;
}

}  // namespace

Outcome take_chat_variables(json::object& body, bool add_generation_prompt,
                            CompletionRequest& request, ToolShape shape) {
    json::object variables;
    const JsonFields fields(body);
    if (const json::value* kwargs = fields.find("chat_template_kwargs")) {
        if (!kwargs->is_object()) {
            return field_error("chat_template_kwargs",
                               fmt::format("{}, expected an object", json_kind_name(*kwargs)));
        }
        variables = kwargs->get_object();
    }
    if (fields.find("messages") == nullptr) return field_error("messages", "missing");
    KVASIR_STEP(check_messages(*fields.find("messages")));
    variables["messages"] = std::move(body["messages"]);
    KVASIR_STEP(read_tools(fields, shape, request));
    if (!request.functions.empty()) {
        json::value& tools = variables["tools"] = std::move(body["tools"]);
        if (shape == ToolShape::flat) nest_tools(tools.get_array());
    }
    KVASIR_STEP(store(fields.boolean("add_generation_prompt"), add_generation_prompt));
    variables["add_generation_prompt"] = add_generation_prompt;
    for (const char* taken : {"messages", "tools", "tool_choice", "chat_template_kwargs"})
        body.erase(taken);
    request.chat_variables = std::make_shared<const json::object>(std::move(variables));
    return std::nullopt;
}

}  // namespace kvasir
