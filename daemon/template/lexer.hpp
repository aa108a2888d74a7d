// Template source to tokens; whitespace control, trim_blocks and lstrip_blocks happen here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir::jinja {

enum class TokenKind {
    data,
    variable_begin,
    variable_end,
    block_begin,
    block_end,
    name,
    string,   // escapes decoded
    integer,  // digits without underscores, with their prefix
    real,
    op,
    end,
};

struct Token {
    TokenKind kind = TokenKind::end;
    std::uint32_t line = 0;
    std::string text;

    bool is_op(std::string_view given) const { return kind == TokenKind::op && text == given; }
    bool is_name(std::string_view given) const { return kind == TokenKind::name && text == given; }
};

/// Ends with a token of kind end. Errors: corrupt, with the line.
Result<std::vector<Token>> tokenize_template(std::string_view source);

/// Text of a string literal without its quotes. Errors: corrupt.
Result<std::string> decode_escapes(std::string_view literal);

}  // namespace kvasir::jinja
