// How `kvasir top` looks: a pure function of the figures and the size of the screen.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "daemon/kvasir/screen_text.hpp"
#include "daemon/kvasir/top_report.hpp"

namespace kvasir::client {

struct TopFrame {
    std::size_t width = 80;
    std::size_t height = 24;  // at most so many lines; where it is 0, as many as there are
    bool has_blocks = true;   // the terminal's font has U+2581 to U+2588
    bool has_keys = true;     // says which key leaves
};

/// Lines of at most width columns. Sessions fill what the rest leaves; the last line says how many
/// are not shown.
std::vector<ScreenLine> top_screen(const TopReport& report, const TopFrame& frame);

}  // namespace kvasir::client
