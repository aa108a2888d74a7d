#include "daemon/http/ollama_messages.hpp"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <fmt/format.h>
#include <string>
#include <utility>
#include <vector>

#include "daemon/http/json_writer.hpp"
#include "daemon/http/set_conversation.hpp"

namespace kvasir {

namespace json = boost::json;

namespace {

/// As models write it, with spaces, so that a call that comes back finds its tokens in the cache.
/// As deep as a body may nest.
void append_spaced(std::string& out, const json::value& value) {
    bool is_first = true;
    const auto separate = [&] {
        if (!std::exchange(is_first, false)) out += ", ";
    };
    if (value.is_object()) {
        out += '{';
        for (const auto& member : value.get_object()) {
            separate();
            append_json_string(out, {member.key().data(), member.key().size()});
            out += ": ";
            append_spaced(out, member.value());
        }
        out += '}';
    } else if (value.is_array()) {
        out += '[';
        for (const json::value& item : value.get_array()) {
            separate();
            append_spaced(out, item);
        }
        out += ']';
    } else if (value.is_string()) {
        append_json_string(out, text_of(value));
    } else if (value.is_double()) {
        const double number = value.get_double();
        const bool is_whole = number == std::floor(number) && std::abs(number) < 1e15;
        out += is_whole ? fmt::format("{:.1f}", number) : fmt::format("{}", number);
    } else {
        out += json::serialize(value);
    }
}

class MessageReader {
public:
    Outcome read(const JsonFields& fields, json::object& message) {
        std::optional<std::string_view> role;
        KVASIR_STEP(store(fields.string("role"), role));
        if (!role) return field_error(fields.param("role"), "missing");
        if (*role != "system" && *role != "user" && *role != "assistant" && *role != "tool") {
            return field_error(fields.param("role"),
                               fmt::format("\"{}\", expected system, user, assistant or tool",
                                           role->substr(0, 32)));
        }
        KVASIR_STEP(refuse_fields(fields, {"images"}));
        message["role"] = json::string_view(role->data(), role->size());
        std::string_view content;
        KVASIR_STEP(store(fields.string("content"), content));
        message["content"] = json::string_view(content.data(), content.size());
        std::string_view thinking;
        KVASIR_STEP(store(fields.string("thinking"), thinking));
        if (!thinking.empty())
            message["reasoning_content"] = json::string_view(thinking.data(), thinking.size());
        KVASIR_STEP(read_calls(fields, message));
        return *role == "tool" ? read_result(fields, message) : std::nullopt;
    }

private:
    struct Call {
        std::string id;
        std::string name;
    };

    Outcome read_calls(const JsonFields& fields, json::object& message) {
        const json::value* value = fields.find("tool_calls");
        if (value == nullptr || asks_for_nothing(*value)) return std::nullopt;
        const std::string param = fields.param("tool_calls");
        if (!value->is_array()) {
            return field_error(param, fmt::format("{}, expected an array", json_kind_name(*value)));
        }
        json::array calls;
        unanswered_.clear();
        for (std::size_t i = 0; i < value->get_array().size(); ++i)
            KVASIR_STEP(read_call(value->get_array()[i], fmt::format("{}[{}]", param, i), calls));
        message["tool_calls"] = std::move(calls);
        return std::nullopt;
    }

    Outcome read_call(const json::value& value, const std::string& param, json::array& calls) {
        if (!value.is_object())
            return field_error(param, fmt::format("{}, expected an object", json_kind_name(value)));
        const JsonFields fields(value.get_object(), param + ".");
        // What answers are paired by, of nine letters and digits, as Mistral's templates demand.
        Call call{.id = fmt::format("call{:05}", n_calls_++ % 100'000), .name = {}};
        KVASIR_STEP(store(fields.string("id"), call.id));
        const json::value* function = fields.find("function");
        if (function == nullptr || !function->is_object())
            return field_error(fields.param("function"), "expected an object");
        const JsonFields named(function->get_object(), param + ".function.");
        KVASIR_STEP(store(named.string("name"), call.name));
        if (call.name.empty()) return field_error(named.param("name"), "missing");
        std::string text = "{}";
        if (const json::value* arguments = named.find("arguments")) {
            if (!arguments->is_object()) {
                return field_error(
                    named.param("arguments"),
                    fmt::format("{}, expected an object", json_kind_name(*arguments)));
            }
            text.clear();
            append_spaced(text, *arguments);
        }
        calls.push_back(
            json::object{{"id", call.id},
                         {"type", "function"},
                         {"function", json::object{{"name", call.name}, {"arguments", text}}}});
        unanswered_.push_back(std::move(call));
        return std::nullopt;
    }

    /// Of the call that it names, else of the first without a result.
    Outcome read_result(const JsonFields& fields, json::object& message) {
        std::string id;
        std::string name;
        KVASIR_STEP(store(fields.string("tool_call_id"), id));
        KVASIR_STEP(store(fields.string("tool_name"), name));
        const auto is_meant = [&](const Call& call) {
            return id.empty() ? name.empty() || call.name == name : call.id == id;
        };
        auto call = std::ranges::find_if(unanswered_, is_meant);
        if (call == unanswered_.end() && id.empty()) call = unanswered_.begin();
        if (call != unanswered_.end()) {
            id = call->id;
            if (name.empty()) name = call->name;
            unanswered_.erase(call);
        }
        if (!id.empty()) message["tool_call_id"] = id;
        if (!name.empty()) message["name"] = name;
        return std::nullopt;
    }

    std::vector<Call> unanswered_;  // of the last message with calls
    std::size_t n_calls_ = 0;
};

}  // namespace

Outcome read_ollama_messages(const JsonFields& fields, json::array& messages) {
    const json::value* value = fields.find("messages");
    if (value == nullptr) return std::nullopt;
    if (!value->is_array()) {
        return field_error(
            "messages", fmt::format("{}, expected an array of messages", json_kind_name(*value)));
    }
    MessageReader reader;
    for (std::size_t i = 0; i < value->get_array().size(); ++i) {
        const json::value& one = value->get_array()[i];
        const std::string param = fmt::format("messages[{}]", i);
        if (!one.is_object())
            return field_error(param, fmt::format("{}, expected an object", json_kind_name(one)));
        json::object message;
        KVASIR_STEP(reader.read(JsonFields(one.get_object(), param + "."), message));
        messages.push_back(std::move(message));
    }
    return std::nullopt;
}

}  // namespace kvasir
