#include "daemon/grammar/schema_compiler.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "daemon/grammar/text_automaton.hpp"

namespace kvasir::grammar {

namespace {

constexpr std::size_t kMaxRules = 20'000;
constexpr std::uint32_t kMaxPrefix = 1'000;

/// As short as this house writes JSON: "a": 1 would be as valid.
void append_json(std::string& out, const json::value& value) {
    if (value.is_string()) {
        out += '"' + json_escaped(to_view(value)) + '"';
    } else if (value.is_double()) {
        out += fmt::format("{}", value.get_double());
    } else if (value.is_array()) {
        out += '[';
        for (const json::value& one : value.get_array()) {
            if (out.back() != '[') out += ',';
            append_json(out, one);
        }
        out += ']';
    } else if (value.is_object()) {
        out += '{';
        bool is_first = true;
        for (const auto& entry : value.get_object()) {
            if (!is_first) out += ',';
            is_first = false;
            out += '"' + json_escaped({entry.key().data(), entry.key().size()}) + "\":";
            append_json(out, entry.value());
        }
        out += '}';
    } else {
        out += json::serialize(value);
    }
}

}  // namespace

SchemaResult<std::shared_ptr<const Grammar>> SchemaCompiler::run() {
    KVASIR_TRY(const NodeId root, values_of({&schema_}));
    while (!pending_.empty()) {
        const auto [schemas, rule] = std::move(pending_.front());
        pending_.pop_front();
        KVASIR_TRY(const std::vector<Shape> shapes, reader_.shapes(schemas));
        std::vector<NodeId> ways;
        for (const Shape& one : shapes) {
            KVASIR_TRY(const NodeId way, shape(one));
            ways.push_back(way);
        }
        builder_.define(rule, builder_.choice(ways));
    }
    auto grammar = builder_.finish(root);
    if (grammar.has_error()) return SchemaError{"", grammar.error().message};
    return std::move(*grammar);
}

SchemaResult<NodeId> SchemaCompiler::values_of(const Schemas& schemas) {
    if (schemas.empty()) return json_.value();
    const auto known = rules_.find(schemas);
    if (known != rules_.end()) return known->second;
    if (rules_.size() == kMaxRules)
        return reader_.wrong(schemas.front(), "",
                             fmt::format("more than {} different schemas", kMaxRules));
    const NodeId rule = builder_.rule("value");
    rules_.emplace(schemas, rule);
    pending_.emplace_back(schemas, rule);
    return rule;
}

SchemaResult<NodeId> SchemaCompiler::shape(const Shape& shape) {
    if (shape.values) return listed(shape);
    std::vector<NodeId> ways;
    if ((shape.types & kNull) != 0) ways.push_back(json_.null());
    if ((shape.types & kBoolean) != 0) ways.push_back(json_.boolean());
    using Compile = SchemaResult<NodeId> (SchemaCompiler::*)(const Shape&);
    constexpr std::array<std::pair<std::uint8_t, Compile>, 4> kTypes{
        {{kNumber, &SchemaCompiler::number},
         {kString, &SchemaCompiler::string},
         {kArray, &SchemaCompiler::array},
         {kObject, &SchemaCompiler::object}}};
    for (const auto& [types, compile] : kTypes) {
        if ((shape.types & types) == 0) continue;
        KVASIR_TRY(const NodeId way, (this->*compile)(shape));
        ways.push_back(way);
    }
    return builder_.choice(ways);
}

SchemaResult<NodeId> SchemaCompiler::listed(const Shape& shape) {
    Nfa nfa;
    Fragment whole = nfa.nothing();
    for (const json::value* value : *shape.values) {
        KVASIR_TRY(const bool fits, reader_.has_shape(shape, *value, SchemaReader::Certainty::yes));
        if (!fits) continue;
        std::string text;
        append_json(text, *value);
        if (auto spent = reader_.budget().spend(text.size()); spent.has_error())
            return reader_.wrong(*shape.clauses.back(), "enum", spent.error().message);
        const Fragment one = nfa.ascii(text);
        nfa.add_empty(whole.start, one.start);
        nfa.add_empty(one.end, whole.end);
    }
    auto dfa = determinize(nfa, whole, reader_.budget());
    if (dfa.has_error()) return reader_.wrong(*shape.clauses.back(), "enum", dfa.error().message);
    return builder_.terminal(std::move(*dfa));
}

SchemaResult<NodeId> SchemaCompiler::string(const Shape& shape) {
    const LengthLimits length = SchemaReader::limits(shape, "minLength", "maxLength");
    if (length.low > length.high) return builder_.choice({});
    KVASIR_TRY(const std::optional<Dfa> text, reader_.text(shape, SchemaReader::Certainty::yes));
    if (!text) return json_.string_of_length(length.low, length.high);
    auto bytes = to_json_string(*text, reader_.budget());
    if (bytes.has_error()) return reader_.wrong(*shape.clauses.back(), "", bytes.error().message);
    const NodeId quote = builder_.literal("\"");
    return builder_.sequence({quote, builder_.terminal(std::move(*bytes)), quote});
}

SchemaResult<NodeId> SchemaCompiler::number(const Shape& shape) {
    const NumberLimits limits = SchemaReader::numbers(shape);
    if (limits.is_any()) return limits.is_integer ? json_.integer() : json_.number();
    auto dfa = number_automaton(limits, reader_.budget());
    if (!dfa.has_error()) return builder_.terminal(std::move(*dfa));
    const bool is_divisor = dfa.error().message.find("divisor") != std::string::npos;
    for (const json::object* clause : shape.clauses) {
        for (const std::string_view keyword : {"multipleOf", "minimum", "exclusiveMinimum",
                                               "maximum", "exclusiveMaximum", "format"}) {
            if (clause->contains(keyword) && (is_divisor == (keyword == "multipleOf")))
                return reader_.wrong(*clause, keyword, dfa.error().message);
        }
    }
    return reader_.wrong(*shape.clauses.back(), "", dfa.error().message);
}

/// "[" gap x ", " x ... gap "]", or "[]".
SchemaResult<NodeId> SchemaCompiler::array(const Shape& shape) {
    LengthLimits limits = SchemaReader::limits(shape, "minItems", "maxItems");
    std::size_t n_prefix = 0;
    bool is_open = true;  // elements beyond the prefixes are wanted
    for (const json::object* clause : shape.clauses) {
        const std::size_t n = SchemaReader::n_prefix(*clause);
        n_prefix = std::max(n_prefix, n);
        if (n > 0 && SchemaReader::rest(*clause) == nullptr) is_open = false;
    }
    if (n_prefix > kMaxPrefix)
        return reader_.wrong(*shape.clauses.back(), "prefixItems",
                             fmt::format("more than {} elements", kMaxPrefix));
    const auto n_named = static_cast<std::uint32_t>(n_prefix);
    if (!is_open) limits.high = std::min(limits.high, std::max(limits.low, n_named));
    if (limits.low > limits.high) return builder_.choice({});
    KVASIR_TRY(const NodeId rest, values_of(reader_.element(shape, n_prefix)));
    const std::uint32_t low = limits.low > n_named ? limits.low - n_named : 0;
    const std::uint32_t high = limits.high == kNoLimit ? kNoLimit
                               : limits.high > n_named ? limits.high - n_named
                                                       : 0;
    const NodeId more = builder_.sequence({json_.comma(), rest});
    NodeId tail{};  // after as many elements as have been placed
    if (n_named > 0) {
        tail = builder_.sequence({builder_.repeat(more, low, high), json_.gap()});
    } else {
        const std::uint32_t others = high == kNoLimit ? kNoLimit : high == 0 ? 0 : high - 1;
        const NodeId some =
            builder_.sequence({json_.gap(), rest,
                               builder_.repeat(more, low == 0 ? 0 : low - 1, others), json_.gap()});
        tail = high == 0 ? builder_.empty() : low == 0 ? builder_.optional(some) : some;
    }
    for (std::uint32_t i = n_named; i-- > 0;) {
        const NodeId before = i == 0 ? json_.gap() : json_.comma();
        KVASIR_TRY(const NodeId element, values_of(reader_.element(shape, i)));
        std::vector<NodeId> ways;
        if (i < limits.high) ways.push_back(builder_.sequence({before, element, tail}));
        if (i >= limits.low) ways.push_back(i == 0 ? builder_.empty() : json_.gap());
        tail = builder_.choice(ways);
    }
    return builder_.sequence({builder_.literal("["), tail, builder_.literal("]")});
}

SchemaResult<std::shared_ptr<const Grammar>> compile_schema(const json::value& schema) {
    if (!schema.is_object() && !schema.is_bool()) return SchemaError{"", "expected an object"};
    return SchemaCompiler(schema).run();
}

}  // namespace kvasir::grammar
