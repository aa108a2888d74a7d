#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "daemon/model/utf8.hpp"

namespace kvasir {
namespace {

using Kind = Utf8Step::Kind;

std::string utf8_of(std::uint32_t point) {
    const auto tail = [point](int shift) {
        return static_cast<char>(0x80 | ((point >> shift) & 63));
    };
    if (point < 0x80) return {static_cast<char>(point)};
    if (point < 0x800) return {static_cast<char>(0xc0 | (point >> 6)), tail(0)};
    if (point < 0x10000) return {static_cast<char>(0xe0 | (point >> 12)), tail(6), tail(0)};
    return {static_cast<char>(0xf0 | (point >> 18)), tail(12), tail(6), tail(0)};
}

/// Every step over a text; incomplete ones count as replaced.
std::string replaced(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const Utf8Step step = utf8_step(text);
        out += step.kind == Kind::character ? text.substr(0, step.n_bytes) : std::string_view("?");
        text.remove_prefix(step.n_bytes);
    }
    return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(utf8)

BOOST_AUTO_TEST_CASE(every_code_point_is_one_character_and_its_starts_are_incomplete) {
    for (std::uint32_t point = 0; point < 0x110000; ++point) {
        if (point >= 0xd800 && point < 0xe000) continue;
        const std::string text = utf8_of(point);
        const Utf8Step whole = utf8_step(text);
        if (whole.kind != Kind::character || whole.n_bytes != text.size())
            BOOST_FAIL("code point " << point);
        for (std::size_t n = 1; n < text.size(); ++n) {
            const Utf8Step part = utf8_step(std::string_view(text).substr(0, n));
            if (part.kind != Kind::incomplete || part.n_bytes != n)
                BOOST_FAIL("start of code point " << point);
        }
    }
}

BOOST_AUTO_TEST_CASE(
    surrogates_overlong_forms_and_what_lies_above_are_invalid_from_the_second_byte) {
    for (std::uint32_t point = 0xd800; point < 0xe000; ++point)
        BOOST_TEST_REQUIRE(replaced(utf8_of(point)) == "???");
    BOOST_TEST(replaced("\xc0\x80") == "??");
    BOOST_TEST(replaced("\xe0\x9f\xbf") == "???");
    BOOST_TEST(replaced("\xf0\x8f\xbf\xbf") == "????");
    BOOST_TEST(replaced("\xf4\x90\x80\x80") == "????");
    BOOST_TEST(replaced("\xf5\x80") == "??");
}

/// The Unicode Standard, section 3.9, table 3-8 and the examples before it.
BOOST_AUTO_TEST_CASE(maximal_subparts_are_replaced_as_the_standard_shows) {
    BOOST_TEST(replaced("a\xf1\x80\x80\xe1\x80\xc2"
                        "b\x80"
                        "c\x80\xbf"
                        "d") == "a???b?c??d");
    BOOST_TEST(replaced("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
                        "A") == "????A");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
