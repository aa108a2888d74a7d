// GBNF: the grammar notation of llama.cpp's `grammar` field.
#pragma once

#include <memory>
#include <string_view>

#include "config/base/error.hpp"
#include "daemon/grammar/grammar.hpp"

namespace kvasir::grammar {

/// Rules `name ::= alternatives`; "literals", [classes], `.`, (groups), names; `* + ? {m} {m,}
/// {m,n}`; `#` comments. The text is what the rule `root` describes. Source: llama.cpp,
/// grammars/README.md.
/// Errors, with the line: invalid_argument (syntax, a rule that is not defined, defined twice or
/// begins with itself), too_large (limits on size, depth and repetitions).
Result<std::shared_ptr<const Grammar>> parse_gbnf(std::string_view source);

}  // namespace kvasir::grammar
