#include "daemon/grammar/gbnf_scanner.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "daemon/grammar/automaton.hpp"

namespace kvasir::grammar {

bool GbnfScanner::is_name(std::uint32_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

std::size_t GbnfScanner::line() const {
    const auto end = source_.begin() + static_cast<std::ptrdiff_t>(std::min(at_, source_.size()));
    return 1 + static_cast<std::size_t>(std::count(source_.begin(), end, '\n'));
}

Error GbnfScanner::wrong(std::string_view what, ErrorCode code) const {
    return {code, fmt::format("line {}: {}", line(), what)};
}

void GbnfScanner::skip(bool over_lines) {
    while (!is_end()) {
        const std::uint32_t c = peek();
        if (c == '#') {
            while (!is_end() && peek() != '\n') ++at_;
        } else if (c == ' ' || c == '\t' || c == '\r' || (over_lines && c == '\n')) {
            ++at_;
        } else {
            return;
        }
    }
}

std::string GbnfScanner::read_name() {
    std::string name;
    while (is_name(peek())) name += static_cast<char>(source_[at_++]);
    return name;
}

Result<std::uint32_t> GbnfScanner::read_hex(std::size_t n_digits) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < n_digits; ++i, ++at_) {
        const std::uint32_t c = peek();
        const std::uint32_t digit = c >= '0' && c <= '9'   ? c - '0'
                                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                           : 16;
        if (digit == 16) return wrong(fmt::format("expected {} hexadecimal digits", n_digits));
        value = value * 16 + digit;
    }
    if (value > kMaxCodePoint || (value >= 0xd800 && value <= 0xdfff))
        return wrong(fmt::format("\\U{:08X}, expected a character", value));
    return value;
}

Result<std::uint32_t> GbnfScanner::read_character() {
    const std::uint32_t c = peek();
    if (is_end()) return wrong("the text ends inside a literal or class");
    ++at_;
    if (c != '\\') return c;
    const std::uint32_t escaped = peek();
    ++at_;
    switch (escaped) {
        case 'x': return read_hex(2);
        case 'u': return read_hex(4);
        case 'U': return read_hex(8);
        case 'n': return '\n';
        case 'r': return '\r';
        case 't': return '\t';
        case '\\':
        case '"':
        case '[':
        case ']':
        case '-':
        case '^': return escaped;
        default: return wrong("unknown escape");
    }
}

Result<std::uint32_t> GbnfScanner::read_count() {
    std::uint32_t count = 0;
    if (peek() < '0' || peek() > '9') return wrong("expected a number of repetitions");
    while (peek() >= '0' && peek() <= '9') {
        count = count * 10 + (source_[at_++] - '0');
        if (count > kMaxRepeat) {
            return wrong(fmt::format("expected at most {} repetitions", kMaxRepeat),
                         ErrorCode::too_large);
        }
    }
    skip(false);
    return count;
}

}  // namespace kvasir::grammar
