// SchemaCompiler: objects. Members come in the order of the schema, then the ones it does not name.
#include <algorithm>
#include <fmt/format.h>
#include <optional>

#include "daemon/grammar/schema_compiler.hpp"
#include "daemon/grammar/text_automaton.hpp"

namespace kvasir::grammar {

namespace {

constexpr std::size_t kMaxMembers = 2'000;
constexpr std::size_t kMaxCountedMembers = 200;  // counting them costs their number squared
constexpr std::size_t kMaxPatterns = 16;

std::string_view key_of_entry(const json::key_value_pair& entry) {
    return {entry.key().data(), entry.key().size()};
}

bool has(const json::object& clause, std::string_view keyword) {
    return clause.if_contains(keyword) != nullptr;
}

}  // namespace

SchemaResult<std::vector<SchemaCompiler::Member>> SchemaCompiler::members(const Shape& shape) {
    std::vector<std::string_view> keys;
    std::map<std::string_view, bool> is_known;
    const auto add = [&](std::string_view key) {
        if (is_known.emplace(key, true).second) keys.push_back(key);
    };
    for (const json::object* clause : shape.clauses) {
        if (const json::value* properties = clause->if_contains("properties")) {
            for (const auto& entry : properties->get_object()) add(key_of_entry(entry));
        }
    }
    std::map<std::string_view, bool> is_required;
    for (const json::object* clause : shape.clauses) {
        const json::value* names = clause->if_contains("required");
        if (names == nullptr) continue;
        for (const json::value& name : names->get_array()) {
            add(to_view(name));
            is_required[to_view(name)] = true;
        }
    }
    if (keys.size() > kMaxMembers)
        return reader_.wrong(*shape.clauses.back(), "properties",
                             fmt::format("more than {} properties", kMaxMembers));
    std::vector<Member> named;
    for (const std::string_view key : keys) {
        KVASIR_TRY(const Schemas schemas, reader_.property(shape, key));
        KVASIR_TRY(const NodeId value, values_of(schemas));
        const NodeId text = builder_.literal('"' + json_escaped(key) + '"');
        named.push_back(
            {key, builder_.sequence({text, json_.colon(), value}), is_required.contains(key)});
    }
    return named;
}

SchemaResult<NodeId> SchemaCompiler::key_of(const Dfa& keys, const Shape& shape) {
    auto bytes = to_json_string(keys, reader_.budget());
    if (bytes.has_error())
        return reader_.wrong(*shape.clauses.back(), "additionalProperties", bytes.error().message);
    const NodeId quote = builder_.literal("\"");
    return builder_.sequence({quote, builder_.terminal(std::move(*bytes)), quote});
}

/// Keys that several patterns find are not written: they would have to satisfy all of these.
SchemaResult<std::vector<SchemaCompiler::Extra>> SchemaCompiler::extras(
    const Shape& shape, const std::vector<Member>& named) {
    struct Pattern {
        const Dfa* keys = nullptr;
        const json::object* clause = nullptr;
        const json::value* schema = nullptr;
    };
    std::vector<Pattern> patterns;
    bool is_open = true;
    Schemas others;  // of a key that nothing names
    for (const json::object* clause : shape.clauses) {
        if (const json::value* found = clause->if_contains("patternProperties")) {
            for (const auto& entry : found->get_object()) {
                KVASIR_TRY(const Dfa* const keys,
                           reader_.pattern(key_of_entry(entry), &entry.value()));
                patterns.push_back({keys, clause, &entry.value()});
            }
        }
        if (const json::value* schema = clause->if_contains("additionalProperties")) {
            others.push_back(schema);
        } else if (has(*clause, "properties") || has(*clause, "patternProperties") ||
                   has(*clause, "required")) {
            is_open = false;
        }
    }
    if (patterns.size() > kMaxPatterns)
        return reader_.wrong(*shape.clauses.back(), "patternProperties",
                             fmt::format("more than {} patterns", kMaxPatterns));
    Budget& budget = reader_.budget();
    const auto refuse = [&](const Error& error) {
        return reader_.wrong(*shape.clauses.back(), "additionalProperties", error.message);
    };
    std::vector<Extra> extras;
    if (patterns.empty() && named.empty()) {
        if (!is_open) return extras;
        KVASIR_TRY(const NodeId value, values_of(others));
        extras.push_back({json_.string(), value});
        return extras;
    }
    if (patterns.empty() && !is_open) return extras;
    // The keys that no property has.
    Nfa nfa;
    const Fragment names = nfa.nothing();
    for (const Member& member : named) {
        const Fragment one =
            nfa.text(code_points(member.key).value_or(std::vector<std::uint32_t>()));
        nfa.add_empty(names.start, one.start);
        nfa.add_empty(one.end, names.end);
    }
    auto taken = determinize(nfa, names, budget);
    if (taken.has_error()) return refuse(taken.error());
    auto free = complement(*taken, kMaxCodePoint, budget);
    if (free.has_error()) return refuse(free.error());
    for (std::size_t i = 0; i <= patterns.size(); ++i) {
        const bool is_rest = i == patterns.size();
        if (is_rest && !is_open) break;
        Dfa keys = *free;
        Schemas schemas = is_rest ? others : Schemas{patterns[i].schema};
        for (std::size_t k = 0; k < patterns.size(); ++k) {
            std::optional<Dfa> other;
            if (k != i) {
                auto without = complement(*patterns[k].keys, kMaxCodePoint, budget);
                if (without.has_error()) return refuse(without.error());
                other = std::move(*without);
            }
            auto narrowed = intersect(keys, other ? *other : *patterns[k].keys, budget);
            if (narrowed.has_error()) return refuse(narrowed.error());
            keys = std::move(*narrowed);
        }
        if (!is_rest) {
            for (const json::object* clause : shape.clauses) {
                const json::value* schema = clause->if_contains("additionalProperties");
                if (clause != patterns[i].clause && schema != nullptr) schemas.push_back(schema);
            }
        }
        KVASIR_TRY(const NodeId key, key_of(keys, shape));
        KVASIR_TRY(const NodeId value, values_of(schemas));
        extras.push_back({key, value});
    }
    return extras;
}

/// What follows n_before members. Extra keys may repeat each other, so only one of them counts
/// towards the least number.
NodeId SchemaCompiler::extra_tail(const std::vector<Extra>& extras, std::uint32_t n_before,
                                  const LengthLimits& limits) {
    const std::uint32_t missing = limits.low > n_before ? limits.low - n_before : 0;
    const NodeId end = n_before == 0 ? builder_.empty() : json_.gap();
    const std::uint32_t room = limits.high == kNoLimit ? kNoLimit : limits.high - n_before;
    if (missing > 1 || (missing == 1 && extras.empty())) return builder_.choice({});
    if (extras.empty() || room == 0) return end;
    std::vector<NodeId> ways;
    for (const Extra& extra : extras)
        ways.push_back(builder_.sequence({extra.key, json_.colon(), extra.value}));
    const NodeId member = builder_.choice(ways);
    const NodeId more = builder_.sequence({json_.comma(), member});
    if (n_before > 0) return builder_.sequence({builder_.repeat(more, missing, room), end});
    const std::uint32_t others = room == kNoLimit ? kNoLimit : room - 1;
    const NodeId some =
        builder_.sequence({json_.gap(), member, builder_.repeat(more, 0, others), json_.gap()});
    return missing == 0 ? builder_.optional(some) : some;
}

/// From the last member back: what follows the members before `i`, of which so many were written.
/// Where no count matters, only whether any was.
NodeId SchemaCompiler::members_from(const std::vector<Member>& named,
                                    const std::vector<Extra>& extras, const LengthLimits& limits) {
    const bool is_counted = !limits.is_any();
    const auto n = static_cast<std::uint32_t>(named.size());
    const auto n_counts = [&](std::uint32_t i) { return is_counted ? i + 1 : i == 0 ? 1U : 2U; };
    std::vector<NodeId> tails;
    for (std::uint32_t count = 0; count < n_counts(n); ++count) {
        const bool is_over = is_counted && count > limits.high;
        tails.push_back(is_over ? builder_.choice({}) : extra_tail(extras, count, limits));
    }
    for (std::uint32_t i = n; i-- > 0;) {
        std::vector<NodeId> before;
        for (std::uint32_t count = 0; count < n_counts(i); ++count) {
            const std::uint32_t after = is_counted ? count + 1 : 1;
            std::vector<NodeId> ways{builder_.sequence(
                {count == 0 ? json_.gap() : json_.comma(), named[i].text, tails[after]})};
            if (!named[i].is_required) ways.push_back(tails[count]);
            before.push_back(builder_.choice(ways));
        }
        tails = std::move(before);
    }
    return tails[0];
}

SchemaResult<NodeId> SchemaCompiler::object(const Shape& shape) {
    KVASIR_TRY(const std::vector<Member> named, members(shape));
    KVASIR_TRY(const std::vector<Extra> more, extras(shape, named));
    const LengthLimits limits = SchemaReader::limits(shape, "minProperties", "maxProperties");
    if (limits.low > named.size() + (more.empty() ? 0U : 1U)) {
        return reader_.wrong(*shape.clauses.back(), "minProperties",
                             "more than the properties that have names here and one, which is not "
                             "supported by this server");
    }
    if (!limits.is_any() && named.size() > kMaxCountedMembers)
        return reader_.wrong(*shape.clauses.back(), "properties",
                             fmt::format("more than {} properties of which only some may be there",
                                         kMaxCountedMembers));
    return builder_.sequence(
        {builder_.literal("{"), members_from(named, more, limits), builder_.literal("}")});
}

}  // namespace kvasir::grammar
