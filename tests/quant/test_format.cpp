#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>
#include <set>
#include <vector>

#include "quant/format.hpp"
#include "quant/gguf.hpp"
#include "tests/support/random_block.hpp"

namespace kvasir {
namespace {

using test::format_named;

/// A float of the given exponent and mantissa widths from its definition, in double.
double from_fields(std::uint32_t bits, int exponent_bits, int mantissa_bits) {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const double mantissa = bits & ((1U << mantissa_bits) - 1);
    const int exponent = static_cast<int>(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
    const double sign = (bits >> (mantissa_bits + exponent_bits)) & 1U ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1)
        return mantissa != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
    if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

std::vector<std::byte> random_block(const FormatInfo& format, std::mt19937& random) {
    std::vector<std::byte> block(format.block_bytes);
    for (std::byte& b : block) b = std::byte(random() & 0xff);
    return block;
}

/// d, as the first two bytes of a block say.
double scale_of(std::span<const std::byte> block) {
    return from_fields(
        std::to_integer<std::uint32_t>(block[0]) | (std::to_integer<std::uint32_t>(block[1]) << 8),
        5, 10);
}

void check_value(float found, double expected) {
    if (std::isnan(expected)) {
        BOOST_TEST_REQUIRE(std::isnan(found));
    } else {
        BOOST_TEST_REQUIRE(found == static_cast<float>(expected));
        BOOST_TEST_REQUIRE(std::signbit(found) == std::signbit(expected));
    }
}

/// code(block, i) * d for 2000 random blocks.
template <class Code>
void check_scaled_blocks(const FormatInfo& format, Code code) {
    std::mt19937 random(1);
    std::vector<float> out(format.block_elements);
    for (int n = 0; n < 2000; ++n) {
        const auto block = random_block(format, random);
        format.decode_block(block, out);
        for (std::size_t i = 0; i < out.size(); ++i)
            check_value(out[i], scale_of(block) * code(block, i));
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(format)

BOOST_AUTO_TEST_CASE(every_format_is_found_by_its_number_and_no_other_is) {
    std::set<std::uint32_t> numbers;
    for (const FormatInfo& format : all_formats()) {
        BOOST_TEST(find_format(format.id) == &format);
        BOOST_TEST(numbers.insert(static_cast<std::uint32_t>(format.id)).second);
        BOOST_TEST((format.block_elements > 0 && format.block_bytes > 0 && !format.name.empty()));
    }
    for (std::uint32_t number = 0; number < 256; ++number)
        BOOST_TEST((find_format(FormatId{number}) != nullptr) == numbers.contains(number));
    BOOST_TEST(find_format(FormatId{0xffffffff}) == nullptr);
}

BOOST_AUTO_TEST_CASE(numbers_and_blocks_are_those_of_the_file_format) {
    struct Expected {
        const char* name;
        std::uint32_t number, elements, bytes;
    };
    for (const Expected& e :
         {Expected{"F32", 0, 1, 4}, Expected{"F16", 1, 1, 2}, Expected{"Q4_0", 2, 32, 18},
          Expected{"Q8_0", 8, 32, 34}, Expected{"BF16", 30, 1, 2}, Expected{"Q4_1", 3, 32, 20},
          Expected{"Q5_0", 6, 32, 22}, Expected{"Q5_1", 7, 32, 24}, Expected{"Q2_K", 10, 256, 84},
          Expected{"Q3_K", 11, 256, 110}, Expected{"Q4_K", 12, 256, 144},
          Expected{"Q5_K", 13, 256, 176}, Expected{"Q6_K", 14, 256, 210},
          Expected{"IQ4_NL", 20, 32, 18}, Expected{"IQ4_XS", 23, 256, 136},
          Expected{"MXFP4", 39, 32, 17}}) {
        const FormatInfo& format = format_named(e.name);
        BOOST_TEST(static_cast<std::uint32_t>(format.id) == e.number);
        BOOST_TEST(format.block_elements == e.elements);
        BOOST_TEST(format.block_bytes == e.bytes);
    }
}

BOOST_AUTO_TEST_CASE(f32_keeps_every_bit) {
    std::mt19937 random(2);
    for (int n = 0; n < 2000; ++n) {
        const auto block = random_block(format_named("F32"), random);
        float out = 0;
        format_named("F32").decode_block(block, std::span(&out, 1));
        BOOST_TEST_REQUIRE(std::memcmp(&out, block.data(), 4) == 0);
    }
}

BOOST_AUTO_TEST_CASE(f16_and_bf16_agree_with_their_definition_on_every_pattern) {
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
        const std::array block{std::byte(bits & 0xff), std::byte(bits >> 8)};
        float out = 0;
        format_named("F16").decode_block(block, std::span(&out, 1));
        check_value(out, from_fields(bits, 5, 10));
        format_named("BF16").decode_block(block, std::span(&out, 1));
        check_value(out, from_fields(bits, 8, 7));
    }
}

BOOST_AUTO_TEST_CASE(q8_0_is_scale_times_signed_byte) {
    check_scaled_blocks(format_named("Q8_0"), [](std::span<const std::byte> block, std::size_t i) {
        const int byte = std::to_integer<int>(block[2 + i]);
        return static_cast<double>(byte < 128 ? byte : byte - 256);
    });
}

BOOST_AUTO_TEST_CASE(q4_0_is_scale_times_nibble_less_eight_low_nibbles_first) {
    check_scaled_blocks(format_named("Q4_0"), [](std::span<const std::byte> block, std::size_t i) {
        const int byte = std::to_integer<int>(block[2 + i % 16]);
        return static_cast<double>((i < 16 ? byte % 16 : byte / 16) - 8);
    });
}

/// A model that was written in F32 and quantized by another program: decoding gives the weights
/// back to within the step of each block.
BOOST_AUTO_TEST_CASE(quantized_weights_of_the_bundled_model_are_close_to_its_f32_weights) {
    const std::string models = KVASIR_SHARED_DIR "/models/";
    if (!std::filesystem::exists(models)) {
        BOOST_TEST_MESSAGE("skipped: no " << models);
        return;
    }
    const GgufFile exact = GgufFile::open(models + "tales-5m-f32.gguf").value();
    for (const char* name : {"tales-5m-q8_0.gguf", "tales-5m-q4_0.gguf"}) {
        const GgufFile file = GgufFile::open(models + name).value();
        std::size_t n_blocks = 0;
        for (const TensorInfo& tensor : file.tensors()) {
            const TensorInfo* reference = exact.find_tensor(tensor.name);
            BOOST_TEST_REQUIRE((reference != nullptr && tensor.format != nullptr));
            BOOST_TEST_REQUIRE(reference->shape == tensor.shape, boost::test_tools::per_element());
            const FormatInfo& format = *tensor.format;
            if (format.block_elements == 1) continue;
            std::vector<float> out(format.block_elements);
            for (std::size_t at = 0; at < tensor.data.size();
                 at += format.block_bytes, ++n_blocks) {
                const auto block = tensor.data.subspan(at, format.block_bytes);
                format.decode_block(block, out);
                // Half a step by rounding, a whole one where Q4_0 clips at code 15.
                const double step = std::abs(scale_of(block)) * 1.01 + 1e-7;
                for (std::size_t i = 0; i < out.size(); ++i) {
                    float expected = 0;
                    const std::size_t element = at / format.block_bytes * format.block_elements + i;
                    std::memcpy(&expected, reference->data.data() + element * 4, 4);
                    if (!(std::abs(out[i] - expected) <= step))
                        BOOST_FAIL(tensor.name << " element " << element << ": " << out[i] << ", "
                                               << expected);
                }
            }
        }
        BOOST_TEST(n_blocks > 100'000U);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
