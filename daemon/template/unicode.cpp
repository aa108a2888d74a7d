#include "daemon/template/unicode.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

namespace kvasir::jinja {

bool is_utf8(std::string_view text) {
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    for (std::size_t at = 0; at < text.size();) {
        utf8proc_int32_t point = 0;
        const auto left = static_cast<utf8proc_ssize_t>(text.size() - at);
        const utf8proc_ssize_t n = utf8proc_iterate(bytes + at, left, &point);
        if (n <= 0) return false;
        at += static_cast<std::size_t>(n);
    }
    return true;
}

std::uint64_t count_points(std::string_view text) {
    std::uint64_t n = 0;
    for (const char c : text) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    return n;
}

std::size_t point_bytes(std::string_view text, std::size_t at) {
    std::size_t n = 1;
    while (at + n < text.size() && (static_cast<unsigned char>(text[at + n]) & 0xc0) == 0x80) ++n;
    return n;
}

std::size_t point_offset(std::string_view text, std::uint64_t n_points) {
    std::size_t at = 0;
    for (; n_points > 0 && at < text.size(); --n_points) at += point_bytes(text, at);
    return at;
}

char32_t point_at(std::string_view text, std::size_t at) {
    utf8proc_int32_t point = 0;
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    const auto left = static_cast<utf8proc_ssize_t>(text.size() - at);
    if (utf8proc_iterate(bytes + at, left, &point) <= 0) return U'\ufffd';
    return static_cast<char32_t>(point);
}

void append_point(std::string& text, char32_t point) {
    utf8proc_uint8_t bytes[4];
    const utf8proc_ssize_t n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(point), bytes);
    text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
}

namespace {

utf8proc_category_t category(char32_t point) {
    return utf8proc_category(static_cast<utf8proc_int32_t>(point));
}

/// Letters whose upper case is more than one code point. Source: Unicode SpecialCasing.txt, the
/// unconditional mappings of Latin letters and ligatures.
std::string_view special_upper(char32_t point) {
    switch (point) {
        case 0x00df: return "SS";
        case 0x0149: return "\u02bcN";
        case 0x01f0: return "J\u030c";
        case 0x0587: return "\u0535\u0552";
        case 0x1e96: return "H\u0331";
        case 0x1e97: return "T\u0308";
        case 0x1e98: return "W\u030a";
        case 0x1e99: return "Y\u030a";
        case 0x1e9a: return "A\u02be";
        case 0xfb00: return "FF";
        case 0xfb01: return "FI";
        case 0xfb02: return "FL";
        case 0xfb03: return "FFI";
        case 0xfb04: return "FFL";
        case 0xfb05:
        case 0xfb06: return "ST";
        default: return {};
    }
}

void append_upper(std::string& out, char32_t point) {
    if (const std::string_view special = special_upper(point); !special.empty()) {
        out += special;
    } else {
        append_point(out,
                     static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(point))));
    }
}

void append_lower(std::string& out, char32_t point) {
    if (point == 0x0130) {
        out += "i\u0307";
    } else {
        append_point(out,
                     static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point))));
    }
}

void append_title(std::string& out, char32_t point) {
    if (const std::string_view special = special_upper(point); !special.empty()) {
        out += special.substr(0, 1);
        out += to_lower(special.substr(1));
    } else {
        append_point(out,
                     static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(point))));
    }
}

template <class Append>
std::string map_points(std::string_view text, Append append) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); at += point_bytes(text, at))
        append(out, point_at(text, at));
    return out;
}

}  // namespace

bool is_space(char32_t point) {
    if ((point >= 0x09 && point <= 0x0d) || (point >= 0x1c && point <= 0x20)) return true;
    if (point == 0x85) return true;
    const utf8proc_category_t kind = point < 0x80 ? UTF8PROC_CATEGORY_CN : category(point);
    return kind == UTF8PROC_CATEGORY_ZS || kind == UTF8PROC_CATEGORY_ZL ||
           kind == UTF8PROC_CATEGORY_ZP;
}

bool is_alpha(char32_t point) {
    const utf8proc_category_t kind = category(point);
    return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t point) {
    return category(point) == UTF8PROC_CATEGORY_ND;
}

bool is_digit(char32_t point) {
    return is_decimal(point) || point == 0xb2 || point == 0xb3 || point == 0xb9 ||
           (point >= 0x2070 && point <= 0x2089 && category(point) == UTF8PROC_CATEGORY_NO);
}

bool is_printable(char32_t point) {
    if (point == ' ') return true;
    switch (category(point)) {
        case UTF8PROC_CATEGORY_CN:
        case UTF8PROC_CATEGORY_CC:
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_CS:
        case UTF8PROC_CATEGORY_CO:
        case UTF8PROC_CATEGORY_ZS:
        case UTF8PROC_CATEGORY_ZL:
        case UTF8PROC_CATEGORY_ZP: return false;
        default: return true;
    }
}

bool is_upper(char32_t point) {
    return category(point) == UTF8PROC_CATEGORY_LU;
}
bool is_lower(char32_t point) {
    return category(point) == UTF8PROC_CATEGORY_LL;
}

std::string to_upper(std::string_view text) {
    return map_points(text, append_upper);
}
std::string to_lower(std::string_view text) {
    return map_points(text, append_lower);
}

std::string to_title(std::string_view text) {
    bool in_word = false;
    return map_points(text, [&](std::string& out, char32_t point) {
        if (in_word)
            append_lower(out, point);
        else
            append_title(out, point);
        in_word = is_alpha(point);
    });
}

std::string capitalize(std::string_view text) {
    bool first = true;
    return map_points(text, [&](std::string& out, char32_t point) {
        if (first)
            append_title(out, point);
        else
            append_lower(out, point);
        first = false;
    });
}

namespace {

template <class Drop>
std::string_view strip_if(std::string_view text, bool left, bool right, Drop drop) {
    std::size_t begin = 0, end = text.size();
    while (left && begin < end && drop(point_at(text, begin))) begin += point_bytes(text, begin);
    while (right && end > begin) {
        std::size_t last = end - 1;
        while (last > begin && (static_cast<unsigned char>(text[last]) & 0xc0) == 0x80) --last;
        if (!drop(point_at(text, last))) break;
        end = last;
    }
    return text.substr(begin, end - begin);
}

}  // namespace

std::string_view strip(std::string_view text, bool left, bool right) {
    return strip_if(text, left, right, is_space);
}

std::string_view strip(std::string_view text, std::string_view chars, bool left, bool right) {
    return strip_if(text, left, right, [&](char32_t point) {
        for (std::size_t at = 0; at < chars.size(); at += point_bytes(chars, at)) {
            if (point_at(chars, at) == point) return true;
        }
        return false;
    });
}

std::string quote(std::string_view text) {
    const bool single = text.find('\'') != std::string_view::npos;
    const char mark = single && text.find('"') == std::string_view::npos ? '"' : '\'';
    std::string out(1, mark);
    for (std::size_t at = 0; at < text.size(); at += point_bytes(text, at)) {
        const char32_t point = point_at(text, at);
        if (point == static_cast<char32_t>(mark) || point == '\\') {
            out += '\\';
            out += static_cast<char>(point);
        } else if (point == '\n') {
            out += "\\n";
        } else if (point == '\r') {
            out += "\\r";
        } else if (point == '\t') {
            out += "\\t";
        } else if (is_printable(point)) {
            append_point(out, point);
        } else if (point < 0x100) {
            out += fmt::format("\\x{:02x}", static_cast<std::uint32_t>(point));
        } else if (point < 0x10000) {
            out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(point));
        } else {
            out += fmt::format("\\U{:08x}", static_cast<std::uint32_t>(point));
        }
    }
    return out + mark;
}

}  // namespace kvasir::jinja
