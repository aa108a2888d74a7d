// ECMAScript patterns, as JSON Schema uses them, and the formats that it names.
#pragma once

#include <optional>
#include <string_view>

#include "daemon/grammar/automaton.hpp"

namespace kvasir::grammar {

/// The whole texts in which the pattern is found, over code points. Read as with the flag `u`.
/// Errors: invalid_argument (syntax), unsupported (look-around, back references, \b, \p, anchors
/// elsewhere than at the ends), too_large.
Result<Dfa> parse_pattern(std::string_view pattern, Budget& budget);

/// nullptr for a format that is not known. A subset of what the format allows in places, never
/// more: URIs have an authority, years run from 1000.
const Dfa* find_format(std::string_view name);

}  // namespace kvasir::grammar
