// Oniguruma's regular expressions, which vocabularies are published with, as PCRE2 reads them.
#pragma once

#include <string>
#include <string_view>

#include "config/base/error.hpp"

namespace kvasir {

/// The same expression for PCRE2 with PCRE2_UTF, PCRE2_UCP and PCRE2_MULTILINE. What both write
/// alike and mean differently is written out (white space, word characters, scripts, a class inside
/// a class). Errors: unsupported (too long, or what has no such form here: back references,
/// intersections of classes, a negated class inside a class, \h, \R, \X, \K and the like).
Result<std::string> to_pcre2(std::string_view pattern);

/// An expression that matches exactly this text.
std::string literal_pattern(std::string_view text);

}  // namespace kvasir
