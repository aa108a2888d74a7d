// Text for a screen of fixed width: styled pieces, widths in columns, names that stay in their
// cell.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::client {

/// Columns that the text takes in a terminal; combining characters take none, wide ones two.
std::size_t display_width(std::string_view text);

/// A name from outside, in one line: control characters and what would turn the writing direction
/// become `?`, invalid UTF-8 U+FFFD.
std::string one_line(std::string_view text);

/// one_line(text), cut (with an ellipsis) and filled with blanks to exactly that many columns.
std::string cell(std::string_view text, std::size_t width);

/// Lines broken between words where they are longer; width 0: as they are.
std::string wrapped(std::string_view text, std::size_t width);

struct Span {
    std::string sgr;  // as of Output::write_styled; empty: plain
    std::string text;
};

class ScreenLine {
public:
    ScreenLine& add(std::string_view text, std::string_view sgr = {});

    const std::vector<Span>& spans() const { return spans_; }
    std::size_t width() const;
    std::string text() const;
    /// Cuts what is beyond, or fills up with blanks in the last piece's style.
    void cut(std::size_t width);
    void fill(std::size_t width);

private:
    std::vector<Span> spans_;
};

/// "42s", "12m", "5h", "3d".
std::string short_duration(double seconds);
/// "512 B", "1.5 KiB", "27.0 MiB".
std::string short_bytes(double bytes);
/// "9999", "12.3k", "4.5M".
std::string short_count(double n);

}  // namespace kvasir::client
