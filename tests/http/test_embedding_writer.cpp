#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

#include "daemon/http/embedding_writer.hpp"

using namespace kvasir;

BOOST_AUTO_TEST_SUITE(embedding_writer)

// Source of the texts: RFC 4648, section 10, with its letters as bytes of floats.
BOOST_AUTO_TEST_CASE(base64_is_of_little_endian_floats) {
    BOOST_TEST(to_base64({}) == "");
    const std::vector<float> one{1.0F};  // 00 00 80 3f
    BOOST_TEST(to_base64(one) == "AACAPw==");
    const std::vector<float> two{1.0F, -2.5F};  // and 00 00 20 c0
    BOOST_TEST(to_base64(two) == "AACAPwAAIMA=");
    const std::vector<float> three{1.0F, -2.5F, 0.1F};  // and cd cc cc 3d
    BOOST_TEST(to_base64(three) == "AACAPwAAIMDNzMw9");
}

BOOST_AUTO_TEST_CASE(vectors_have_length_one_also_when_cut_and_whatever_their_size) {
    constexpr float kTiny = std::numeric_limits<float>::denorm_min();
    for (const float scale : {1.0F, 0x1p125F, kTiny}) {
        const std::vector<float> vector{3 * scale, 0, -4 * scale, scale};
        for (const std::size_t n : {1U, 3U, 4U}) {
            const std::vector<float> unit = normalized(vector, n);
            BOOST_TEST(unit.size() == n);
            double squares = 0;
            for (const float value : unit) squares += double{value} * double{value};
            BOOST_TEST(std::abs(std::sqrt(squares) - 1) <= 1e-6);
            BOOST_TEST(unit[0] > 0);
        }
        BOOST_TEST(normalized(vector, 3) == (std::vector<float>{0.6F, 0, -0.8F}),
                   boost::test_tools::per_element());
    }
    BOOST_TEST(normalized(std::vector<float>{0, 0}, 2) == (std::vector<float>{0, 0}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
