#include "daemon/grammar/pattern_scanner.hpp"

#include <fmt/format.h>

namespace kvasir::grammar {

namespace {

constexpr std::uint32_t kMaxRepeat = 10'000;

SymbolSet digits() {
    return SymbolSet{{'0', '9'}};
}

SymbolSet word_characters() {
    return SymbolSet{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
}

/// Source: ECMA-262, WhiteSpace and LineTerminator.
SymbolSet blanks() {
    return SymbolSet{{0x09, 0x0d},     {0x20, 0x20},     {0xa0, 0xa0},     {0x1680, 0x1680},
                     {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                     {0x3000, 0x3000}, {0xfeff, 0xfeff}};
}
}  // namespace

bool PatternScanner::take(char c) {
    if (is_end() || peek() != static_cast<unsigned char>(c)) return false;
    ++at_;
    return true;
}

Error PatternScanner::wrong(std::string_view what) const {
    return {ErrorCode::invalid_argument, fmt::format("at character {}: {}", at_, what)};
}

Error PatternScanner::unsupported(std::string_view what) const {
    return {ErrorCode::unsupported, fmt::format("at character {}: {} not supported", at_, what)};
}

Result<std::uint32_t> PatternScanner::read_hex(std::size_t n_digits) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < n_digits; ++i, ++at_) {
        const std::uint32_t c = peek();
        const SymbolSet hex{{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
        if (!hex.contains(c)) return wrong("expected a hexadecimal digit");
        value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20U) - 'a' + 10);
    }
    return value;
}

Result<SymbolSet> PatternScanner::read_escape(bool in_class) {
    if (is_end()) return wrong("a backslash at the end");
    const std::uint32_t c = source_[at_++];
    const auto one = [](std::uint32_t symbol) { return SymbolSet{{symbol, symbol}}; };
    switch (c) {
        case 'd': return digits();
        case 'D': return digits().complement(kMaxCodePoint);
        case 'w': return word_characters();
        case 'W': return word_characters().complement(kMaxCodePoint);
        case 's': return blanks();
        case 'S': return blanks().complement(kMaxCodePoint);
        case 't': return one('\t');
        case 'n': return one('\n');
        case 'v': return one('\v');
        case 'f': return one('\f');
        case 'r': return one('\r');
        case 'x': {
            KVASIR_TRY(const std::uint32_t value, read_hex(2));
            return one(value);
        }
        case 'u': return read_unicode();
        case 'b':
            if (in_class) return one('\b');
            [[fallthrough]];
        case 'B': return unsupported("\\b and \\B are");
        case 'p':
        case 'P': return unsupported("\\p and \\P are");
        case 'k': return unsupported("a back reference is");
        case 'c': return unsupported("\\c is");
        default: break;
    }
    if (c == '0' && !digits().contains(peek())) return one(0);
    if (digits().contains(c)) return unsupported("a back reference is");
    if (word_characters().contains(c)) return wrong("unknown escape");
    return one(c);
}

Result<SymbolSet> PatternScanner::read_unicode() {
    std::uint32_t value = 0;
    if (take('{')) {
        std::size_t n = 0;
        while (peek(n) != '}' && n < 7) ++n;
        if (n == 0 || n > 6) return wrong("expected 1 to 6 hexadecimal digits");
        KVASIR_TRY(value, read_hex(n));
        ++at_;
    } else {
        KVASIR_TRY(value, read_hex(4));
        if (value >= 0xd800 && value < 0xdc00 && peek() == '\\' && peek(1) == 'u') {
            at_ += 2;
            KVASIR_TRY(const std::uint32_t low, read_hex(4));
            if (low < 0xdc00 || low > 0xdfff) return wrong("half a surrogate pair");
            value = 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    if (value > kMaxCodePoint) return wrong("beyond the last character");
    return SymbolSet{{value, value}};
}

Result<SymbolSet> PatternScanner::read_class() {
    const bool is_negated = take('^');
    SymbolSet set;
    while (!take(']')) {
        if (is_end()) return wrong("a [ without its ]");
        KVASIR_TRY(const SymbolSet low, read_class_atom());
        const bool is_range = peek() == '-' && peek(1) != ']' && at_ + 1 < source_.size();
        if (!is_range) {
            for (const SymbolRange& range : low.ranges()) set.add(range);
            continue;
        }
        ++at_;
        KVASIR_TRY(const SymbolSet high, read_class_atom());
        const auto is_one = [](const SymbolSet& s) {
            return s.ranges().size() == 1 && s.ranges()[0].low == s.ranges()[0].high;
        };
        if (!is_one(low) || !is_one(high) || low.ranges()[0].low > high.ranges()[0].low)
            return wrong("a range whose ends are no characters in order");
        set.add({low.ranges()[0].low, high.ranges()[0].low});
    }
    return is_negated ? set.complement(kMaxCodePoint) : set;
}

Result<SymbolSet> PatternScanner::read_class_atom() {
    KVASIR_TRY_VOID(budget_.spend(1));
    const std::uint32_t c = source_[at_++];
    if (c == '\\') {
        if (take('-')) return SymbolSet{{'-', '-'}};
        return read_escape(true);
    }
    return SymbolSet{{c, c}};
}

Result<std::uint32_t> PatternScanner::read_count() {
    if (!digits().contains(peek())) return wrong("expected a number of repetitions");
    std::uint32_t count = 0;
    while (digits().contains(peek())) {
        count = count * 10 + (source_[at_++] - '0');
        if (count > kMaxRepeat) return wrong("expected at most 10000 repetitions");
    }
    return count;
}

}  // namespace kvasir::grammar
