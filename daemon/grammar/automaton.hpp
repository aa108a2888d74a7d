// Finite automata over numbers: code points where patterns are read, bytes where text is made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir::grammar {

inline constexpr std::uint32_t kMaxCodePoint = 0x10ffff;

/// What one compilation may still spend, in edges looked at: the bound on every construction whose
/// result can be exponentially larger than its input.
struct Budget {
    std::uint64_t left = 16'000'000;

    /// Errors: too_large.
    Result<> spend(std::uint64_t n);
};

struct SymbolRange {
    std::uint32_t low = 0;
    std::uint32_t high = 0;  // inclusive

    bool operator==(const SymbolRange&) const = default;
};

/// Ascending, apart from each other by at least one symbol.
class SymbolSet {
public:
    SymbolSet() = default;
    SymbolSet(std::initializer_list<SymbolRange> ranges);
    explicit SymbolSet(std::vector<SymbolRange> ranges);

    static SymbolSet of(std::string_view ascii);

    void add(SymbolRange range);
    SymbolSet complement(std::uint32_t highest) const;
    SymbolSet intersection(const SymbolSet& other) const;
    bool contains(std::uint32_t symbol) const;
    bool is_empty() const { return ranges_.empty(); }
    std::span<const SymbolRange> ranges() const { return ranges_; }

private:
    std::vector<SymbolRange> ranges_;
};

/// A piece of an automaton under construction: one way in, one way out.
struct Fragment {
    std::uint32_t start = 0;
    std::uint32_t end = 0;
};

/// Thompson's construction. Source: Thompson, "Regular expression search algorithm", CACM 11(6).
class Nfa {
public:
    struct Edge {
        SymbolRange range;
        std::uint32_t target = 0;
    };
    struct State {
        std::vector<Edge> edges;
        std::vector<std::uint32_t> empty;  // targets reached without a symbol
    };

    std::uint32_t add_state();
    void add_edge(std::uint32_t from, SymbolRange range, std::uint32_t to);
    void add_empty(std::uint32_t from, std::uint32_t to);

    Fragment nothing();  // matches no text
    Fragment empty();    // matches the empty text
    Fragment one_of(const SymbolSet& set);
    Fragment text(std::span<const std::uint32_t> symbols);
    Fragment ascii(std::string_view text);
    Fragment sequence(Fragment first, Fragment second);
    Fragment either(Fragment first, Fragment second);
    /// No or more times. The fragment is used up.
    Fragment star(Fragment one);

    std::size_t size() const { return states_.size(); }
    const State& state(std::uint32_t index) const { return states_[index]; }

private:
    std::vector<State> states_;
};

/// Deterministic; state 0 is the start. Trimmed: an accepting state can be reached from every state
/// but the start of the empty language.
struct Dfa {
    struct Edge {
        std::uint32_t low = 0;
        std::uint32_t high = 0;
        std::uint32_t target = 0;
    };
    struct State {
        std::vector<Edge> edges;  // ascending, disjoint
        bool accepts = false;
    };
    std::vector<State> states{1};

    std::optional<std::uint32_t> step(std::uint32_t state, std::uint32_t symbol) const;
    bool accepts(std::span<const std::uint32_t> symbols) const;
    bool is_empty() const { return states[0].edges.empty() && !states[0].accepts; }
};

/// Errors of all of these: too_large.
Result<Dfa> determinize(const Nfa& nfa, Fragment whole, Budget& budget);
Result<Dfa> intersect(const Dfa& a, const Dfa& b, Budget& budget);
/// Every text over 0 to highest that dfa does not accept.
Result<Dfa> complement(const Dfa& dfa, std::uint32_t highest, Budget& budget);
/// Texts of low to high symbols out of 0 to highest.
Result<Dfa> of_length(std::uint64_t low, std::optional<std::uint64_t> high, std::uint32_t highest,
                      Budget& budget);
/// The same language with the fewest states, where not too large for that.
Dfa minimize(Dfa dfa);
/// Keeps what leads from the start to an end.
Dfa trim(Dfa dfa);

}  // namespace kvasir::grammar
