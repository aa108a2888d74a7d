// Escapes of string literals. Source: Python's unicode-escape codec, which Jinja2 applies.
#include <fmt/format.h>

#include "daemon/template/lexer.hpp"
#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

namespace {

int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
}

/// Value of up to n digits from `at` on; moves `at` past them.
std::uint32_t read_digits(std::string_view text, std::size_t& at, std::size_t n, int base) {
    std::uint32_t value = 0;
    for (; n > 0 && at < text.size() && digit_value(text[at]) < base; --n, ++at)
        value = value * static_cast<std::uint32_t>(base) +
                static_cast<std::uint32_t>(digit_value(text[at]));
    return value;
}

Result<> append_coded(std::string& out, std::string_view text, std::size_t& at, char kind) {
    const std::size_t n = kind == 'x' ? 2 : kind == 'u' ? 4 : 8;
    const std::size_t begin = at;
    const std::uint32_t point = read_digits(text, at, n, 16);
    if (at - begin != n || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
        return Error{ErrorCode::corrupt,
                     fmt::format("escape \\{}{}: expected {} hexadecimal digits of a code point",
                                 kind, text.substr(begin, at - begin), n)};
    }
    append_point(out, point);
    return {};
}

std::string_view simple_escape(char c) {
    switch (c) {
        case 'n': return "\n";
        case 't': return "\t";
        case 'r': return "\r";
        case '\\': return "\\";
        case '\'': return "'";
        case '"': return "\"";
        case 'a': return "\a";
        case 'b': return "\b";
        case 'f': return "\f";
        case 'v': return "\v";
        default: return {};
    }
}

}  // namespace

Result<std::string> decode_escapes(std::string_view literal) {
    std::string out;
    out.reserve(literal.size());
    for (std::size_t at = 0; at < literal.size();) {
        const char c = literal[at++];
        if (c != '\\' || at >= literal.size()) {
            out += c;
            continue;
        }
        const char kind = literal[at];
        if (kind >= '0' && kind <= '7') {
            append_point(out, read_digits(literal, at, 3, 8));
        } else if (kind == 'x' || kind == 'u' || kind == 'U') {
            KVASIR_TRY_VOID(append_coded(out, literal, ++at, kind));
        } else if (kind == 'N') {
            return Error{ErrorCode::unsupported, "escape \\N{...}: names of characters"};
        } else if (kind == '\n') {
            ++at;
        } else if (const std::string_view simple = simple_escape(kind); !simple.empty()) {
            out += simple;
            ++at;
        } else {
            out += '\\';  // unknown ones stay as they are
        }
    }
    return out;
}

}  // namespace kvasir::jinja
