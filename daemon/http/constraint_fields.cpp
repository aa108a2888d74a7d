// What the answer must be: response_format, grammar, json_schema.
#include <array>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "daemon/grammar/gbnf.hpp"
#include "daemon/grammar/json_grammar.hpp"
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

Outcome read_response_format(const json::value& value, CompletionRequest& request) {
    constexpr std::string_view kParam = "response_format";
    if (!value.is_object())
        return field_error(kParam, fmt::format("{}, expected an object", json_kind_name(value)));
    const JsonFields fields(value.get_object(), "response_format.");
    std::optional<std::string_view> type;
    KVASIR_STEP(store(fields.string("type"), type));
    if (!type) return field_error("response_format.type", "missing");
    if (*type == "text") return std::nullopt;
    if (*type == "json_object")
        return take_grammar(grammar::json_object_grammar(), kParam, request);
    return field_error("response_format.type",
                       fmt::format("\"{}\", expected text or json_object", type->substr(0, 32)));
}

}  // namespace

Outcome read_constraint(const JsonFields& fields, CompletionRequest& request) {
    if (const json::value* format = fields.find("response_format"))
        KVASIR_STEP(read_response_format(*format, request));
    std::string_view source;
    KVASIR_STEP(store(fields.string("grammar"), source));
    if (!source.empty()) {
        if (request.grammar)
            return field_error("grammar", "present, expected only one of it and response_format");
        KVASIR_STEP(take_grammar(grammar::parse_gbnf(source), "grammar", request));
    }
    return std::nullopt;
}

}  // namespace kvasir
