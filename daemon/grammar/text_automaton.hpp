// Automata over code points become automata over the bytes that write them down.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "daemon/grammar/automaton.hpp"

namespace kvasir::grammar {

/// Adds UTF-8 forms to an automaton over bytes; paths that end alike share their ends.
class Utf8Paths {
public:
    explicit Utf8Paths(Nfa& nfa) : nfa_(nfa) {}
    /// Those of a range of code points, from one state to another. Surrogates have none.
    void add(std::uint32_t from, SymbolRange range, std::uint32_t to);

private:
    void add_same_length(std::uint32_t from, SymbolRange range, std::uint32_t to);

    Nfa& nfa_;
    /// The state from which bytes from low to high lead to a target.
    std::map<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>, std::uint32_t> before_;
};

/// Errors of these: too_large.
Result<Dfa> to_utf8(const Dfa& code_points, Budget& budget);
/// As the inside of a JSON string: quotes, backslashes and control characters in their escapes,
/// everything else as it is.
Result<Dfa> to_json_string(const Dfa& code_points, Budget& budget);
/// One character in a JSON string, in every form that JSON knows; no lone surrogates.
Dfa json_character();

/// The code points of UTF-8; nullopt where it is none.
std::optional<std::vector<std::uint32_t>> code_points(std::string_view utf8);
/// The text between the quotes of a JSON string, in the form that to_json_string knows.
std::string json_escaped(std::string_view utf8);

}  // namespace kvasir::grammar
