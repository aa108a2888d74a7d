// SchemaReader: what the clauses of a shape say together about one type.
#include <algorithm>
#include <boost/json/array.hpp>
#include <fmt/format.h>

#include "daemon/grammar/pattern.hpp"
#include "daemon/grammar/schema_reader.hpp"
#include "daemon/grammar/text_automaton.hpp"

namespace kvasir::grammar {

namespace {

constexpr std::uint32_t kMaxCount = 1U << 30;  // beyond that a count is no limit

std::uint32_t to_count(const json::value& value) {
    return static_cast<std::uint32_t>(std::min<double>(to_double(value), kMaxCount));
}

}  // namespace

LengthLimits SchemaReader::limits(const Shape& shape, std::string_view low, std::string_view high) {
    LengthLimits limits;
    for (const json::object* clause : shape.clauses) {
        if (const json::value* value = clause->if_contains(low))
            limits.low = std::max(limits.low, to_count(*value));
        if (const json::value* value = clause->if_contains(high)) {
            const std::uint32_t count = to_count(*value);
            if (count < kMaxCount) limits.high = std::min(limits.high, count);
        }
    }
    return limits;
}

NumberLimits SchemaReader::numbers(const Shape& shape) {
    NumberLimits limits;
    limits.is_integer = (shape.types & kFraction) == 0;
    for (const json::object* clause : shape.clauses) {
        const auto add = [clause](std::string_view keyword, bool is_exclusive,
                                  std::vector<NumberLimits::Bound>& bounds) {
            if (const json::value* value = clause->if_contains(keyword))
                bounds.push_back({Decimal::of(*value), is_exclusive});
        };
        add("minimum", false, limits.low);
        add("exclusiveMinimum", true, limits.low);
        add("maximum", false, limits.high);
        add("exclusiveMaximum", true, limits.high);
        if (const json::value* value = clause->if_contains("multipleOf"))
            limits.multiples.push_back(Decimal::of(*value));
        const json::value* format = clause->if_contains("format");
        if (format != nullptr && to_view(*format) == "int32") {
            limits.low.push_back({Decimal::of(json::value(-2147483648LL)), false});
            limits.high.push_back({Decimal::of(json::value(2147483647LL)), false});
        }
        if (format != nullptr && to_view(*format).starts_with("int")) limits.is_integer = true;
    }
    return limits;
}

SchemaResult<const Dfa*> SchemaReader::pattern(std::string_view source, const json::value* where) {
    const auto known = patterns_.find(source);
    if (known != patterns_.end()) return &known->second;
    auto parsed = parse_pattern(source, budget_);
    if (parsed.has_error()) {
        return wrong(where, "",
                     fmt::format("\"{}\": {}", source.substr(0, 128), parsed.error().message));
    }
    return &patterns_.emplace(source, std::move(*parsed)).first->second;
}

SchemaResult<std::optional<Dfa>> SchemaReader::text(const Shape& shape, Certainty certainty) {
    std::optional<Dfa> whole;
    const auto narrow = [&](const Dfa& dfa, const json::value* where) -> SchemaResult<bool> {
        if (!whole) {
            whole = dfa;
            return true;
        }
        auto both = intersect(*whole, dfa, budget_);
        if (both.has_error()) return wrong(where, "", both.error().message);
        whole = std::move(*both);
        return true;
    };
    const json::value* last = nullptr;
    for (const json::object* clause : shape.clauses) {
        if (const json::value* value = clause->if_contains("pattern")) {
            KVASIR_TRY(const Dfa* const dfa, pattern(to_view(*value), value));
            KVASIR_TRY([[maybe_unused]] const bool fine, narrow(*dfa, value));
            last = value;
        }
        const json::value* format = clause->if_contains("format");
        if (format != nullptr && certainty == Certainty::yes &&
            !is_number_format(to_view(*format))) {
            KVASIR_TRY([[maybe_unused]] const bool fine,
                       narrow(*find_format(to_view(*format)), format));
            last = format;
        }
    }
    const LengthLimits length = limits(shape, "minLength", "maxLength");
    if (whole && !length.is_any()) {
        auto counted = of_length(length.low,
                                 length.high == LengthLimits{}.high
                                     ? std::nullopt
                                     : std::optional<std::uint64_t>(length.high),
                                 kMaxCodePoint, budget_);
        if (counted.has_error()) return wrong(last, "", counted.error().message);
        KVASIR_TRY([[maybe_unused]] const bool fine, narrow(*counted, last));
    }
    return whole;
}

bool SchemaReader::requires_key(const Shape& shape, std::string_view key) {
    return std::ranges::any_of(shape.clauses, [key](const json::object* clause) {
        const json::value* names = clause->if_contains("required");
        return names != nullptr && std::ranges::any_of(names->get_array(), [key](const auto& name) {
                   return to_view(name) == key;
               });
    });
}

SchemaResult<Schemas> SchemaReader::property(const Shape& shape, std::string_view key) {
    Schemas schemas;
    const auto add = [&schemas](const json::value* schema) {
        if (std::ranges::find(schemas, schema) == schemas.end()) schemas.push_back(schema);
    };
    for (const json::object* clause : shape.clauses) {
        bool is_named = false;
        if (const json::value* properties = clause->if_contains("properties")) {
            if (const json::value* own = properties->get_object().if_contains(key)) {
                add(own);
                is_named = true;
            }
        }
        if (const json::value* patterns = clause->if_contains("patternProperties")) {
            const auto symbols = code_points(key);
            for (const auto& entry : patterns->get_object()) {
                KVASIR_TRY(const Dfa* const dfa,
                           pattern({entry.key().data(), entry.key().size()}, &entry.value()));
                if (!symbols || !dfa->accepts(*symbols)) continue;
                add(&entry.value());
                is_named = true;
            }
        }
        if (is_named) continue;
        if (const json::value* other = clause->if_contains("additionalProperties")) add(other);
    }
    return schemas;
}

std::size_t SchemaReader::n_prefix(const json::object& clause) {
    if (const json::value* prefix = clause.if_contains("prefixItems"))
        return prefix->get_array().size();
    const json::value* items = clause.if_contains("items");
    return items != nullptr && items->is_array() ? items->get_array().size() : 0;
}

const json::value* SchemaReader::rest(const json::object& clause) {
    const json::value* items = clause.if_contains("items");
    if (items != nullptr && items->is_array()) return clause.if_contains("additionalItems");
    return items;
}

Schemas SchemaReader::element(const Shape& shape, std::size_t index) const {
    Schemas schemas;
    for (const json::object* clause : shape.clauses) {
        const json::value* schema = rest(*clause);
        if (index < n_prefix(*clause)) {
            const json::value* prefix = clause->if_contains("prefixItems");
            if (prefix == nullptr) prefix = clause->if_contains("items");
            schema = &prefix->get_array()[index];
        }
        if (schema != nullptr && std::ranges::find(schemas, schema) == schemas.end())
            schemas.push_back(schema);
    }
    return schemas;
}

}  // namespace kvasir::grammar
