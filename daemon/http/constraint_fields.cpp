// What the answer must be: response_format, grammar, json_schema.
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "daemon/grammar/gbnf.hpp"
#include "daemon/grammar/json_grammar.hpp"
#include "daemon/grammar/json_schema.hpp"
#include "daemon/http/request_fields.hpp"

namespace kvasir {

namespace json = boost::json;

namespace {

Outcome take_grammar(Result<std::shared_ptr<const grammar::Grammar>> made, std::string_view param,
                     CompletionRequest& request) {
    if (made.has_error()) return field_error(param, made.error().message);
    request.grammar = std::move(*made);
    return std::nullopt;
}

Outcome take_schema(const json::value& schema, const std::string& param,
                    CompletionRequest& request) {
    auto made = grammar::compile_schema(schema);
    if (!made.has_error()) {
        request.grammar = std::move(*made);
        return std::nullopt;
    }
    const grammar::SchemaError& error = made.error();
    return field_error(error.path.empty() ? param : fmt::format("{}.{}", param, error.path),
                       error.message);
}

/// OpenAI's "name": ..., "schema": {...}, "strict": true. What the schema says is always kept,
/// strict or not.
Outcome read_named_schema(const JsonFields& fields, CompletionRequest& request) {
    std::string_view text;
    bool strict = false;
    KVASIR_STEP(store(fields.string("name"), text));
    KVASIR_STEP(store(fields.string("description"), text));
    KVASIR_STEP(store(fields.boolean("strict"), strict));
    const json::value* schema = fields.find("schema");
    if (schema == nullptr) return field_error(fields.param("schema"), "missing");
    return take_schema(*schema, fields.param("schema"), request);
}

Outcome read_response_format(const json::value& value, CompletionRequest& request) {
    constexpr std::string_view kParam = "response_format";
    if (!value.is_object())
        return field_error(kParam, fmt::format("{}, expected an object", json_kind_name(value)));
    const JsonFields fields(value.get_object(), "response_format.");
    std::optional<std::string_view> type;
    KVASIR_STEP(store(fields.string("type"), type));
    if (!type) return field_error(fields.param("type"), "missing");
    if (*type == "text") return std::nullopt;
    if (*type == "json_schema") {
        const json::value* named = fields.find("json_schema");
        const std::string param = fields.param("json_schema");
        if (named == nullptr) return field_error(param, "missing");
        if (!named->is_object()) {
            return field_error(param,
                               fmt::format("{}, expected an object", json_kind_name(*named)));
        }
        return read_named_schema(JsonFields(named->get_object(), param + "."), request);
    }
    if (*type != "json_object") {
        return field_error(
            fields.param("type"),
            fmt::format("\"{}\", expected text, json_object or json_schema", type->substr(0, 32)));
    }
    if (const json::value* schema = fields.find("schema"))  // llama-server's
        return take_schema(*schema, fields.param("schema"), request);
    return take_grammar(grammar::json_object_grammar(), kParam, request);
}

}  // namespace

Outcome read_ollama_format(const JsonFields& fields, CompletionRequest& request) {
    const json::value* format = fields.find("format");
    if (format == nullptr) return std::nullopt;
    if (format->is_object()) return take_schema(*format, fields.param("format"), request);
    const std::string_view name = format->is_string() ? text_of(*format) : "?";
    if (name.empty()) return std::nullopt;
    if (name == "json") return take_grammar(grammar::json_object_grammar(), "format", request);
    return field_error(fields.param("format"), "expected \"json\" or a schema");
}

Outcome read_text_format(const JsonFields& format, CompletionRequest& request) {
    std::string_view type = "text";
    KVASIR_STEP(store(format.string("type"), type));
    if (type == "text") return std::nullopt;
    if (type == "json_schema") return read_named_schema(format, request);
    if (type == "json_object")
        return take_grammar(grammar::json_object_grammar(), format.param("type"), request);
    return field_error(format.param("type"), "expected text, json_object or json_schema");
}

Outcome read_constraint(const JsonFields& fields, CompletionRequest& request) {
    const auto only_one = [](std::string_view param) {
        return field_error(param,
                           "present, expected one of response_format, json_schema and grammar");
    };
    if (const json::value* format = fields.find("response_format"))
        KVASIR_STEP(read_response_format(*format, request));
    if (const json::value* schema = fields.find("json_schema")) {
        if (request.grammar) return only_one("json_schema");
        KVASIR_STEP(take_schema(*schema, "json_schema", request));
    }
    std::string_view source;
    KVASIR_STEP(store(fields.string("grammar"), source));
    if (source.empty()) return std::nullopt;
    if (request.grammar) return only_one("grammar");
    return take_grammar(grammar::parse_gbnf(source), "grammar", request);
}

}  // namespace kvasir
