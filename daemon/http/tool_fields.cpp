// tools, tool_choice, parallel_tool_calls: which functions the model may call, or must.
#include <algorithm>
#include <boost/json/array.hpp>
#include <fmt/format.h>
#include <utility>

#include "daemon/grammar/json_schema.hpp"
#include "daemon/http/request_fields.hpp"

namespace kvasir {

namespace json = boost::json;

namespace {

struct Function {
    std::string name;
    json::object parameters;  // a schema
};

/// What holds a function's fields: the object itself, or the one under "function" in it.
JsonFields function_fields(const json::object& object, const std::string& param, ToolShape shape) {
    if (shape == ToolShape::flat) return JsonFields(object, param + ".");
    return JsonFields(object.at("function").get_object(), param + ".function.");
}

Outcome check_function(const JsonFields& fields, ToolShape shape) {
    if (shape == ToolShape::flat) return std::nullopt;
    const json::value* function = fields.find("function");
    if (function == nullptr || !function->is_object())
        return field_error(fields.param("function"), "expected an object");
    return std::nullopt;
}

Outcome read_function(const json::value& value, const std::string& param, ToolShape shape,
                      Function& read) {
    if (!value.is_object())
        return field_error(param, fmt::format("{}, expected an object", json_kind_name(value)));
    const JsonFields tool(value.get_object(), param + ".");
    std::optional<std::string_view> type;
    KVASIR_STEP(store(tool.string("type"), type));
    if (type.value_or("") != "function") {
        return ApiError{ErrorKind::unsupported_parameter,
                        fmt::format("{}.type: expected \"function\"", param), param + ".type"};
    }
    KVASIR_STEP(check_function(tool, shape));
    const JsonFields fields = function_fields(value.get_object(), param, shape);
    std::optional<std::string_view> name;
    KVASIR_STEP(store(fields.string("name"), name));
    constexpr std::size_t kMostBytes = 256;
    if (name.value_or("").empty() || name->size() > kMostBytes) {
        return field_error(fields.param("name"),
                           fmt::format("expected 1 to {} bytes of text", kMostBytes));
    }
    read.name = *name;
    read.parameters = {
        {"type", "object"}, {"properties", json::object()}, {"additionalProperties", false}};
    const json::value* parameters = fields.find("parameters");
    if (parameters == nullptr) return std::nullopt;
    if (!parameters->is_object()) {
        return field_error(fields.param("parameters"),
                           fmt::format("{}, expected an object", json_kind_name(*parameters)));
    }
    if (!parameters->get_object().empty()) read.parameters = parameters->get_object();
    return std::nullopt;
}

/// The answer is a call: an object of a name and that function's arguments.
Outcome force_call(const std::vector<Function>& functions, CompletionRequest& request) {
    if (functions.empty()) return field_error("tool_choice", "required, expected with tools");
    json::array calls;
    for (const Function& function : functions) {
        calls.emplace_back(json::object{
            {"type", "object"},
            {"properties", json::object{{"name", json::object{{"const", function.name}}},
                                        {"arguments", function.parameters}}},
            {"required", json::array{"name", "arguments"}},
            {"additionalProperties", false}});
    }
    auto grammar = grammar::compile_schema(json::object{{"anyOf", std::move(calls)}});
    if (grammar.has_error()) {
        return field_error("tools",
                           fmt::format("a call can be forced only where each function's parameters "
                                       "can be kept: {}: {}",
                                       grammar.error().path, grammar.error().message));
    }
    request.call_grammar = std::move(*grammar);
    return std::nullopt;
}

/// Adds the one of `functions` that is named.
Outcome choose(const json::value& value, const std::string& param, ToolShape shape,
               const std::vector<Function>& functions, std::vector<Function>& chosen) {
    if (!value.is_object())
        return field_error(param, fmt::format("{}, expected an object", json_kind_name(value)));
    const JsonFields fields(value.get_object(), param + ".");
    std::optional<std::string_view> type;
    KVASIR_STEP(store(fields.string("type"), type));
    if (type.value_or("") != "function")
        return field_error(fields.param("type"), "expected \"function\"");
    KVASIR_STEP(check_function(fields, shape));
    const JsonFields named = function_fields(value.get_object(), param, shape);
    std::optional<std::string_view> name;
    KVASIR_STEP(store(named.string("name"), name));
    if (name.value_or("").empty()) return field_error(named.param("name"), "missing");
    const auto found = std::ranges::find(functions, *name, &Function::name);
    if (found == functions.end()) {
        return field_error(named.param("name"),
                           fmt::format("\"{}\", expected one of the tools", name->substr(0, 64)));
    }
    chosen.push_back(*found);
    return std::nullopt;
}

/// "allowed_tools": the model is told of all tools, which keeps its prompt, and may call these.
Outcome read_allowed(const JsonFields& choice, ToolShape shape,
                     const std::vector<Function>& functions, CompletionRequest& request) {
    std::string param = "tool_choice";
    const JsonFields* fields = &choice;
    std::optional<JsonFields> inner;
    if (shape == ToolShape::nested) {
        const json::value* object = choice.find("allowed_tools");
        param = choice.param("allowed_tools");
        if (object == nullptr || !object->is_object())
            return field_error(param, "expected an object");
        fields = &inner.emplace(object->get_object(), param + ".");
    }
    std::string_view mode = "auto";
    KVASIR_STEP(store(fields->string("mode"), mode));
    if (mode != "auto" && mode != "required")
        return field_error(fields->param("mode"), "expected auto or required");
    const json::value* tools = fields->find("tools");
    if (tools == nullptr || !tools->is_array() || tools->get_array().empty())
        return field_error(fields->param("tools"), "expected an array of functions");
    std::vector<Function> allowed;
    for (std::size_t i = 0; i < tools->get_array().size(); ++i) {
        KVASIR_STEP(choose(tools->get_array()[i], fmt::format("{}.tools[{}]", param, i), shape,
                           functions, allowed));
    }
    request.functions.clear();
    for (const Function& function : allowed) request.functions.push_back(function.name);
    return mode == "required" ? force_call(allowed, request) : std::nullopt;
}

Outcome read_choice(const JsonFields& fields, const std::vector<Function>& functions,
                    ToolShape shape, CompletionRequest& request) {
    const json::value* choice = fields.find("tool_choice");
    if (choice == nullptr) return std::nullopt;
    if (choice->is_object()) {
        const JsonFields object(choice->get_object(), "tool_choice.");
        std::string_view type;
        KVASIR_STEP(store(object.string("type"), type));
        if (type == "allowed_tools") return read_allowed(object, shape, functions, request);
        std::vector<Function> one;
        KVASIR_STEP(choose(*choice, "tool_choice", shape, functions, one));
        return force_call(one, request);
    }
    const std::string_view word = choice->is_string() ? text_of(*choice) : "";
    if (word == "auto") return std::nullopt;
    if (word == "required") return force_call(functions, request);
    if (word == "none") {
        request.functions.clear();
        return std::nullopt;
    }
    return field_error("tool_choice", "expected auto, none, required, allowed_tools or a function");
}

}  // namespace

Outcome read_tools(const JsonFields& fields, ToolShape shape, CompletionRequest& request) {
    std::vector<Function> functions;
    if (const json::value* tools = fields.find("tools")) {
        if (!tools->is_array())
            return field_error("tools",
                               fmt::format("{}, expected an array", json_kind_name(*tools)));
        const json::array& array = tools->get_array();
        for (std::size_t i = 0; i < array.size(); ++i) {
            Function& function = functions.emplace_back();
            KVASIR_STEP(read_function(array[i], fmt::format("tools[{}]", i), shape, function));
            request.functions.push_back(function.name);
        }
    }
    KVASIR_STEP(store(fields.boolean("parallel_tool_calls"), request.calls_in_parallel));
    return read_choice(fields, functions, shape, request);
}

void nest_tools(json::array& tools) {
    for (json::value& tool : tools) {
        json::object function = std::move(tool.as_object());
        function.stable_erase("type");
        tool = json::object{{"type", "function"}, {"function", std::move(function)}};
    }
}

Outcome apply_call_grammar(CompletionRequest& request) {
    if (!request.call_grammar) return std::nullopt;
    if (request.grammar)
        return field_error("tool_choice", "forces a call, and another format is asked for");
    request.grammar = request.call_grammar;
    return std::nullopt;
}

}  // namespace kvasir
