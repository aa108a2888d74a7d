#include "daemon/kvasir/bars.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace kvasir::client {

const char* bar_piece(std::size_t part, bool has_blocks) {
    constexpr std::array<const char*, 3> kBlocks = {"█", "▓", "▒"};
    constexpr std::array<const char*, 3> kLetters = {"#", "=", "-"};
    return (has_blocks ? kBlocks : kLetters)[part % 3];
}

const char* bar_colour(std::size_t part) {
    constexpr std::array<const char*, 3> kColours = {"32", "34", "33"};
    return kColours[part % 3];
}

const char* bar_rest(bool has_blocks) {
    return has_blocks ? "░" : ".";
}

namespace {

std::string repeated(std::string_view piece, std::size_t n) {
    std::string text;
    while (n-- > 0) text += piece;
    return text;
}

}  // namespace

ScreenLine bar(const std::vector<double>& parts, double whole, std::size_t width, bool has_blocks) {
    ScreenLine line;
    std::size_t used = 0;
    double sum = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        sum += parts[i];
        const double share = whole > 0 ? std::min(1.0, sum / whole) : 0;
        auto end = static_cast<std::size_t>(std::llround(share * static_cast<double>(width)));
        if (parts[i] > 0) end = std::max(end, used + 1);
        end = std::min(end, width);
        if (end <= used) continue;
        line.add(repeated(bar_piece(i, has_blocks), end - used), bar_colour(i));
        used = end;
    }
    line.add(repeated(bar_rest(has_blocks), width - used), "2");
    return line;
}

std::string sparkline(const std::vector<double>& values, std::size_t width, bool has_blocks) {
    constexpr std::array<const char*, 9> kHeights = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    constexpr std::array<const char*, 9> kAscii = {" ", "_", "_", ".", ".", "-", "=", "+", "#"};
    const std::size_t n = std::min(values.size(), width);
    double largest = 0;
    for (std::size_t i = values.size() - n; i < values.size(); ++i)
        largest = std::max(largest, values[i]);
    std::string text;
    for (std::size_t i = values.size() - n; i < values.size(); ++i) {
        const double share = largest > 0 ? std::max(0.0, values[i]) / largest : 0;
        const auto height = static_cast<std::size_t>(std::ceil(share * 8));
        text += (has_blocks ? kHeights : kAscii)[std::min<std::size_t>(height, 8)];
    }
    return text;
}

}  // namespace kvasir::client
