#include <array>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/kvasir/terminal.hpp"

using namespace kvasir::client;

BOOST_AUTO_TEST_SUITE(terminal)

BOOST_AUTO_TEST_CASE(text_passes_unchanged) {
    const std::string text = "plain\ttext\n\xC3\xA9 \xE6\x97\xA5 \xF0\x9F\x90\xA6 \xC2\xA0";
    BOOST_TEST(printable(text) == text);
}

BOOST_AUTO_TEST_CASE(no_control_character_gets_through) {
    BOOST_TEST(printable("\x1b]0;title\x07") == "^[]0;title^G");
    BOOST_TEST(printable("a\rb\x08\x7f") == "a^Mb^H^?");
    BOOST_TEST(printable(std::string_view("\0", 1)) == "^@");
    BOOST_TEST(printable("\xC2\x9B"
                         "31m") == "<9b>31m");
    BOOST_TEST(printable("\xC2\x80\xC2\x9F") == "<80><9f>");
    for (unsigned first = 0; first < 256; ++first) {
        for (unsigned second = 0; second < 256; ++second) {
            const std::string text = {static_cast<char>(first), static_cast<char>(second)};
            const std::string shown = printable(text);
            for (std::size_t i = 0; i < shown.size(); ++i) {
                const auto byte = static_cast<unsigned char>(shown[i]);
                BOOST_REQUIRE((byte >= 0x20 || byte == '\n' || byte == '\t'));
                BOOST_REQUIRE(byte != 0x7F);
                const bool is_c1 = byte >= 0x80 && byte < 0xA0 && i > 0 && shown[i - 1] == '\xC2';
                BOOST_REQUIRE(!is_c1);
            }
            BOOST_REQUIRE_EQUAL(printable(shown), shown);  // so it is well-formed UTF-8, too
        }
    }
}

BOOST_AUTO_TEST_CASE(what_is_no_utf8_becomes_a_replacement_character) {
    const std::string mark = "\xEF\xBF\xBD";
    BOOST_TEST(printable("\x9B") == mark);                                   // an eight-bit CSI
    BOOST_TEST(printable("\xC0\x9B") == mark + mark);                        // overlong ESC
    BOOST_TEST(printable("\xE0\x80\x9B") == mark + mark + mark);             // overlong
    BOOST_TEST(printable("\xED\xA0\x80") == mark + mark + mark);             // a surrogate
    BOOST_TEST(printable("\xF4\x90\x80\x80") == mark + mark + mark + mark);  // beyond U+10FFFF
    BOOST_TEST(printable("x\xE6\x97") == "x" + mark + mark);                 // cut short
    BOOST_TEST(printable("\xE6\x97z") == mark + mark + "z");
}

BOOST_AUTO_TEST_CASE(a_pipe_gets_the_bytes_as_they_are) {
    std::array<int, 2> fds{};
    BOOST_REQUIRE(::pipe(fds.data()) == 0);
    Output out(fds[1]);
    BOOST_TEST(!out.is_terminal());
    BOOST_TEST(out.write("a\x1b[0m"));
    BOOST_TEST(out.in_line());
    BOOST_TEST(out.write_styled("2", "b\n"));
    BOOST_TEST(!out.in_line());
    std::array<char, 64> bytes{};
    const ssize_t n = ::read(fds[0], bytes.data(), bytes.size());
    BOOST_TEST(std::string(bytes.data(), static_cast<std::size_t>(n)) == "a\x1b[0mb\n");
    ::close(fds[0]);
    ::close(fds[1]);
}

BOOST_AUTO_TEST_CASE(a_closed_pipe_is_remembered_and_not_written_again) {
    std::array<int, 2> fds{};
    BOOST_REQUIRE(::pipe(fds.data()) == 0);
    ::close(fds[0]);
    const auto previous = std::signal(SIGPIPE, SIG_IGN);
    Output out(fds[1]);
    BOOST_TEST(!out.write("x"));
    BOOST_TEST(out.error() == EPIPE);
    BOOST_TEST(!out.write("y"));
    std::signal(SIGPIPE, previous);
    ::close(fds[1]);
}

BOOST_AUTO_TEST_SUITE_END()
