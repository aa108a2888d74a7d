// Automata over code points become automata over the bytes that write them down.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/grammar/automaton.hpp"

namespace kvasir::grammar {

/// Adds the UTF-8 forms of low to high as paths between two states. Surrogates have none.
void add_utf8(Nfa& nfa, std::uint32_t from, SymbolRange range, std::uint32_t to);

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
