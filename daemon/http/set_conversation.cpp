#include "daemon/http/set_conversation.hpp"

#include <fmt/format.h>
#include <utility>

#include "daemon/http/chat_text.hpp"
#include "daemon/http/unsupported_fields.hpp"

namespace kvasir {

namespace json = boost::json;

Outcome set_conversation(Conversation said, json::object& body, const ModelInfo& model,
                         CompletionRequest& request) {
    request.is_chat = true;
    json::object chat;
    for (const char* name : {"tools", "tool_choice", "parallel_tool_calls"})
        if (const json::value* value = body.if_contains(name)) chat[name] = *value;
    for (const char* taken : {"tools", "tool_choice"}) body.erase(taken);
    chat["messages"] = std::move(said.messages);
    if (chat_writer(model) == ChatWriter::chat_ml) {
        if (Outcome unsupported = find_unsupported_field(chat)) return unsupported;
        return read_messages(JsonFields(chat), request);
    }
    chat["chat_template_kwargs"] = std::move(said.template_variables);
    return take_chat_variables(chat, true, request, said.tool_shape);
}

bool asks_for_nothing(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null: return true;
        case json::kind::bool_: return !value.get_bool();
        case json::kind::int64: return value.get_int64() == 0;
        case json::kind::uint64: return value.get_uint64() == 0;
        case json::kind::double_: return value.get_double() == 0;
        case json::kind::string: return value.get_string().empty();
        case json::kind::array: return value.get_array().empty();
        case json::kind::object: return value.get_object().empty();
    }
    return false;
}

Outcome refuse_fields(const JsonFields& fields, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
        const json::value* value = fields.find(name);
        if (value == nullptr || asks_for_nothing(*value)) continue;
        return ApiError{ErrorKind::unsupported_parameter,
                        fmt::format("{}: not supported by this server", fields.param(name)),
                        fields.param(name)};
    }
    return std::nullopt;
}

}  // namespace kvasir
