#include "daemon/kvasir/screen_text.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utf8proc.h>

namespace kvasir::client {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::string_view kEllipsis = "\xE2\x80\xA6";

struct Character {
    std::string_view bytes;      // at least one
    utf8proc_int32_t code = -1;  // -1: no UTF-8
};

Character first_character(std::string_view text) {
    utf8proc_int32_t code = -1;
    const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                    static_cast<utf8proc_ssize_t>(text.size()), &code);
    if (n <= 0) return {text.substr(0, 1), -1};
    return {text.substr(0, static_cast<std::size_t>(n)), code};
}

std::size_t width_of(const Character& character) {
    if (character.code < 0) return 1;
    return static_cast<std::size_t>(std::max(0, utf8proc_charwidth(character.code)));
}

bool is_hostile(utf8proc_int32_t code) {
    switch (utf8proc_category(code)) {
        case UTF8PROC_CATEGORY_CC:
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_CS:
        case UTF8PROC_CATEGORY_CO:
        case UTF8PROC_CATEGORY_CN:
        case UTF8PROC_CATEGORY_ZL:
        case UTF8PROC_CATEGORY_ZP: return true;
        default: return false;
    }
}

}  // namespace

std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    while (!text.empty()) {
        const Character character = first_character(text);
        width += width_of(character);
        text.remove_prefix(character.bytes.size());
    }
    return width;
}

std::string one_line(std::string_view text) {
    std::string line;
    while (!text.empty()) {
        const Character character = first_character(text);
        if (character.code < 0) {
            line += kReplacement;
        } else if (is_hostile(character.code)) {
            line += '?';
        } else {
            line += character.bytes;
        }
        text.remove_prefix(character.bytes.size());
    }
    return line;
}

namespace {

/// As much as fits.
std::string_view head(std::string_view text, std::size_t width) {
    std::size_t n_bytes = 0;
    while (n_bytes < text.size()) {
        const Character character = first_character(text.substr(n_bytes));
        const std::size_t n = width_of(character);
        if (n > width) break;
        width -= n;
        n_bytes += character.bytes.size();
    }
    return text.substr(0, n_bytes);
}

}  // namespace

std::string cell(std::string_view text, std::size_t width) {
    std::string line = one_line(text);
    if (display_width(line) > width) {
        line = head(line, width == 0 ? 0 : width - 1);
        if (width > 0) line += kEllipsis;
    }
    return line.append(width - std::min(width, display_width(line)), ' ');
}

std::string wrapped(std::string_view text, std::size_t width) {
    std::string out;
    std::size_t column = 0;
    while (!text.empty()) {
        // A word and the blanks before it.
        const std::size_t begin = std::min(text.find_first_not_of(' '), text.size());
        const std::size_t end = std::min(text.find_first_of(" \n", begin), text.size());
        const std::size_t needed = begin + display_width(text.substr(begin, end - begin));
        if (width > 0 && column > 0 && column + needed > width && end > begin) {
            out += '\n';
            text.remove_prefix(begin);
            column = needed - begin;
            out += text.substr(0, end - begin);
            text.remove_prefix(end - begin);
        } else {
            out += text.substr(0, end);
            text.remove_prefix(end);
            column += needed;
        }
        if (text.starts_with('\n')) {
            out += '\n';
            text.remove_prefix(1);
            column = 0;
        }
    }
    return out;
}

ScreenLine& ScreenLine::add(std::string_view text, std::string_view sgr) {
    if (!text.empty()) spans_.push_back({std::string(sgr), std::string(text)});
    return *this;
}

std::size_t ScreenLine::width() const {
    std::size_t width = 0;
    for (const Span& span : spans_) width += display_width(span.text);
    return width;
}

std::string ScreenLine::text() const {
    std::string text;
    for (const Span& span : spans_) text += span.text;
    return text;
}

void ScreenLine::cut(std::size_t width) {
    for (std::size_t i = 0; i < spans_.size(); ++i) {
        const std::size_t needed = display_width(spans_[i].text);
        if (needed <= width) {
            width -= needed;
            continue;
        }
        spans_[i].text = head(spans_[i].text, width);
        spans_.resize(i + 1);
        return;
    }
}

void ScreenLine::fill(std::size_t width) {
    const std::size_t used = this->width();
    if (used < width) add(std::string(width - used, ' '), spans_.empty() ? "" : spans_.back().sgr);
}

std::string short_duration(double seconds) {
    if (!(seconds > 0)) return "0s";
    if (seconds < 100) return fmt::format("{:.0f}s", seconds);
    if (seconds < 100 * 60) return fmt::format("{:.0f}m", seconds / 60);
    if (seconds < 48 * 3600) return fmt::format("{:.0f}h", seconds / 3600);
    return fmt::format("{:.0f}d", std::min(seconds / 86'400, 99'999.0));
}

namespace {

std::string scaled(double n, double step, double first, const std::array<const char*, 5>& units,
                   const char* between) {
    std::size_t i = 0;
    double limit = first;
    while (n >= limit && i + 1 < units.size()) {
        n /= step;
        limit = step;
        ++i;
    }
    return fmt::format("{:.{}f}{}{}", n, i == 0 ? 0 : 1, between, units[i]);
}

}  // namespace

std::string short_bytes(double bytes) {
    return scaled(bytes, 1024, 1024, {"B", "KiB", "MiB", "GiB", "TiB"}, " ");
}

std::string short_count(double n) {
    return scaled(n, 1000, 10'000, {"", "k", "M", "G", "T"}, "");
}

}  // namespace kvasir::client
