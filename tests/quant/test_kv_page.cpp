#include <algorithm>
#include <bit>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "config/base/half.hpp"
#include "quant/kv_page.hpp"

namespace kvasir {
namespace {

using shared::kKvF16;
using shared::kKvF32;
using shared::kKvInt4;
using shared::kKvInt8;
using shared::kPageTokens;

constexpr float kF16Max = 65504.0F;
constexpr float kF16Smallest = 0x1p-24F;

std::vector<std::uint32_t> head_dims() {
    std::vector<std::uint32_t> dims;
    for (std::uint32_t d = 8; d <= shared::kMaxHeadDim; d += 8) dims.push_back(d);
    return dims;
}

/// Keys and values of one page, (n_kv_heads, 32, head_dim), already rounded to f16.
struct Content {
    KvPageShape shape;
    std::vector<float> keys;
    std::vector<float> values;

    explicit Content(const KvPageShape& s)
        : shape(s), keys(s.n_elements(), 0.0F), values(s.n_elements(), 0.0F) {}
    std::size_t at(std::uint32_t head, std::uint32_t token, std::uint32_t channel) const {
        return (std::size_t{head} * kPageTokens + token) * shape.head_dim + channel;
    }
    template <class Next>
    void fill(Next next) {
        for (float& x : keys) x = f16_to_f32(f32_to_f16(next()));
        for (float& x : values) x = f16_to_f32(f32_to_f16(next()));
    }
};

struct Sealed {
    std::vector<std::uint32_t> words;
    bool finite = false;
};

Sealed seal(const Content& content) {
    std::vector<std::uint32_t> open(content.shape.open_words());
    encode_open_kv_page(content.shape, content.keys, content.values, open);
    Sealed sealed{std::vector<std::uint32_t>(content.shape.sealed_words(), 0xdeadbeefU), false};
    sealed.finite = seal_kv_page(content.shape, open, sealed.words);
    return sealed;
}

Content read_back(const KvPageShape& shape, const Sealed& sealed) {
    Content content(shape);
    decode_kv_page(shape, sealed.words, content.keys, content.values);
    return content;
}

/// Largest and smallest of the elements that share a scale with (head, token, channel).
struct Range {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();
    void add(float x) {
        low = std::min<double>(low, x);
        high = std::max<double>(high, x);
    }
};

Range key_range(const Content& content, std::uint32_t head, std::uint32_t channel) {
    Range range;
    for (std::uint32_t j = 0; j < kPageTokens; ++j)
        range.add(content.keys[content.at(head, j, channel)]);
    return range;
}

/// The group that channel lies in: near-equal runs of octets, as DESIGN says, found by search.
std::vector<std::uint32_t> group_borders(std::uint32_t head_dim) {
    const std::uint32_t n = std::max(1U, head_dim / 32);
    std::vector<std::uint32_t> borders;
    for (std::uint32_t g = 0; g <= n; ++g) borders.push_back(head_dim / 8 * g / n * 8);
    return borders;
}

Range value_range(const Content& content, std::uint32_t head, std::uint32_t token,
                  std::uint32_t channel) {
    const auto borders = group_borders(content.shape.head_dim);
    const auto end = std::ranges::upper_bound(borders, channel);
    Range range;
    for (std::uint32_t c = *(end - 1); c < *end; ++c)
        range.add(content.values[content.at(head, token, c)]);
    return range;
}

/// Half a step, and what rounding the step to f16 costs at the far end of the range.
double error_bound(const Range& range, std::uint32_t format) {
    if (!shared::kv_is_quantized(format)) return 0;
    const double levels = shared::kv_levels(format);
    const double step = (range.high - range.low) / levels;
    const double step_error = std::max(step * 0x1p-11, 0x1p-25);
    const double f32_error = 4 * 0x1p-24 * std::max(std::abs(range.low), std::abs(range.high));
    return (step + step_error) / 2 + levels * step_error + f32_error;
}

void check_element(const char* what, float before, float after, double bound) {
    const double error = std::abs(double{after} - before);
    if (!(error <= bound))
        BOOST_FAIL(what << " " << before << " came back as " << after << ", allowed " << bound);
}

void check_error(const Content& before, const Content& after) {
    const KvPageShape& shape = before.shape;
    const auto borders = group_borders(shape.head_dim);
    for (std::uint32_t head = 0; head < shape.n_kv_heads; ++head) {
        for (std::uint32_t c = 0; c < shape.head_dim; ++c) {
            const double bound = error_bound(key_range(before, head, c), shape.key_format);
            for (std::uint32_t j = 0; j < kPageTokens; ++j) {
                const std::size_t at = before.at(head, j, c);
                check_element("key", before.keys[at], after.keys[at], bound);
            }
        }
        for (std::uint32_t i = 0; i < kPageTokens * (borders.size() - 1); ++i) {
            const std::uint32_t j = i % kPageTokens;
            const std::uint32_t begin = borders[i / kPageTokens];
            const double bound =
                error_bound(value_range(before, head, j, begin), shape.value_format);
            for (std::uint32_t c = begin; c < borders[i / kPageTokens + 1]; ++c) {
                const std::size_t at = before.at(head, j, c);
                check_element("value", before.values[at], after.values[at], bound);
            }
        }
    }
}

std::vector<KvPageShape> shapes_of(std::uint32_t head_dim) {
    std::vector<KvPageShape> shapes;
    for (const std::uint32_t keys : {kKvF16, kKvInt8, kKvInt4})
        for (const std::uint32_t values : {kKvF16, kKvInt8, kKvInt4})
            shapes.push_back({1 + head_dim / 8 % 3, head_dim, keys, values, kKvF16});
    shapes.push_back({2, head_dim, kKvF32, kKvF32, kKvF32});
    return shapes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kv_page)

BOOST_AUTO_TEST_CASE(what_is_read_back_is_within_half_a_step_for_every_shape) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (const std::uint32_t head_dim : head_dims()) {
        for (const KvPageShape& shape : shapes_of(head_dim)) {
            Content content(shape);
            content.fill([&] { return normal(random) * std::exp2(normal(random) * 3); });
            const Sealed sealed = seal(content);
            BOOST_TEST_REQUIRE(sealed.finite);
            check_error(content, read_back(shape, sealed));
        }
    }
}

BOOST_AUTO_TEST_CASE(the_extremes_of_f16_are_within_half_a_step) {
    std::mt19937 random(2);
    for (const std::uint32_t head_dim : {8U, 40U, 64U, 256U}) {
        for (const KvPageShape& shape : shapes_of(head_dim)) {
            Content content(shape);
            content.fill([&] { return random() % 2 == 0 ? kF16Max : -kF16Max; });
            check_error(content, read_back(shape, seal(content)));
            content.fill([&] { return kF16Smallest * static_cast<float>(random() % 2048); });
            check_error(content, read_back(shape, seal(content)));
            content.fill([&] { return kF16Smallest * static_cast<float>(random() % 3); });
            check_error(content, read_back(shape, seal(content)));
            content.fill([&] { return 1000.0F + static_cast<float>(random() % 2) / 2; });
            check_error(content, read_back(shape, seal(content)));
        }
    }
}

BOOST_AUTO_TEST_CASE(an_outlier_channel_costs_the_other_channels_nothing) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    const KvPageShape shape{2, 64, kKvInt4, kKvInt4, kKvF16};
    Content plain(shape);
    plain.fill([&] { return normal(random); });
    Content outlier = plain;
    for (std::uint32_t j = 0; j < kPageTokens; ++j) {
        float& x = outlier.keys[outlier.at(1, j, 17)];
        x = f16_to_f32(f32_to_f16(x * 300 + 900));
    }
    const Content plain_back = read_back(shape, seal(plain));
    const Content outlier_back = read_back(shape, seal(outlier));
    for (std::size_t at = 0; at < plain.keys.size(); ++at) {
        const bool is_outlier = at / shape.head_dim / kPageTokens == 1 && at % shape.head_dim == 17;
        if (!is_outlier) BOOST_TEST_REQUIRE(plain_back.keys[at] == outlier_back.keys[at]);
    }
    check_error(outlier, outlier_back);
}

BOOST_AUTO_TEST_CASE(int4_takes_five_bits_an_element_and_int8_nine) {
    for (const std::uint32_t head_dim : head_dims()) {
        if (head_dim < 32) continue;  // values of smaller heads have groups smaller than 32
        const auto bits = [&](std::uint32_t keys, std::uint32_t values, std::uint32_t open) {
            return KvPageShape{3, head_dim, keys, values, open}.bits_per_element();
        };
        BOOST_TEST(bits(kKvInt4, kKvInt4, kKvF16) <= 5.0);
        BOOST_TEST(bits(kKvInt8, kKvInt8, kKvF16) <= 9.0);
        BOOST_TEST(bits(kKvInt8, kKvInt4, kKvF16) <= 7.0);
        BOOST_TEST(bits(kKvF16, kKvF16, kKvF16) == 16.0);
        BOOST_TEST(bits(kKvF32, kKvF32, kKvF32) == 32.0);
        if (head_dim % 32 != 0) continue;
        BOOST_TEST(bits(kKvInt4, kKvInt4, kKvF16) == 5.0);
        BOOST_TEST(bits(kKvInt8, kKvInt8, kKvF16) == 9.0);
    }
}

/// The bit that one element owns, from the drawing in kv_format.h, for pages of one head.
struct Expected {
    std::uint32_t word, shift, pair_word;
};
Expected expected_place(const KvPageShape& shape, bool is_value, std::uint32_t j, std::uint32_t c) {
    const std::uint32_t d = shape.head_dim;
    const std::uint32_t format = is_value ? shape.value_format : shape.key_format;
    const std::uint32_t per_word = format == kKvInt8 ? 4 : 8;
    const std::uint32_t width = 32 / per_word;
    if (!is_value) return {c / per_word * 32 + j, c % per_word * width, d / per_word * 32 + c};
    const std::uint32_t keys_per_word = shape.key_format == kKvInt8 ? 4 : 8;
    const std::uint32_t keys = d * 32 / keys_per_word + d;
    const auto borders = group_borders(d);
    const auto group =
        static_cast<std::uint32_t>(std::ranges::upper_bound(borders, c) - borders.begin()) - 1;
    return {keys + j / per_word * d + c, j % per_word * width,
            keys + d * 32 / per_word + group * 32 + j};
}

BOOST_AUTO_TEST_CASE(every_element_lies_where_the_drawing_says) {
    for (const std::uint32_t head_dim : {8U, 40U, 72U, 96U}) {
        for (const std::uint32_t format : {kKvInt8, kKvInt4}) {
            const KvPageShape shape{1, head_dim, format, format, kKvF16};
            const std::uint32_t levels = format == kKvInt8 ? 255 : 15;
            for (std::uint32_t i = 0; i < 2 * kPageTokens * head_dim; ++i) {
                const bool is_value = i % 2 == 1;
                const std::uint32_t j = i / 2 % kPageTokens;
                const std::uint32_t c = i / 2 / kPageTokens;
                Content content(shape);
                (is_value ? content.values : content.keys)[content.at(0, j, c)] = 1.0F;
                std::vector<std::uint32_t> words(shape.sealed_words(), 0);
                const Expected place = expected_place(shape, is_value, j, c);
                words.at(place.word) = levels << place.shift;
                words.at(place.pair_word) = f32_to_f16(1.0F / static_cast<float>(levels));
                const Sealed sealed = seal(content);
                BOOST_TEST_REQUIRE(sealed.words == words);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_constant_comes_back_exactly) {
    for (const float x : {0.0F, -0.0F, 1.0F, -3.140625F, kF16Max, -kF16Max, kF16Smallest}) {
        for (const KvPageShape& shape : shapes_of(48)) {
            Content content(shape);
            content.fill([&] { return x; });
            const Content back = read_back(shape, seal(content));
            for (std::size_t at = 0; at < content.keys.size(); ++at) {
                BOOST_TEST_REQUIRE(back.keys[at] == x);
                BOOST_TEST_REQUIRE(back.values[at] == x);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(of_two_zeros_the_first_is_the_zero_point) {
    const KvPageShape shape{1, 8, kKvInt4, kKvInt4, kKvF16};
    for (const bool negative_first : {true, false}) {
        Content content(shape);
        for (std::uint32_t j = 0; j < kPageTokens; ++j)
            content.keys[content.at(0, j, 3)] = (j == 0) == negative_first ? -0.0F : 0.0F;
        const Sealed sealed = seal(content);
        BOOST_TEST(sealed.words[expected_place(shape, false, 0, 3).pair_word] ==
                   (negative_first ? 0x80000000U : 0U));
    }
}

BOOST_AUTO_TEST_CASE(a_step_too_small_for_f16_gives_the_smallest_element) {
    const KvPageShape shape{1, 8, kKvInt8, kKvInt8, kKvF16};
    Content content(shape);
    for (std::uint32_t j = 0; j < kPageTokens; ++j)
        content.keys[content.at(0, j, 0)] = kF16Smallest * static_cast<float>(5 + j % 2);
    const Content back = read_back(shape, seal(content));
    for (std::uint32_t j = 0; j < kPageTokens; ++j)
        BOOST_TEST(back.keys[back.at(0, j, 0)] == kF16Smallest * 5);
}

/// Codes by their definition, in double where both sides are exact: these borders are multiples of
/// a power of two.
BOOST_AUTO_TEST_CASE(borders_between_codes_belong_to_the_upper_one) {
    const KvPageShape shape{1, 8, kKvInt4, kKvInt4, kKvF16};
    Content content(shape);
    // min 0, max 15: scale 1; borders at the halves.
    for (std::uint32_t j = 0; j < kPageTokens; ++j)
        content.keys[content.at(0, j, 0)] = std::min(15.0F, static_cast<float>(j) / 2);
    const Sealed sealed = seal(content);
    BOOST_TEST_REQUIRE(sealed.words[expected_place(shape, false, 0, 0).pair_word] == 0x3c00U);
    for (std::uint32_t j = 0; j < kPageTokens; ++j)
        BOOST_TEST((sealed.words[j] & 15U) == std::min(15U, (j + 1) / 2));
}

BOOST_AUTO_TEST_CASE(not_a_number_and_infinity_are_reported_and_stay_in_their_run) {
    std::mt19937 random(4);
    std::normal_distribution<float> normal;
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    for (const float bad : {std::nanf(""), -std::nanf(""), kInfinity, -kInfinity}) {
        for (const std::uint32_t format : {kKvInt8, kKvInt4}) {
            const KvPageShape shape{2, 72, format, format, kKvF16};
            Content content(shape);
            content.fill([&] { return normal(random); });
            const Sealed good = seal(content);
            const std::uint32_t bad_token = static_cast<std::uint32_t>(random() % kPageTokens);
            const std::uint32_t bad_channel = static_cast<std::uint32_t>(random() % shape.head_dim);
            content.keys[content.at(1, bad_token, bad_channel)] = bad;
            content.values[content.at(0, bad_token, bad_channel)] = bad;
            const Sealed sealed = seal(content);
            BOOST_TEST(good.finite);
            BOOST_TEST(!sealed.finite);
            const Content good_back = read_back(shape, good);
            const Content back = read_back(shape, sealed);
            const auto borders = group_borders(shape.head_dim);
            const auto end = std::ranges::upper_bound(borders, bad_channel);
            for (std::size_t at = 0; at < content.keys.size(); ++at) {
                const std::size_t head = at / shape.head_dim / kPageTokens;
                const std::size_t token = at / shape.head_dim % kPageTokens;
                const std::size_t channel = at % shape.head_dim;
                const bool lost_key = head == 1 && channel == bad_channel;
                const bool lost_value =
                    head == 0 && token == bad_token && channel >= *(end - 1) && channel < *end;
                BOOST_TEST_REQUIRE(back.keys[at] == (lost_key ? 0.0F : good_back.keys[at]));
                BOOST_TEST_REQUIRE(back.values[at] == (lost_value ? 0.0F : good_back.values[at]));
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(pages_that_are_copied_keep_every_bit_and_say_when_one_is_not_finite) {
    std::mt19937 random(5);
    for (const std::uint32_t format : {kKvF16, kKvF32}) {
        const KvPageShape shape{2, 40, format, format, format};
        const std::uint32_t exponents = format == kKvF16 ? 0xbfffbfffU : 0xbfffffffU;
        std::vector<std::uint32_t> open(shape.open_words());
        for (std::uint32_t& word : open) word = static_cast<std::uint32_t>(random() & exponents);
        std::vector<std::uint32_t> sealed(shape.sealed_words());
        BOOST_TEST(seal_kv_page(shape, open, sealed));
        BOOST_TEST(sealed == open);
        for (std::uint32_t& word : open) {
            const std::uint32_t kept = word;
            word |= format == kKvF16 ? 0x7c000000U : 0x7f800000U;
            BOOST_TEST_REQUIRE(!seal_kv_page(shape, open, sealed));
            word = kept;
        }
    }
}

BOOST_AUTO_TEST_CASE(heads_do_not_touch_each_other) {
    std::mt19937 random(6);
    std::normal_distribution<float> normal;
    for (const KvPageShape& shape : shapes_of(80)) {
        KvPageShape three = shape;
        three.n_kv_heads = 3;
        KvPageShape one = shape;
        one.n_kv_heads = 1;
        Content content(three);
        content.fill([&] { return normal(random); });
        const Content back = read_back(three, seal(content));
        for (std::uint32_t head = 0; head < 3; ++head) {
            Content alone(one);
            const auto from = static_cast<std::ptrdiff_t>(content.at(head, 0, 0));
            std::copy_n(content.keys.begin() + from, alone.keys.size(), alone.keys.begin());
            std::copy_n(content.values.begin() + from, alone.values.size(), alone.values.begin());
            const Content alone_back = read_back(one, seal(alone));
            BOOST_TEST(std::equal(alone_back.keys.begin(), alone_back.keys.end(),
                                  back.keys.begin() + from));
            BOOST_TEST(std::equal(alone_back.values.begin(), alone_back.values.end(),
                                  back.values.begin() + from));
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
