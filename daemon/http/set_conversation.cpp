#include "daemon/http/set_conversation.hpp"

#include <fmt/format.h>
#include <utility>

#include "daemon/http/chat_text.hpp"

namespace kvasir {

namespace json = boost::json;

Outcome set_conversation(json::array messages, json::object template_variables,
                         const ModelInfo& model, CompletionRequest& request) {
    request.is_chat = true;
    json::object body;
    body["messages"] = std::move(messages);
    if (chat_writer(model) == ChatWriter::chat_ml) return read_messages(JsonFields(body), request);
    body["chat_template_kwargs"] = std::move(template_variables);
    return take_chat_variables(body, true, request);
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
