#include "daemon/http/responses_input.hpp"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace kvasir {

namespace json = boost::json;

namespace {

ApiError unsupported_type(const std::string& param, std::string_view found,
                          std::string_view expected) {
    return {ErrorKind::unsupported_parameter,
            fmt::format("{}: \"{}\", expected {}", param, found.substr(0, 32), expected), param};
}

json::string_view json_text(std::string_view text) {
    return {text.data(), text.size()};
}

using Types = std::initializer_list<std::string_view>;

Outcome add_part(const json::value& part, const std::string& param, Types types,
                 std::string& text) {
    if (!part.is_object())
        return field_error(param, fmt::format("{}, expected an object", json_kind_name(part)));
    const JsonFields fields(part.get_object(), param + ".");
    std::string_view type;
    KVASIR_STEP(store(fields.string("type"), type));
    if (std::ranges::find(types, type) == types.end()) {
        return unsupported_type(fields.param("type"), type,
                                fmt::format("{}", fmt::join(types, " or ")));
    }
    std::optional<std::string_view> piece;
    KVASIR_STEP(store(fields.string("text"), piece));
    if (!piece) return field_error(fields.param("text"), "missing");
    text += *piece;
    return std::nullopt;
}

/// A string, or parts of these types.
Outcome read_content(const JsonFields& item, std::string_view name, Types types,
                     std::string& text) {
    const json::value* value = item.find(name);
    const std::string param = item.param(name);
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
        KVASIR_STEP(add_part(parts[i], fmt::format("{}[{}]", param, i), types, text));
    return std::nullopt;
}

class InputReader {
public:
    InputReader(ChatWriter writer, const FindItem& find_item, json::array& messages)
        : writer_(writer), find_item_(find_item), messages_(messages) {}

    void say(std::string_view role, std::string_view text) {
        is_turn_open_ = false;
        messages_.push_back(json::object{{"role", json_text(role)}, {"content", json_text(text)}});
    }

    Outcome add(const json::value& item, const std::string& param) {
        if (!item.is_object())
            return field_error(param, fmt::format("{}, expected an object", json_kind_name(item)));
        const JsonFields fields(item.get_object(), param + ".");
        std::string_view type = "message";
        KVASIR_STEP(store(fields.string("type"), type));
        if (type == "message") return add_message(fields);
        if (type == "item_reference") return add_referred(fields, param);
        const bool has_template = writer_ == ChatWriter::model_template;
        if (has_template && type == "function_call") return add_call(fields);
        if (has_template && type == "function_call_output") return add_output(fields);
        if (has_template && type == "reasoning") return add_thoughts(fields);
        return unsupported_type(
            fields.param("type"), type,
            has_template ? "message, reasoning, function_call or function_call_output" : "message");
    }

private:
    Outcome add_referred(const JsonFields& fields, const std::string& param) {
        std::string_view id;
        KVASIR_STEP(store(fields.string("id"), id));
        if (id.empty()) return field_error(fields.param("id"), "missing");
        const std::optional<std::string> item = find_item_ ? find_item_(id) : std::nullopt;
        if (!item) {
            return ApiError{ErrorKind::not_found,
                            fmt::format("{}: \"{}\": no item that is still known, send the item "
                                        "itself",
                                        fields.param("id"), id.substr(0, 64)),
                            fields.param("id")};
        }
        // A short name may stand for much, and many times.
        constexpr std::size_t kMostBytes = std::size_t{8} << 20;
        n_referred_bytes_ += item->size();
        if (n_referred_bytes_ > kMostBytes) {
            return field_error(
                fields.param("id"),
                fmt::format("items of over {} bytes by name, expected less", kMostBytes));
        }
        return add(json::parse(*item), param);  // which this server wrote
    }

    Outcome add_message(const JsonFields& fields) {
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
        KVASIR_STEP(read_content(fields, "content", {"input_text", "output_text", "text"}, text));
        if (*role != "assistant") {
            say(*role, text);
            return std::nullopt;
        }
        const bool goes_on =
            is_turn_open_ && turn().at("content").is_null() && !turn().contains("tool_calls");
        if (!goes_on) open_turn();
        turn()["content"] = text;
        return std::nullopt;
    }

    Outcome add_thoughts(const JsonFields& fields) {
        std::string text;
        if (fields.find("content") != nullptr)
            KVASIR_STEP(read_content(fields, "content", {"reasoning_text"}, text));
        if (text.empty()) return std::nullopt;
        open_turn();
        turn()["reasoning_content"] = text;
        return std::nullopt;
    }

    Outcome add_call(const JsonFields& fields) {
        std::string id;
        std::string name;
        std::optional<std::string> arguments;
        KVASIR_STEP(store(fields.string("call_id"), id));
        if (id.empty()) return field_error(fields.param("call_id"), "missing");
        KVASIR_STEP(store(fields.string("name"), name));
        if (name.empty()) return field_error(fields.param("name"), "missing");
        KVASIR_STEP(store(fields.string("arguments"), arguments));
        if (!arguments) return field_error(fields.param("arguments"), "missing");
        if (!is_turn_open_) open_turn();
        if (!turn().contains("tool_calls")) turn()["tool_calls"] = json::array();
        turn()["tool_calls"].get_array().push_back(
            json::object{{"id", id},
                         {"type", "function"},
                         {"function", json::object{{"name", name}, {"arguments", *arguments}}}});
        names_[std::move(id)] = std::move(name);
        return std::nullopt;
    }

    Outcome add_output(const JsonFields& fields) {
        std::string id;
        KVASIR_STEP(store(fields.string("call_id"), id));
        const auto name = names_.find(id);
        if (name == names_.end()) {
            return field_error(fields.param("call_id"),
                               id.empty() ? "missing"
                                          : fmt::format("\"{}\", expected that of a function_call "
                                                        "before it",
                                                        id.substr(0, 64)));
        }
        std::string text;
        KVASIR_STEP(read_content(fields, "output", {"input_text", "output_text", "text"}, text));
        say("tool", text);
        turn()["tool_call_id"] = id;
        turn()["name"] = name->second;
        return std::nullopt;
    }

    json::object& turn() { return messages_.back().get_object(); }
    void open_turn() {
        is_turn_open_ = true;
        messages_.push_back(json::object{{"role", "assistant"}, {"content", nullptr}});
    }

    const ChatWriter writer_;
    const FindItem& find_item_;
    json::array& messages_;
    std::size_t n_referred_bytes_ = 0;
    bool is_turn_open_ = false;  // the last message is the assistant's, and may go on
    std::map<std::string, std::string, std::less<>> names_;  // of the functions, by call_id
};

}  // namespace

Outcome read_responses_input(const JsonFields& fields, ChatWriter writer, const FindItem& find_item,
                             json::array& messages) {
    InputReader reader(writer, find_item, messages);
    std::string_view instructions;
    KVASIR_STEP(store(fields.string("instructions"), instructions));
    if (!instructions.empty()) reader.say("system", instructions);
    const json::value* input = fields.find("input");
    if (input == nullptr) return field_error("input", "missing");
    if (input->is_string()) {
        reader.say("user", text_of(*input));
        return std::nullopt;
    }
    if (!input->is_array() || input->get_array().empty()) {
        return field_error("input",
                           fmt::format("{}, expected a string or an array of items",
                                       input->is_array() ? "empty" : json_kind_name(*input)));
    }
    const json::array& items = input->get_array();
    for (std::size_t i = 0; i < items.size(); ++i)
        KVASIR_STEP(reader.add(items[i], fmt::format("input[{}]", i)));
    if (messages.empty()) return field_error("input", "no message, expected at least one");
    return std::nullopt;
}

}  // namespace kvasir
