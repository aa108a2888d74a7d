#include "daemon/kvasir/terminal.hpp"

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace kvasir::client {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// The length of the well-formed UTF-8 character that text begins with, or 0.
/// Source: Unicode 15, table 3-7.
std::size_t character_length(std::string_view text) {
    const auto byte = [text](std::size_t i) {
        return i < text.size() ? static_cast<unsigned>(static_cast<unsigned char>(text[i])) : 0U;
    };
    const auto continues = [&byte](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
    const unsigned lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (!continues(1) || !continues(2)) return 0;
        if (lead == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
        if (lead == 0xED && byte(1) > 0x9F) return 0;  // surrogates
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (!continues(1) || !continues(2) || !continues(3)) return 0;
        if (lead == 0xF0 && byte(1) < 0x90) return 0;  // overlong
        if (lead == 0xF4 && byte(1) > 0x8F) return 0;  // beyond U+10FFFF
        return 4;
    }
    return 0;
}

}  // namespace

std::string printable(std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = character_length(text);
        const auto first = static_cast<unsigned char>(text[0]);
        if (length == 0) {
            out += kReplacement;
        } else if (length == 1 && (first < 0x20 || first == 0x7F) && first != '\n' &&
                   first != '\t') {
            out += '^';
            out += static_cast<char>(first ^ 0x40U);
        } else if (length == 2 && first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0) {
            const auto code = static_cast<unsigned char>(text[1]);
            out += {'<', hex[code >> 4U], hex[code & 0xFU], '>'};
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return out;
}

Output::Output(int fd) : fd_(fd), is_terminal_(isatty(fd) == 1) {
    const char* no_colour = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    has_colours_ = is_terminal_ && (no_colour == nullptr || *no_colour == '\0') &&
                   term != nullptr && std::string_view(term) != "dumb";
}

std::size_t Output::width() const {
    winsize size{};
    return is_terminal_ && ::ioctl(fd_, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

bool Output::write(std::string_view text) {
    return is_terminal_ ? write_raw(printable(text)) : write_raw(text);
}

std::string Output::styled(std::string_view sgr, std::string_view text) const {
    if (!has_colours_ || sgr.empty()) return printable(text);
    std::string styled = "\x1b[";
    return styled.append(sgr).append("m").append(printable(text)).append("\x1b[0m");
}

bool Output::write_styled(std::string_view sgr, std::string_view text) {
    if (!has_colours_) return write(text);
    const bool ok = write_raw(styled(sgr, text));
    in_line_ = ok && !text.ends_with('\n');
    return ok;
}

bool Output::write_raw(std::string_view bytes) {
    if (error_ != 0) return false;
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
        if (n > 0) {
            in_line_ = bytes[static_cast<std::size_t>(n) - 1] != '\n';
            bytes.remove_prefix(static_cast<std::size_t>(n));
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            pollfd ready{fd_, POLLOUT, 0};  // a shell may share its non-blocking terminal with us
            (void)::poll(&ready, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            error_ = errno;
            return false;
        }
    }
    return true;
}

}  // namespace kvasir::client
