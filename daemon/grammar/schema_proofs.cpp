// SchemaReader: whether a value satisfies schemas, and whether two shapes can share a value.
#include <algorithm>
#include <boost/json/array.hpp>
#include <cmath>
#include <set>

#include "daemon/grammar/schema_reader.hpp"
#include "daemon/grammar/text_automaton.hpp"

namespace kvasir::grammar {

namespace {

constexpr unsigned kMaxDepth = 16;
constexpr unsigned kMaxProofDepth = 4;

bool is_within(const json::object& clause, double value) {
    const auto number = [&clause](std::string_view keyword) -> std::optional<double> {
        const json::value* bound = clause.if_contains(keyword);
        return bound == nullptr ? std::nullopt : std::optional(to_double(*bound));
    };
    if (const auto low = number("minimum"); low && value < *low) return false;
    if (const auto low = number("exclusiveMinimum"); low && value <= *low) return false;
    if (const auto high = number("maximum"); high && value > *high) return false;
    if (const auto high = number("exclusiveMaximum"); high && value >= *high) return false;
    if (const auto unit = number("multipleOf"); unit) {
        const double times = value / *unit;
        return std::floor(times) == times;
    }
    return true;
}

/// The interval of the numbers of a shape: whether two of them share none.
bool numbers_disjoint(const Shape& a, const Shape& b) {
    const auto bound = [](const Shape& shape, std::string_view keyword) -> std::optional<double> {
        std::optional<double> tightest;
        for (const json::object* clause : shape.clauses) {
            const json::value* value = clause->if_contains(keyword);
            if (value == nullptr) continue;
            const double number = to_double(*value);
            const bool is_low = keyword.ends_with("inimum");
            if (!tightest || (is_low ? number > *tightest : number < *tightest)) tightest = number;
        }
        return tightest;
    };
    const auto below = [&](const Shape& low, const Shape& high) {
        for (const std::string_view most : {"maximum", "exclusiveMaximum"}) {
            for (const std::string_view least : {"minimum", "exclusiveMinimum"}) {
                const auto end = bound(low, most);
                const auto begin = bound(high, least);
                if (!end || !begin) continue;
                const bool may_touch = most == "maximum" && least == "minimum";
                if (*end < *begin || (*end == *begin && !may_touch)) return true;
            }
        }
        return false;
    };
    return below(a, b) || below(b, a);
}

bool lengths_disjoint(const Shape& a, const Shape& b, std::string_view low, std::string_view high) {
    const LengthLimits in_a = SchemaReader::limits(a, low, high);
    const LengthLimits in_b = SchemaReader::limits(b, low, high);
    return in_a.high < in_b.low || in_b.high < in_a.low;
}

}  // namespace

SchemaResult<bool> SchemaReader::accepts(const Schemas& schemas, const json::value& value,
                                         Certainty certainty, unsigned depth) {
    if (schemas.empty()) return true;
    if (depth > kMaxDepth) return certainty == Certainty::maybe;
    std::vector<const json::value*> open;
    open.swap(open_);  // a value's parts may be described by what describes the value
    auto found = shapes(schemas);
    open.swap(open_);
    if (found.has_error()) return std::move(found).error();
    for (const Shape& shape : *found) {
        KVASIR_TRY(const bool fits, has_shape(shape, value, certainty, depth));
        if (fits) return true;
    }
    return false;
}

SchemaResult<bool> SchemaReader::has_shape(const Shape& shape, const json::value& value,
                                           Certainty certainty, unsigned depth) {
    if ((shape.types & type_of(value)) == 0) return false;
    const auto equals = [&value](const json::value* other) { return is_equal(value, *other); };
    if (shape.values && std::ranges::none_of(*shape.values, equals)) return false;
    if (value.is_number()) {
        const double number = to_double(value);
        const NumberLimits limits = numbers(shape);
        if (limits.is_integer && std::floor(number) != number) return false;
        const bool is_int32 = std::ranges::any_of(shape.clauses, [](const json::object* clause) {
            const json::value* format = clause->if_contains("format");
            return format != nullptr && to_view(*format) == "int32";
        });
        if (is_int32 && (number < -2147483648.0 || number > 2147483647.0)) return false;
        return std::ranges::all_of(shape.clauses, [number](const json::object* clause) {
            return is_within(*clause, number);
        });
    }
    const auto is_counted = [&](std::size_t n, std::string_view low, std::string_view high) {
        const LengthLimits length = limits(shape, low, high);
        return n >= length.low && n <= length.high;
    };
    if (value.is_string()) {
        const auto symbols = code_points(to_view(value));
        if (!symbols || !is_counted(symbols->size(), "minLength", "maxLength")) return false;
        KVASIR_TRY(const std::optional<Dfa> dfa, text(shape, certainty));
        return !dfa || dfa->accepts(*symbols);
    }
    if (value.is_array()) {
        const json::array& array = value.get_array();
        if (!is_counted(array.size(), "minItems", "maxItems")) return false;
        for (std::size_t i = 0; i < array.size(); ++i) {
            KVASIR_TRY(const bool fits, accepts(element(shape, i), array[i], certainty, depth + 1));
            if (!fits) return false;
        }
    }
    if (value.is_object()) {
        const json::object& object = value.get_object();
        if (!is_counted(object.size(), "minProperties", "maxProperties")) return false;
        for (const json::object* clause : shape.clauses) {
            const json::value* names = clause->if_contains("required");
            if (names == nullptr) continue;
            for (const json::value& name : names->get_array()) {
                if (!object.contains(to_view(name))) return false;
            }
        }
        for (const auto& entry : object) {
            KVASIR_TRY(const Schemas schemas,
                       property(shape, {entry.key().data(), entry.key().size()}));
            KVASIR_TRY(const bool fits, accepts(schemas, entry.value(), certainty, depth + 1));
            if (!fits) return false;
        }
    }
    return true;
}

SchemaResult<bool> SchemaReader::strings_disjoint(const Shape& a, const Shape& b) {
    if (lengths_disjoint(a, b, "minLength", "maxLength")) return true;
    KVASIR_TRY(const std::optional<Dfa> in_a, text(a, Certainty::maybe));
    KVASIR_TRY(const std::optional<Dfa> in_b, text(b, Certainty::maybe));
    if (!in_a || !in_b) return false;
    const auto both = intersect(*in_a, *in_b, budget_);
    return !both.has_error() && both->is_empty();
}

/// A property that one of them requires and whose values tell them apart.
SchemaResult<bool> SchemaReader::objects_disjoint(const Shape& a, const Shape& b, unsigned depth) {
    if (lengths_disjoint(a, b, "minProperties", "maxProperties")) return true;
    std::set<std::string_view> keys;
    for (const Shape* shape : {&a, &b}) {
        for (const json::object* clause : shape->clauses) {
            const json::value* names = clause->if_contains("required");
            if (names == nullptr) continue;
            for (const json::value& name : names->get_array()) keys.insert(to_view(name));
        }
    }
    for (const std::string_view key : keys) {
        const bool in_both = requires_key(a, key) && requires_key(b, key);
        KVASIR_TRY(const Schemas of_a, property(a, key));
        KVASIR_TRY(const Schemas of_b, property(b, key));
        std::vector<const json::value*> open;
        open.swap(open_);
        auto shapes_a = shapes(of_a);
        auto shapes_b = shapes(of_b);
        open.swap(open_);
        if (shapes_a.has_error()) return std::move(shapes_a).error();
        if (shapes_b.has_error()) return std::move(shapes_b).error();
        // Required here, impossible there.
        if (shapes_a->empty() || shapes_b->empty()) return true;
        bool tells_apart = in_both;
        for (std::size_t i = 0; i < shapes_a->size() && tells_apart; ++i) {
            for (std::size_t k = 0; k < shapes_b->size() && tells_apart; ++k) {
                KVASIR_TRY(tells_apart, are_disjoint((*shapes_a)[i], (*shapes_b)[k], depth + 1));
            }
        }
        if (tells_apart) return true;
    }
    return false;
}

SchemaResult<bool> SchemaReader::are_disjoint(const Shape& a, const Shape& b, unsigned depth) {
    const auto common = static_cast<std::uint8_t>(a.types & b.types);
    if (common == 0) return true;
    if (depth > kMaxProofDepth) return false;
    if (a.values || b.values) {
        const Shape& listed = a.values ? a : b;
        const Shape& other = a.values ? b : a;
        for (const json::value* value : *listed.values) {
            KVASIR_TRY(const bool in_listed, has_shape(listed, *value, Certainty::maybe));
            if (!in_listed) continue;
            KVASIR_TRY(const bool in_other, has_shape(other, *value, Certainty::maybe));
            if (in_other) return false;
        }
        return true;
    }
    if ((common & (kNull | kBoolean)) != 0) return false;
    if ((common & kNumber) != 0 && !numbers_disjoint(a, b)) return false;
    if ((common & kArray) != 0 && !lengths_disjoint(a, b, "minItems", "maxItems")) return false;
    if ((common & kString) != 0) {
        KVASIR_TRY(const bool disjoint, strings_disjoint(a, b));
        if (!disjoint) return false;
    }
    if ((common & kObject) != 0) {
        KVASIR_TRY(const bool disjoint, objects_disjoint(a, b, depth));
        if (!disjoint) return false;
    }
    return true;
}

}  // namespace kvasir::grammar
