#include "daemon/grammar/pattern.hpp"

#include <fmt/format.h>
#include <vector>

#include "daemon/grammar/pattern_scanner.hpp"
#include "daemon/grammar/text_automaton.hpp"

namespace kvasir::grammar {

namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::uint64_t kAtomCost = 128;  // bounds how much repetitions of repetitions can make
constexpr std::uint32_t kMany = 0xffffffffU;

class PatternParser : private PatternScanner {
public:
    PatternParser(std::vector<std::uint32_t> source, Budget& budget)
        : PatternScanner(std::move(source), budget) {}

    Result<Dfa> run() {
        KVASIR_TRY(const Fragment whole, read_choice(0));
        if (!is_end()) return wrong("a ) without its (");
        KVASIR_TRY(Dfa dfa, determinize(nfa_, whole, budget_));
        return minimize(std::move(dfa));
    }

private:
    Fragment anything() { return nfa_.star(nfa_.one_of(SymbolSet{{0, kMaxCodePoint}})); }

    Result<Fragment> read_choice(std::size_t depth) {
        if (depth > kMaxDepth) return wrong(fmt::format("groups nested deeper than {}", kMaxDepth));
        KVASIR_TRY(Fragment whole, read_sequence(depth));
        while (take('|')) {
            KVASIR_TRY(const Fragment other, read_sequence(depth));
            whole = nfa_.either(whole, other);
        }
        return whole;
    }

    /// Without an anchor at an end of the pattern there may be anything before and after.
    Result<Fragment> read_sequence(std::size_t depth) {
        Fragment whole = depth == 0 && !take('^') ? anything() : nfa_.empty();
        bool is_anchored = depth > 0;
        while (!is_end() && peek() != '|' && peek() != ')') {
            if (is_anchored && depth == 0) return unsupported("text after $ is");
            if (take('$')) {
                if (depth > 0) return unsupported("$ inside a group is");
                is_anchored = true;
                continue;
            }
            const std::size_t begin = at_;
            KVASIR_TRY(Fragment part, read_atom(depth));
            KVASIR_TRY(part, read_repeats(part, begin, depth));
            whole = nfa_.sequence(whole, part);
        }
        return is_anchored ? whole : nfa_.sequence(whole, anything());
    }

    Result<Fragment> read_atom(std::size_t depth) {
        KVASIR_TRY_VOID(budget_.spend(kAtomCost));
        const std::uint32_t c = source_[at_++];
        switch (c) {
            case '(': return read_group(depth);
            case '[': {
                KVASIR_TRY(const SymbolSet set, read_class());
                return nfa_.one_of(set);
            }
            case '.':
                return nfa_.one_of(
                    SymbolSet{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}.complement(
                        kMaxCodePoint));
            case '\\': {
                KVASIR_TRY(const SymbolSet set, read_escape(false));
                return nfa_.one_of(set);
            }
            case '^': return unsupported("^ elsewhere than at the beginning is");
            case '*':
            case '+':
            case '?': return wrong("nothing to repeat");
            case '{':
            case '}':
            case ']': return wrong("a bracket without its other half, expected it escaped");
            default: return nfa_.one_of(SymbolSet{{c, c}});
        }
    }

    Result<Fragment> read_group(std::size_t depth) {
        if (take('?')) {
            if (take('<')) {
                if (peek() == '=' || peek() == '!') return unsupported("look-behind is");
                while (!is_end() && peek() != '>') ++at_;
                if (!take('>')) return wrong("a group's name without its end");
            } else if (!take(':')) {
                return unsupported(peek() == '=' || peek() == '!' ? "look-ahead is"
                                                                  : "this kind of group is");
            }
        }
        KVASIR_TRY(const Fragment group, read_choice(depth + 1));
        if (!take(')')) return wrong("a ( without its )");
        return group;
    }

    /// Repeated parts are read again, once for each time.
    Result<Fragment> read_repeats(Fragment part, std::size_t begin, std::size_t depth) {
        const std::size_t end = at_;
        std::uint32_t low = 1;
        std::uint32_t high = 1;
        if (take('*')) {
            low = 0;
            high = kMany;
        } else if (take('+')) {
            high = kMany;
        } else if (take('?')) {
            low = 0;
        } else if (take('{')) {
            KVASIR_TRY(low, read_count());
            high = low;
            if (take(',')) {
                high = kMany;
                if (peek() != '}') {
                    KVASIR_TRY(high, read_count());
                }
            }
            if (!take('}')) return wrong("expected }");
            if (low > high) return wrong("more repetitions at least than at most");
        } else {
            return part;
        }
        take('?');  // lazy: the same texts
        const std::size_t after = at_;
        const auto again = [&]() -> Result<Fragment> {
            at_ = begin;
            auto copy = read_atom(depth);
            at_ = after;
            return copy;
        };
        if (end == begin) return wrong("nothing to repeat");
        Fragment whole = nfa_.empty();
        bool is_used = false;
        const auto next = [&]() -> Result<Fragment> {
            if (is_used) return again();
            is_used = true;
            return part;
        };
        for (std::uint32_t i = 0; i < low; ++i) {
            KVASIR_TRY(const Fragment one, next());
            whole = nfa_.sequence(whole, one);
        }
        if (high == kMany) {
            KVASIR_TRY(const Fragment one, next());
            return nfa_.sequence(whole, nfa_.star(one));
        }
        const Fragment exit = nfa_.empty();
        for (std::uint32_t i = low; i < high; ++i) {
            nfa_.add_empty(whole.end, exit.start);
            KVASIR_TRY(const Fragment one, next());
            whole = nfa_.sequence(whole, one);
        }
        return nfa_.sequence(whole, exit);
    }

    Nfa nfa_;
};

}  // namespace

Result<Dfa> parse_pattern(std::string_view pattern, Budget& budget) {
    auto source = code_points(pattern);
    if (!source) return Error{ErrorCode::invalid_argument, "invalid UTF-8"};
    return PatternParser(std::move(*source), budget).run();
}

}  // namespace kvasir::grammar
