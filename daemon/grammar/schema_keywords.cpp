// Which keywords of JSON Schema are understood, and what their values may be.
#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "daemon/grammar/pattern.hpp"
#include "daemon/grammar/schema_reader.hpp"

namespace kvasir::grammar {

namespace {

enum class Kind {
    annotation,
    type_names,
    any,
    array,
    schema,
    schemas,  // a non-empty array
    schema_map,
    items,  // a schema, or an array of them
    names,  // an array of strings
    count,
    number,
    positive,
    text,
    format,
    only_false,
};

struct Keyword {
    std::string_view name;
    Kind kind;
};

constexpr std::array kKeywords{
    Keyword{"type", Kind::type_names},
    Keyword{"enum", Kind::array},
    Keyword{"const", Kind::any},
    Keyword{"$ref", Kind::text},
    Keyword{"allOf", Kind::schemas},
    Keyword{"anyOf", Kind::schemas},
    Keyword{"oneOf", Kind::schemas},
    Keyword{"properties", Kind::schema_map},
    Keyword{"patternProperties", Kind::schema_map},
    Keyword{"additionalProperties", Kind::schema},
    Keyword{"required", Kind::names},
    Keyword{"minProperties", Kind::count},
    Keyword{"maxProperties", Kind::count},
    Keyword{"items", Kind::items},
    Keyword{"prefixItems", Kind::schemas},
    Keyword{"additionalItems", Kind::schema},
    Keyword{"minItems", Kind::count},
    Keyword{"maxItems", Kind::count},
    Keyword{"minLength", Kind::count},
    Keyword{"maxLength", Kind::count},
    Keyword{"pattern", Kind::text},
    Keyword{"format", Kind::format},
    Keyword{"minimum", Kind::number},
    Keyword{"maximum", Kind::number},
    Keyword{"exclusiveMinimum", Kind::number},
    Keyword{"exclusiveMaximum", Kind::number},
    Keyword{"multipleOf", Kind::positive},
    Keyword{"uniqueItems", Kind::only_false},
    Keyword{"nullable", Kind::only_false},
    Keyword{"$defs", Kind::schema_map},
    Keyword{"definitions", Kind::schema_map},
    Keyword{"title", Kind::annotation},
    Keyword{"description", Kind::annotation},
    Keyword{"default", Kind::annotation},
    Keyword{"example", Kind::annotation},
    Keyword{"examples", Kind::annotation},
    Keyword{"$schema", Kind::annotation},
    Keyword{"$id", Kind::annotation},
    Keyword{"$comment", Kind::annotation},
    Keyword{"deprecated", Kind::annotation},
    Keyword{"readOnly", Kind::annotation},
    Keyword{"writeOnly", Kind::annotation},
};

constexpr std::array<std::string_view, 7> kTypeNames{"null",   "boolean", "object", "array",
                                                     "string", "integer", "number"};

bool is_schema(const json::value& value) {
    return value.is_object() || value.is_bool();
}

bool is_count(const json::value& value) {
    return value.is_number() && to_double(value) >= 0 && to_double(value) <= 9e15 &&
           std::floor(to_double(value)) == to_double(value);
}

bool is_type_name(const json::value& value) {
    return value.is_string() && std::ranges::find(kTypeNames, to_view(value)) != kTypeNames.end();
}

template <class Test>
bool all_of(const json::value& value, Test&& test) {
    return value.is_array() &&
           std::ranges::all_of(value.get_array(), [&](const json::value& v) { return test(v); });
}

/// What was expected; nullopt where the value is that.
std::optional<std::string> expected(Kind kind, const json::value& value) {
    const auto unless = [](bool fine, const char* text) {
        return fine ? std::nullopt : std::optional<std::string>(text);
    };
    switch (kind) {
        case Kind::annotation:
        case Kind::any: return std::nullopt;
        case Kind::type_names:
            return unless(
                is_type_name(value) || (all_of(value, is_type_name) && !value.get_array().empty()),
                "expected null, boolean, object, array, string, integer, number or an "
                "array of these");
        case Kind::array: return unless(value.is_array(), "expected an array");
        case Kind::schema: return unless(is_schema(value), "expected a schema");
        case Kind::schemas:
            return unless(all_of(value, is_schema) && !value.get_array().empty(),
                          "expected an array of schemas");
        case Kind::items:
            return unless(is_schema(value) || all_of(value, is_schema),
                          "expected a schema or an array of schemas");
        case Kind::schema_map:
            return unless(
                value.is_object() &&
                    std::ranges::all_of(value.get_object(),
                                        [](const auto& entry) { return is_schema(entry.value()); }),
                "expected an object of schemas");
        case Kind::names:
            return unless(all_of(value, [](const json::value& v) { return v.is_string(); }),
                          "expected an array of strings");
        case Kind::count: return unless(is_count(value), "expected a whole number from 0 on");
        case Kind::number: return unless(value.is_number(), "expected a number");
        case Kind::positive:
            return unless(value.is_number() && to_double(value) > 0, "expected a number above 0");
        case Kind::text: return unless(value.is_string(), "expected a string");
        case Kind::format:
            if (!value.is_string()) return "expected a string";
            return unless(
                is_number_format(to_view(value)) || find_format(to_view(value)) != nullptr,
                "this format is not supported");
        case Kind::only_false:
            return unless(value.is_bool() && !value.get_bool(), "not supported by this server");
    }
    return std::nullopt;
}

}  // namespace

bool is_number_format(std::string_view name) {
    return name == "int32" || name == "int64" || name == "float" || name == "double";
}

std::optional<KeywordProblem> find_keyword_problem(const json::object& schema) {
    for (const auto& entry : schema) {
        const std::string_view name(entry.key().data(), entry.key().size());
        if (name.starts_with("x-")) continue;
        const auto keyword = std::ranges::find(kKeywords, name, &Keyword::name);
        if (keyword == kKeywords.end())
            return KeywordProblem{std::string(name), "not supported by this server"};
        if (auto message = expected(keyword->kind, entry.value()))
            return KeywordProblem{std::string(name), std::move(*message)};
    }
    return std::nullopt;
}

double to_double(const json::value& number) {
    if (number.is_int64()) return static_cast<double>(number.get_int64());
    if (number.is_uint64()) return static_cast<double>(number.get_uint64());
    return number.get_double();
}

std::string_view to_view(const json::value& string) {
    return {string.get_string().data(), string.get_string().size()};
}

TypeBit type_of(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null: return kNull;
        case json::kind::bool_: return kBoolean;
        case json::kind::object: return kObject;
        case json::kind::array: return kArray;
        case json::kind::string: return kString;
        default: return std::floor(to_double(value)) == to_double(value) ? kInteger : kFraction;
    }
}

bool is_equal(const json::value& a, const json::value& b) {
    if (a.is_number() && b.is_number()) {
        if (a.is_double() || b.is_double()) return to_double(a) == to_double(b);
        return a == b;
    }
    if (a.kind() != b.kind()) return false;
    if (a.is_array()) {
        return std::ranges::equal(a.get_array(), b.get_array(), is_equal);
    }
    if (!a.is_object()) return a == b;
    if (a.get_object().size() != b.get_object().size()) return false;
    return std::ranges::all_of(a.get_object(), [&b](const auto& entry) {
        const json::value* other = b.get_object().if_contains(entry.key());
        return other != nullptr && is_equal(entry.value(), *other);
    });
}

}  // namespace kvasir::grammar
