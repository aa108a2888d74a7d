// The quantized formats against their definitions, derived again from the drawing of each block:
// bit by bit, element by element, in double.
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "quant/format.hpp"
#include "tests/support/random_block.hpp"

namespace kvasir {
namespace {

using test::format_named;

/// A block as one long number: bits are counted from the first byte's lowest.
class Bits {
public:
    explicit Bits(std::span<const std::byte> block) : block_(block) {}
    unsigned at(std::size_t bit, std::size_t n) const {
        unsigned value = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const auto byte = std::to_integer<unsigned>(block_[(bit + i) / 8]);
            value |= (byte >> (bit + i) % 8 & 1U) << i;
        }
        return value;
    }
    int signed_byte(std::size_t byte) const {
        const int value = static_cast<int>(at(byte * 8, 8));
        return value < 128 ? value : value - 256;
    }
    double half(std::size_t byte) const {
        const int mantissa = static_cast<int>(at(byte * 8, 10));
        const int exponent = static_cast<int>(at(byte * 8 + 10, 5));
        const double sign = at(byte * 8 + 15, 1) != 0 ? -1 : 1;
        if (exponent == 31)
            return mantissa != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
        if (exponent == 0) return sign * std::ldexp(mantissa, -24);
        return sign * std::ldexp(mantissa + 1024, exponent - 25);
    }

private:
    std::span<const std::byte> block_;
};

/// Bit that a 4-bit code begins at, of n codes from a byte on: the first half in the low nibbles.
std::size_t nibble(std::size_t byte, std::size_t n, std::size_t i) {
    return (byte + i % (n / 2)) * 8 + i / (n / 2) * 4;
}

/// value(bits, i), rounded once, for 3000 random blocks.
template <class Value>
void check(std::string_view name, Value value) {
    const FormatInfo& format = format_named(name);
    std::mt19937 random(1);
    std::vector<std::byte> block(format.block_bytes);
    std::vector<float> out(format.block_elements);
    for (int n = 0; n < 3000; ++n) {
        for (std::byte& b : block) b = std::byte(random() & 0xff);
        format.decode_block(block, out);
        for (std::size_t i = 0; i < out.size(); ++i) {
            const double expected = value(Bits(block), i);
            if (std::isnan(expected) && std::isnan(out[i])) continue;
            if (out[i] != static_cast<float>(expected) ||
                std::signbit(out[i]) != std::signbit(expected))
                BOOST_FAIL(name << " block " << n << " element " << i << ": " << out[i]
                                << ", expected " << expected);
        }
    }
}

/// Scale (0) or minimum (1) of run r of a Q4_K or Q5_K block.
unsigned six_bits(const Bits& b, std::size_t r, std::size_t which) {
    if (r < 4) return b.at((4 + which * 4 + r) * 8, 6);
    return b.at((12 + r - 4) * 8 + which * 4, 4) + 16 * b.at((4 + which * 4 + r - 4) * 8 + 6, 2);
}

constexpr std::array<int, 16> kIq4{-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::array<double, 16> kE2m1{0, 0.5,  1,  1.5,  2,  3,  4,  6,
                                       0, -0.5, -1, -1.5, -2, -3, -4, -6};

}  // namespace

BOOST_AUTO_TEST_SUITE(block_formats)

BOOST_AUTO_TEST_CASE(q4_1_and_q5_1_are_scale_times_code_plus_minimum) {
    check("Q4_1", [](const Bits& b, std::size_t i) {
        return b.half(0) * b.at(nibble(4, 32, i), 4) + b.half(2);
    });
    check("Q5_1", [](const Bits& b, std::size_t i) {
        return b.half(0) * (b.at(nibble(8, 32, i), 4) + 16 * b.at(4 * 8 + i, 1)) + b.half(2);
    });
}

BOOST_AUTO_TEST_CASE(q5_0_is_scale_times_code_less_sixteen) {
    check("Q5_0", [](const Bits& b, std::size_t i) {
        return b.half(0) * (b.at(nibble(6, 32, i), 4) + 16.0 * b.at(2 * 8 + i, 1) - 16);
    });
}

BOOST_AUTO_TEST_CASE(q2_k_has_a_scale_and_a_minimum_a_run_of_sixteen) {
    check("Q2_K", [](const Bits& b, std::size_t i) {
        const unsigned code = b.at((16 + i / 128 * 32 + i % 32) * 8 + i % 128 / 32 * 2, 2);
        return b.half(80) * b.at(i / 16 * 8, 4) * code - b.half(82) * b.at(i / 16 * 8 + 4, 4);
    });
}

BOOST_AUTO_TEST_CASE(q3_k_has_a_signed_scale_a_run_of_sixteen) {
    check("Q3_K", [](const Bits& b, std::size_t i) {
        const std::size_t run = i / 16;
        const double scale = b.at((96 + run % 8) * 8 + run / 8 * 4, 4) +
                             16.0 * b.at((104 + run % 4) * 8 + run / 4 * 2, 2) - 32;
        const double code = b.at((32 + i / 128 * 32 + i % 32) * 8 + i % 128 / 32 * 2, 2) +
                            4.0 * b.at(i % 32 * 8 + i / 32, 1) - 4;
        return b.half(108) * scale * code;
    });
}

BOOST_AUTO_TEST_CASE(q4_k_and_q5_k_have_a_scale_and_a_minimum_a_run_of_thirty_two) {
    check("Q4_K", [](const Bits& b, std::size_t i) {
        const unsigned code = b.at(nibble(16 + i / 64 * 32, 64, i % 64), 4);
        return b.half(0) * six_bits(b, i / 32, 0) * code - b.half(2) * six_bits(b, i / 32, 1);
    });
    check("Q5_K", [](const Bits& b, std::size_t i) {
        const unsigned code = b.at(nibble(48 + i / 64 * 32, 64, i % 64), 4) +
                              16 * b.at((16 + i % 32) * 8 + i / 32, 1);
        return b.half(0) * six_bits(b, i / 32, 0) * code - b.half(2) * six_bits(b, i / 32, 1);
    });
}

BOOST_AUTO_TEST_CASE(q6_k_has_a_signed_scale_a_run_of_sixteen) {
    check("Q6_K", [](const Bits& b, std::size_t i) {
        const std::size_t j = i % 128 / 32;
        const std::size_t low = (i / 128 * 64 + j % 2 * 32 + i % 32) * 8 + j / 2 * 4;
        const std::size_t high = (128 + i / 128 * 32 + i % 32) * 8 + j * 2;
        const double code = b.at(low, 4) + 16.0 * b.at(high, 2) - 32;
        return b.half(208) * b.signed_byte(192 + i / 16) * code;
    });
}

BOOST_AUTO_TEST_CASE(iq4_nl_and_iq4_xs_look_codes_up) {
    check("IQ4_NL",
          [](const Bits& b, std::size_t i) { return b.half(0) * kIq4[b.at(nibble(2, 32, i), 4)]; });
    check("IQ4_XS", [](const Bits& b, std::size_t i) {
        const std::size_t run = i / 32;
        const double scale = b.at(4 * 8 + run * 4, 4) + 16.0 * b.at(2 * 8 + run * 2, 2) - 32;
        return b.half(0) * scale * kIq4[b.at(nibble(8 + run * 16, 32, i % 32), 4)];
    });
}

BOOST_AUTO_TEST_CASE(mxfp4_is_a_power_of_two_times_a_four_bit_float) {
    check("MXFP4", [](const Bits& b, std::size_t i) {
        return std::ldexp(kE2m1[b.at(nibble(1, 32, i), 4)], static_cast<int>(b.at(0, 8)) - 127);
    });
}

/// What the kernels are given comes from here: reading may not write past what a format has.
BOOST_AUTO_TEST_CASE(codes_read_fit_their_planes_whatever_the_bits_are) {
    std::mt19937 random(2);
    for (const FormatInfo& format : all_formats()) {
        if (format.read_block == nullptr) continue;
        std::vector<std::byte> block(format.block_bytes);
        for (int n = 0; n < 500; ++n) {
            for (std::byte& b : block) b = n == 0 ? std::byte{255} : std::byte(random() & 0xff);
            CodedBlock coded;
            coded.codes.fill(0xaa);
            format.read_block(block, coded);
            const int bits = format.name.find('8') != std::string_view::npos   ? 8
                             : format.name.find('6') != std::string_view::npos ? 6
                             : format.name.find('5') != std::string_view::npos ? 5
                             : format.name.find('3') != std::string_view::npos ? 3
                             : format.name.find('2') != std::string_view::npos ? 2
                                                                               : 4;
            if (format.name == "MXFP4") BOOST_TEST_REQUIRE(coded.scale <= 255);
            for (std::size_t i = 0; i < coded.codes.size(); ++i)
                if (i < format.block_elements ? coded.codes[i] >> bits != 0
                                              : coded.codes[i] != 0xaa)
                    BOOST_FAIL(format.name << " element " << i << ": code " << int{coded.codes[i]});
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
