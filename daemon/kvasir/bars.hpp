// Bars and sparklines for a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "daemon/kvasir/screen_text.hpp"

namespace kvasir::client {

// How the parts of a bar look, in order, and what is left of the whole.
const char* bar_piece(std::size_t part, bool has_blocks);
const char* bar_colour(std::size_t part);  // SGR
const char* bar_rest(bool has_blocks);

/// Parts of a whole as a bar; a part that is not 0 takes at least one column where there is room.
ScreenLine bar(const std::vector<double>& parts, double whole, std::size_t width, bool has_blocks);

/// The last `width` values, as columns whose height is their share of the largest.
std::string sparkline(const std::vector<double>& values, std::size_t width, bool has_blocks);

}  // namespace kvasir::client
