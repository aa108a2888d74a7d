#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "config/base/half.hpp"

using namespace kvasir;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The value of a 16-bit pattern by IEEE 754's definition, in double. NaN for NaN.
double value_of(std::uint32_t pattern, int mantissa_bits) {
    const int exponent_bits = 15 - mantissa_bits;
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = static_cast<int>((pattern & 0x7fffU) >> mantissa_bits);
    const double fraction = std::ldexp(pattern & ((1U << mantissa_bits) - 1U), -mantissa_bits);
    double magnitude = 0;
    if (exponent == (1 << exponent_bits) - 1) {
        magnitude = fraction == 0 ? kInfinity : std::nan("");
    } else if (exponent == 0) {
        magnitude = std::ldexp(fraction, 1 - bias);
    } else {
        magnitude = std::ldexp(1 + fraction, exponent - bias);
    }
    return (pattern & 0x8000U) != 0 ? -magnitude : magnitude;
}

/// Rounds to nearest, ties to the even pattern, by looking at every representable value.
class NearestOracle {
public:
    explicit NearestOracle(int mantissa_bits) {
        std::uint32_t pattern = 0;
        for (; std::isfinite(value_of(pattern, mantissa_bits)); ++pattern) {
            values_.push_back(value_of(pattern, mantissa_bits));
        }
        // Infinity stands where the next value would be: IEEE 754, 4.3.1.
        const double last = values_.back();
        values_.push_back(last + (last - values_[values_.size() - 2]));
    }

    std::uint16_t operator()(float value) const {
        const std::uint32_t sign = std::signbit(value) ? 0x8000U : 0;
        const double magnitude = std::fabs(static_cast<double>(value));
        const auto above = std::ranges::lower_bound(values_, magnitude);
        if (above == values_.end()) return static_cast<std::uint16_t>(sign | (values_.size() - 1));
        auto index = static_cast<std::size_t>(above - values_.begin());
        if (index > 0 && *above != magnitude) {
            const double to_below = magnitude - values_[index - 1];
            const double to_above = *above - magnitude;
            if (to_below < to_above || (to_below == to_above && index % 2 == 1)) --index;
        }
        return static_cast<std::uint16_t>(sign | index);
    }

    const std::vector<double>& values() const { return values_; }

private:
    std::vector<double> values_;
};

template <class Narrow>
void check_against(const NearestOracle& oracle, Narrow narrow, float value) {
    const std::uint16_t found = narrow(value);
    const std::uint16_t expected = oracle(value);
    if (found != expected) {
        BOOST_ERROR("of " << std::hexfloat << value << ": found " << found << ", expected "
                          << expected);
    }
}

/// Every midpoint between neighbours, and the floats on either side of it: all that rounding can
/// get wrong.
template <class Narrow>
void check_all_midpoints(const NearestOracle& oracle, Narrow narrow) {
    for (std::size_t i = 0; i + 1 < oracle.values().size(); ++i) {
        const auto middle = static_cast<float>((oracle.values()[i] + oracle.values()[i + 1]) / 2);
        for (const float value :
             {middle, std::nextafter(middle, 0.0F), std::nextafter(middle, INFINITY)}) {
            check_against(oracle, narrow, value);
            check_against(oracle, narrow, -value);
        }
    }
}

/// Floats spread over every exponent; the step is prime, so the low bits vary too.
template <class Narrow>
void check_spread(const NearestOracle& oracle, Narrow narrow) {
    for (std::uint64_t bits = 0; bits < 0x1'0000'0000; bits += 4099) {
        const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
        if (!std::isnan(value)) check_against(oracle, narrow, value);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(half)

BOOST_AUTO_TEST_CASE(every_f16_pattern_has_the_value_that_ieee_754_gives_it) {
    for (std::uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
        const float found = f16_to_f32(static_cast<std::uint16_t>(pattern));
        const double expected = value_of(pattern, 10);
        const bool same =
            std::isnan(expected) ? std::isnan(found) : static_cast<double>(found) == expected;
        if (!same || std::signbit(found) != ((pattern & 0x8000U) != 0)) {
            BOOST_ERROR("f16 pattern " << pattern << ": found " << found << ", expected "
                                       << expected);
        }
    }
}

BOOST_AUTO_TEST_CASE(every_f16_pattern_survives_the_way_to_f32_and_back) {
    for (std::uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
        const auto h = static_cast<std::uint16_t>(pattern);
        const std::uint16_t back = f32_to_f16(f16_to_f32(h));
        const bool nan = (pattern & 0x7fffU) > 0x7c00U;
        const bool nan_again =
            (back & 0x7fffU) > 0x7c00U && (back & 0x8000U) == (pattern & 0x8000U);
        if (nan ? !nan_again : back != h)
            BOOST_ERROR("f16 pattern " << pattern << " came back as " << back);
    }
}

BOOST_AUTO_TEST_CASE(f16_rounds_to_nearest_even_at_every_midpoint) {
    check_all_midpoints(NearestOracle(10), f32_to_f16);
}

BOOST_AUTO_TEST_CASE(f16_rounds_like_the_reference_over_all_of_f32) {
    check_spread(NearestOracle(10), f32_to_f16);
}

BOOST_AUTO_TEST_CASE(the_edges_of_f16_are_where_ieee_754_puts_them) {
    BOOST_TEST(f32_to_f16(65504.0F) == 0x7bff);
    BOOST_TEST(f32_to_f16(65519.996F) == 0x7bff);
    BOOST_TEST(f32_to_f16(65520.0F) == 0x7c00);
    BOOST_TEST(f32_to_f16(INFINITY) == 0x7c00);
    BOOST_TEST(f32_to_f16(-INFINITY) == 0xfc00);
    BOOST_TEST(f32_to_f16(0x1p-24F) == 0x0001);
    BOOST_TEST(f32_to_f16(0x1p-25F) == 0x0000);  // a tie, to even
    BOOST_TEST(f32_to_f16(0x1.000002p-25F) == 0x0001);
    BOOST_TEST(f32_to_f16(-0.0F) == 0x8000);
    BOOST_TEST((f32_to_f16(std::nanf("")) & 0x7fff) > 0x7c00);
}

BOOST_AUTO_TEST_CASE(every_bf16_pattern_survives_the_way_to_f32_and_back) {
    for (std::uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
        const auto b = static_cast<std::uint16_t>(pattern);
        const float wide = bf16_to_f32(b);
        const std::uint16_t back = f32_to_bf16(wide);
        const bool nan = (pattern & 0x7fffU) > 0x7f80U;
        if (nan ? !std::isnan(wide) || (back & 0x7fffU) <= 0x7f80U : back != b) {
            BOOST_ERROR("bf16 pattern " << pattern << " came back as " << back);
        }
        if (!nan && static_cast<double>(wide) != value_of(pattern, 7))
            BOOST_ERROR("bf16 pattern " << pattern);
    }
}

BOOST_AUTO_TEST_CASE(bf16_rounds_to_nearest_even_at_every_midpoint) {
    check_all_midpoints(NearestOracle(7), f32_to_bf16);
}

BOOST_AUTO_TEST_CASE(bf16_rounds_like_the_reference_over_all_of_f32) {
    check_spread(NearestOracle(7), f32_to_bf16);
}

BOOST_AUTO_TEST_SUITE_END()
