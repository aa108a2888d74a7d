#include "daemon/grammar/gbnf.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/grammar/gbnf_scanner.hpp"
#include "daemon/grammar/text_automaton.hpp"

namespace kvasir::grammar {

namespace {

constexpr std::size_t kMaxBytes = 256 << 10;
constexpr std::size_t kMaxRules = 4096;
constexpr std::size_t kMaxDepth = 64;

class Parser : private GbnfScanner {
public:
    explicit Parser(std::vector<std::uint32_t> source) : GbnfScanner(std::move(source)) {}

    Result<std::shared_ptr<const Grammar>> run() {
        skip(true);
        while (!is_end()) KVASIR_TRY_VOID(read_rule());
        for (const auto& [name, rule] : rules_) {
            if (rule.is_defined) continue;
            return Error{ErrorCode::invalid_argument,
                         fmt::format("line {}: rule \"{}\" is not defined", rule.line, name)};
        }
        const auto root = rules_.find("root");
        if (root == rules_.end())
            return Error{ErrorCode::invalid_argument, "no rule \"root\", expected one"};
        return builder_.finish(root->second.id);
    }

private:
    struct Rule {
        NodeId id{};
        std::size_t line = 0;  // of the first mention
        bool is_defined = false;
    };

    Result<NodeId> find_rule(const std::string& name) {
        const auto found = rules_.find(name);
        if (found != rules_.end()) return found->second.id;
        if (rules_.size() == kMaxRules)
            return wrong(fmt::format("more than {} rules", kMaxRules), ErrorCode::too_large);
        const NodeId id = builder_.rule(name);
        rules_.emplace(name, Rule{id, line(), false});
        return id;
    }

    Result<> read_rule() {
        const std::string name = read_name();
        if (name.empty()) return wrong("expected a rule's name");
        skip(false);
        if (peek() != ':' || peek(1) != ':' || peek(2) != '=')
            return wrong(fmt::format("expected ::= after \"{}\"", name.substr(0, 64)));
        at_ += 3;
        skip(true);
        KVASIR_TRY(const NodeId id, find_rule(name));
        if (rules_[name].is_defined)
            return wrong(fmt::format("rule \"{}\" is defined twice", name.substr(0, 64)));
        rules_[name].is_defined = true;
        KVASIR_TRY(const NodeId body, read_choice(0));
        builder_.define(id, body);
        if (!is_end() && peek() != '\n') return wrong("expected the rule's end");
        skip(true);
        return {};
    }

    Result<NodeId> read_choice(std::size_t depth) {
        if (depth > kMaxDepth)
            return wrong(fmt::format("groups nested deeper than {}", kMaxDepth),
                         ErrorCode::too_large);
        std::vector<NodeId> ways;
        while (true) {
            KVASIR_TRY(const NodeId way, read_sequence(depth));
            ways.push_back(way);
            skip(depth > 0);
            // A line may end before the bar as well.
            const std::size_t before = at_;
            skip(true);
            if (peek() != '|') {
                at_ = before;
                return builder_.choice(ways);
            }
            ++at_;
            skip(true);
        }
    }

    Result<NodeId> read_sequence(std::size_t depth) {
        std::vector<NodeId> parts;
        while (true) {
            skip(depth > 0);
            const std::uint32_t c = peek();
            if (is_end() || c == '\n' || c == '|' || c == ')') return builder_.sequence(parts);
            KVASIR_TRY(NodeId part, read_atom(depth));
            KVASIR_TRY(part, read_repeats(part));
            parts.push_back(part);
        }
    }

    Result<NodeId> read_atom(std::size_t depth) {
        const std::uint32_t c = peek();
        if (c == '"') return read_literal();
        if (c == '[') return read_class();
        if (c == '.') {
            ++at_;
            return characters(SymbolSet{{0, kMaxCodePoint}});
        }
        if (c == '(') {
            ++at_;
            KVASIR_TRY(const NodeId group, read_choice(depth + 1));
            skip(true);
            if (peek() != ')') return wrong("expected )");
            ++at_;
            return group;
        }
        if (!is_name(c)) return wrong("expected a literal, a class, a group or a rule's name");
        return find_rule(read_name());
    }

    Result<NodeId> characters(const SymbolSet& set) {
        Nfa nfa;
        const Fragment one = nfa.nothing();
        Utf8Paths paths(nfa);
        for (const SymbolRange& range : set.ranges()) paths.add(one.start, range, one.end);
        KVASIR_TRY(Dfa dfa, determinize(nfa, one, budget_));
        return builder_.terminal(std::move(dfa));
    }

    Result<NodeId> read_literal() {
        ++at_;
        std::vector<std::uint32_t> text;
        while (peek() != '"' || is_end()) {
            KVASIR_TRY(const std::uint32_t c, read_character());
            text.push_back(c);
        }
        ++at_;
        Nfa nfa;
        Utf8Paths paths(nfa);
        Fragment whole = nfa.empty();
        for (const std::uint32_t c : text) {
            const std::uint32_t next = nfa.add_state();
            paths.add(whole.end, {c, c}, next);
            whole.end = next;
        }
        KVASIR_TRY(Dfa dfa, determinize(nfa, whole, budget_));
        return builder_.terminal(std::move(dfa));
    }

    Result<NodeId> read_class() {
        ++at_;
        const bool is_negated = peek() == '^';
        if (is_negated) ++at_;
        std::vector<SymbolRange> ranges;
        while (peek() != ']' || is_end()) {
            KVASIR_TRY(const std::uint32_t low, read_character());
            std::uint32_t high = low;
            if (peek() == '-' && peek(1) != ']') {
                ++at_;
                KVASIR_TRY(high, read_character());
            }
            if (high < low) return wrong("a range that ends before it begins");
            ranges.push_back({low, high});
        }
        ++at_;
        const SymbolSet set(std::move(ranges));
        return characters(is_negated ? set.complement(kMaxCodePoint) : set);
    }

    Result<NodeId> read_repeats(NodeId part) {
        // Each sign applies to what stands before it; a long chain of them would only nest.
        for (std::size_t n = 0;; ++n) {
            skip(false);
            std::uint32_t low = 0;
            std::uint32_t high = kNoLimit;
            const std::uint32_t c = peek();
            if (c != '*' && c != '+' && c != '?' && c != '{') return part;
            if (n == kMaxDepth) return wrong("too many repetition signs", ErrorCode::too_large);
            ++at_;
            if (c == '+') low = 1;
            if (c == '?') high = 1;
            if (c == '{') {
                skip(false);
                KVASIR_TRY(low, read_count());
                high = low;
                if (peek() == ',') {
                    ++at_;
                    skip(false);
                    high = kNoLimit;
                    if (peek() != '}') {
                        KVASIR_TRY(high, read_count());
                    }
                }
                if (peek() != '}') return wrong("expected }");
                if (low > high) return wrong("more repetitions at least than at most");
                ++at_;
            }
            part = builder_.repeat(part, low, high);
        }
    }

    GrammarBuilder builder_;
    Budget budget_;
    std::map<std::string, Rule> rules_;
};

}  // namespace

Result<std::shared_ptr<const Grammar>> parse_gbnf(std::string_view source) {
    if (source.size() > kMaxBytes) {
        return Error{ErrorCode::too_large,
                     fmt::format("{} bytes, expected at most {}", source.size(), kMaxBytes)};
    }
    auto points = code_points(source);
    if (!points) return Error{ErrorCode::invalid_argument, "invalid UTF-8"};
    return Parser(std::move(*points)).run();
}

}  // namespace kvasir::grammar
