// What the client writes, and what a terminal may be sent.
#pragma once

#include <string>
#include <string_view>

namespace kvasir::client {

/// Text that cannot command a terminal: control characters other than newline and tab become
/// visible
/// (`^[` for ESC, `<9b>` for the eight-bit ones), bytes that are no UTF-8 become U+FFFD.
std::string printable(std::string_view text);

/// A file descriptor to write to, unbuffered: every piece is seen at once. Not thread-safe.
class Output {
public:
    explicit Output(int fd);

    bool is_terminal() const { return is_terminal_; }
    bool has_colours() const { return has_colours_; }
    /// Columns of the terminal; 0 where there is none, or it does not say.
    std::size_t width() const;

    /// Text from outside: made printable first where this is a terminal. False when writing failed,
    /// now or earlier; nothing more is written then.
    bool write(std::string_view text);
    /// Our own text in an SGR colour such as "2" (dim) or "1;31", plain where colours are off.
    bool write_styled(std::string_view sgr, std::string_view text);
    /// Our own bytes, escape sequences and all. REQUIRES: text from outside in them is printable().
    bool write_own(std::string_view bytes) { return write_raw(bytes); }
    /// Such bytes: the text made printable, in colour where there are colours.
    std::string styled(std::string_view sgr, std::string_view text) const;

    /// The errno of the first failed write, or 0. EPIPE: the reader has gone, which is no error.
    int error() const { return error_; }
    /// Whether something was written and its last byte was no newline.
    bool in_line() const { return in_line_; }

private:
    bool write_raw(std::string_view bytes);

    int fd_ = -1;
    bool is_terminal_ = false;
    bool has_colours_ = false;
    bool in_line_ = false;
    int error_ = 0;
};

}  // namespace kvasir::client
