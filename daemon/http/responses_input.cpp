#include "daemon/http/responses_input.hpp"

#include <boost/json/object.hpp>
#include <fmt/format.h>
#include <string>
#include <utility>

namespace kvasir {

namespace json = boost::json;

namespace {

ApiError unsupported_type(const std::string& param, std::string_view found, const char* expected) {
    return {ErrorKind::unsupported_parameter,
            fmt::format("{}: \"{}\", expected {}", param, found.substr(0, 32), expected), param};
}

Outcome add_part(const json::value& part, const std::string& param, std::string& text) {
    if (!part.is_object())
        return field_error(param, fmt::format("{}, expected an object", json_kind_name(part)));
    const JsonFields fields(part.get_object(), param + ".");
    std::string_view type;
    KVASIR_STEP(store(fields.string("type"), type));
    if (type != "input_text" && type != "output_text" && type != "text")
        return unsupported_type(fields.param("type"), type, "input_text or output_text");
    std::optional<std::string_view> piece;
    KVASIR_STEP(store(fields.string("text"), piece));
    if (!piece) return field_error(fields.param("text"), "missing");
    text += *piece;
    return std::nullopt;
}

Outcome read_content(const JsonFields& item, std::string& text) {
    const json::value* value = item.find("content");
    const std::string param = item.param("content");
    if (value == nullptr) return field_error(param, "missing");
    if (value->is_string()) {
        text = text_of(*value);
        return std::nullopt;
    }
    if (!value->is_array()) {
        return field_error(param, fmt::format("{}, expected a string or an array of parts",
                                              json_kind_name(*value)));
    }
    const json::array& parts = value->get_array();
    for (std::size_t i = 0; i < parts.size(); ++i)
        KVASIR_STEP(add_part(parts[i], fmt::format("{}[{}]", param, i), text));
    return std::nullopt;
}

void add_message(json::array& messages, std::string_view role, std::string_view text) {
    messages.push_back(json::object{{"role", json::string_view(role.data(), role.size())},
                                    {"content", json::string_view(text.data(), text.size())}});
}

Outcome add_item(const json::value& item, const std::string& param, json::array& messages) {
    if (!item.is_object())
        return field_error(param, fmt::format("{}, expected an object", json_kind_name(item)));
    const JsonFields fields(item.get_object(), param + ".");
    std::string_view type = "message";
    KVASIR_STEP(store(fields.string("type"), type));
    if (type != "message") return unsupported_type(fields.param("type"), type, "message");
    std::optional<std::string_view> role;
    KVASIR_STEP(store(fields.string("role"), role));
    if (!role) return field_error(fields.param("role"), "missing");
    if (*role == "developer") role = "system";  // templates know that one
    if (*role != "system" && *role != "user" && *role != "assistant") {
        return field_error(fields.param("role"),
                           fmt::format("\"{}\", expected system, developer, user or assistant",
                                       role->substr(0, 32)));
    }
    std::string text;
    KVASIR_STEP(read_content(fields, text));
    add_message(messages, *role, text);
    return std::nullopt;
}

}  // namespace

Outcome read_responses_input(const JsonFields& fields, json::array& messages) {
    std::string_view instructions;
    KVASIR_STEP(store(fields.string("instructions"), instructions));
    if (!instructions.empty()) add_message(messages, "system", instructions);
    const json::value* input = fields.find("input");
    if (input == nullptr) return field_error("input", "missing");
    if (input->is_string()) {
        add_message(messages, "user", text_of(*input));
        return std::nullopt;
    }
    if (!input->is_array() || input->get_array().empty()) {
        return field_error("input",
                           fmt::format("{}, expected a string or an array of messages",
                                       input->is_array() ? "empty" : json_kind_name(*input)));
    }
    const json::array& items = input->get_array();
    for (std::size_t i = 0; i < items.size(); ++i)
        KVASIR_STEP(add_item(items[i], fmt::format("input[{}]", i), messages));
    return std::nullopt;
}

}  // namespace kvasir
