#include <bit>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "config/base/half.hpp"
#include "tests/support/gpu_fixture.hpp"
#include "tests/support/kv_fixture.hpp"
#include "tests/support/reference_ops.hpp"
#include "tests/support/weight_fixture.hpp"
#include "vk_kernels/ops/rope_append_kv.hpp"

namespace kvasir::gpu {
namespace {

using shared::kKvF16;
using shared::kKvF32;

struct Case {
    HeadShape heads;
    RopeShape rope;
    std::uint32_t open_format;
    std::uint32_t n_tokens;
    bool has_sinks = false;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << "heads " << c.heads.n_heads << "/" << c.heads.n_kv_heads << " x "
               << c.heads.head_dim << ", rotated " << c.rope.n_rot
               << (c.rope.interleaved ? " interleaved" : " halves") << ", open format "
               << c.open_format << ", " << c.n_tokens << " tokens";
}

/// One head after rotation, one rounding an operation.
std::vector<float> rotated(const RopeShape& rope, const float* head, std::uint32_t head_dim,
                           const float* cos_sin) {
    std::vector<float> out(head, head + head_dim);
    for (std::uint32_t i = 0; i < rope.n_rot / 2; ++i) {
        const std::uint32_t a = rope.interleaved ? 2 * i : i;
        const std::uint32_t b = rope.interleaved ? 2 * i + 1 : i + rope.n_rot / 2;
        const float cosine = cos_sin[2 * i];
        const float sine = cos_sin[2 * i + 1];
        const float a_cos = head[a] * cosine;
        const float b_sin = head[b] * sine;
        const float b_cos = head[b] * cosine;
        const float a_sin = head[a] * sine;
        out[a] = a_cos - b_sin;
        out[b] = b_cos + a_sin;
    }
    return out;
}

/// Puts one element into an open page's words, as kv_format.h draws them.
void put_open(const Case& c, std::vector<std::uint32_t>& open, std::uint32_t slot, bool is_value,
              std::uint32_t kv_head, std::uint32_t channel, float x) {
    const std::uint32_t d = c.heads.head_dim;
    const std::uint32_t j = slot % 32;
    const std::uint32_t pack = c.open_format == kKvF32 ? 1 : 2;
    const std::uint32_t head_words = 32 * d / pack;
    const std::size_t page = std::size_t{slot / 32} * 2 * c.heads.n_kv_heads * head_words;
    const std::size_t base =
        page + (is_value ? c.heads.n_kv_heads + kv_head : kv_head) * head_words;
    const std::size_t at = base + (is_value ? (j * d + channel) / pack : channel / pack * 32 + j);
    if (pack == 1) {
        open[at] = std::bit_cast<std::uint32_t>(x);
        return;
    }
    const std::uint32_t shift = channel % 2 * 16;
    open[at] = (open[at] & ~(0xffffU << shift)) | std::uint32_t{f32_to_f16(x)} << shift;
}

/// Normal values, and among the values of V everything that rounding to f16 can meet.
std::vector<float> make_qkv(const Case& c, std::mt19937& random) {
    const HeadShape& h = c.heads;
    const std::uint32_t stride = (h.n_heads + 2 * h.n_kv_heads) * h.head_dim;
    std::vector<float> qkv = normal_values(std::size_t{c.n_tokens} * stride, random, 3);
    constexpr std::array kSpecial{65504.0F,       65519.996F, 65520.0F,  -1.0e9F,      0x1p-24F,
                                  0x1.8p-24F,     0x1p-25F,   -0x1p-26F, 0x1.ffcp-15F, -0.0F,
                                  1.00048828125F, INFINITY,   -INFINITY, NAN,          0x1.002p0F};
    for (std::uint32_t t = 0; t < c.n_tokens; ++t)
        for (std::uint32_t i = 0; i < h.n_kv_heads * h.head_dim; i += 3)
            qkv[t * stride + stride - 1 - i] = kSpecial[(t + i) % kSpecial.size()];
    return qkv;
}

void compare_words(const Case& c, const char* what, const std::vector<std::uint32_t>& found,
                   const std::vector<std::uint32_t>& expected) {
    BOOST_TEST_REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
        if (found[i] != expected[i])
            BOOST_FAIL(c << ": " << what << " word " << i << " is " << std::hex << found[i]
                         << ", expected " << expected[i]);
}

void check_case(const Case& c) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(c.heads.head_dim * 31 + c.rope.n_rot);
    const HeadShape& h = c.heads;
    const std::uint32_t d = h.head_dim;
    const std::uint32_t stride = (h.n_heads + 2 * h.n_kv_heads) * d;
    const auto qkv = make_qkv(c, random);
    std::vector<float> angles;
    for (std::uint32_t i = 0; i < c.n_tokens * c.rope.n_rot / 2; ++i) {
        const double angle = static_cast<double>(random() % 100'000) / 37;
        angles.push_back(static_cast<float>(std::cos(angle)));
        angles.push_back(static_cast<float>(std::sin(angle)));
    }
    const KvPageShape shape{h.n_kv_heads, d, c.open_format, c.open_format, c.open_format};
    const std::uint32_t n_open = c.n_tokens / 16 + 3;
    auto slots = shuffled(n_open * 32, random);
    slots.resize(c.n_tokens);

    std::vector<float> q(std::size_t{c.n_tokens} * h.n_heads * d);
    std::vector<std::uint32_t> open(std::size_t{n_open} * shape.open_words(), 0xffffffffU);
    for (std::uint32_t t = 0; t < c.n_tokens; ++t) {
        for (std::uint32_t head = 0; head < h.n_heads + h.n_kv_heads; ++head) {
            const auto turned = rotated(c.rope, qkv.data() + t * stride + head * d, d,
                                        angles.data() + std::size_t{t} * c.rope.n_rot);
            for (std::uint32_t i = 0; i < d; ++i) {
                if (head < h.n_heads) {
                    q[(std::size_t{t} * h.n_heads + head) * d + i] = turned[i];
                } else {
                    put_open(c, open, slots[t], false, head - h.n_heads, i, turned[i]);
                }
            }
        }
        for (std::uint32_t i = 0; i < h.n_kv_heads * d; ++i)
            put_open(c, open, slots[t], true, i / d, i % d,
                     qkv[(t + 1) * stride - h.n_kv_heads * d + i]);
    }

    // Sinks are read with the queries turned by another token's angles: here the one before.
    std::vector<float> sink_angles(angles.begin() + c.rope.n_rot, angles.end());
    sink_angles.insert(sink_angles.end(), angles.begin(), angles.begin() + c.rope.n_rot);
    const KvPages pages(gpu, shape, n_open, 1, 1);
    const RopeAppendKv op =
        RopeAppendKv::create(*gpu.device, h, c.rope, c.open_format, false, c.has_sinks).value();
    const Buffer qkv_buffer = gpu.buffer_of(qkv);
    const Buffer angle_buffer = gpu.buffer_of(angles.empty() ? std::vector<float>(2) : angles);
    const Buffer slot_buffer = gpu.buffer_of(slots);
    const Buffer q_buffer = gpu.filled_buffer<float>(q.size());
    const Buffer sink_angle_buffer =
        gpu.buffer_of(sink_angles.empty() ? std::vector<float>(2) : sink_angles);
    const Buffer sink_q_buffer = gpu.filled_buffer<float>(q.size());
    gpu.run([&](Recorder& recorder) {
        op.record(recorder, qkv_buffer.slice(), angle_buffer.slice(), slot_buffer.slice(),
                  q_buffer.slice(), pages.layer(), c.n_tokens, {},
                  c.has_sinks ? SinkQueries{sink_angle_buffer.slice(), sink_q_buffer.slice()}
                              : SinkQueries{});
    });
    std::vector<std::uint32_t> sink_bits(q.size(), 0xffffffffU);
    for (std::uint32_t t = 0; c.has_sinks && t < c.n_tokens; ++t)
        for (std::uint32_t head = 0; head < h.n_heads; ++head) {
            const auto turned = rotated(c.rope, qkv.data() + t * stride + head * d, d,
                                        sink_angles.data() + std::size_t{t} * c.rope.n_rot);
            for (std::uint32_t i = 0; i < d; ++i)
                sink_bits[(std::size_t{t} * h.n_heads + head) * d + i] =
                    std::bit_cast<std::uint32_t>(turned[i]);
        }
    compare_words(c, "sink q", contents<std::uint32_t>(sink_q_buffer), sink_bits);
    std::vector<std::uint32_t> q_bits;
    for (const float x : q) q_bits.push_back(std::bit_cast<std::uint32_t>(x));
    compare_words(c, "q", contents<std::uint32_t>(q_buffer), q_bits);
    std::vector<std::uint32_t> found;
    for (std::uint32_t slot = 0; slot < n_open; ++slot)
        found.insert(found.end(), pages.open(slot).begin(), pages.open(slot).end());
    compare_words(c, "open page", found, open);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rope_append_kv)

BOOST_AUTO_TEST_CASE(queries_and_open_pages_are_the_references_bit_by_bit) {
    struct Heads {
        std::uint32_t n_heads, n_kv_heads, head_dim, n_rot;
    };
    for (const Heads& h :
         {Heads{4, 4, 64, 64}, Heads{6, 2, 40, 40}, Heads{3, 1, 96, 96}, Heads{8, 2, 128, 128},
          Heads{2, 1, 256, 256}, Heads{1, 1, 8, 8}, Heads{2, 2, 80, 32}, Heads{4, 1, 72, 24},
          Heads{2, 1, 48, 2}, Heads{2, 1, 32, 0}}) {
        for (const bool interleaved : {true, false})
            for (const std::uint32_t open_format : {kKvF16, kKvF32})
                for (const std::uint32_t n_tokens : {1U, 37U})
                    check_case({{h.n_heads, h.n_kv_heads, h.head_dim},
                                {h.n_rot, interleaved},
                                open_format,
                                n_tokens});
    }
}

BOOST_AUTO_TEST_CASE(queries_for_sinks_are_turned_by_their_own_angles) {
    for (const std::uint32_t n_rot : {64U, 16U})
        for (const bool interleaved : {true, false})
            check_case({{4, 2, 64}, {n_rot, interleaved}, kKvF16, 19, true});
}

/// The norm in double precision, then the rotation of what it rounds to.
BOOST_AUTO_TEST_CASE(heads_are_normalized_before_they_are_turned) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(5);
    constexpr std::uint32_t kTokens = 21;
    constexpr float kEps = 1e-6F;
    for (const std::uint32_t d : {8U, 32U, 72U, 128U, 256U}) {
        const HeadShape h{3, 1, d};
        const RopeShape rope{d, false};
        const auto qkv = normal_values(std::size_t{kTokens} * 5 * d, random, 9);
        const auto norm = normal_values(std::size_t{2} * d, random);
        std::vector<float> angles;
        for (std::uint32_t i = 0; i < kTokens * d / 2; ++i) {
            angles.push_back(static_cast<float>(std::cos(0.37 * i)));
            angles.push_back(static_cast<float>(std::sin(0.37 * i)));
        }
        const KvPageShape shape{1, d, kKvF32, kKvF32, kKvF32};
        const KvPages pages(gpu, shape, 1, 1, 1);
        const RopeAppendKv op = RopeAppendKv::create(*gpu.device, h, rope, kKvF32, true).value();
        Uploader uploader = Uploader::create(*gpu.device, *gpu.recorder).value();
        const Vector weights = uploader.upload_vector(norm).value();
        const Buffer qkv_buffer = gpu.buffer_of(qkv);
        const Buffer angle_buffer = gpu.buffer_of(angles);
        std::vector<std::uint32_t> slots(kTokens);
        for (std::uint32_t t = 0; t < kTokens; ++t) slots[t] = t;
        const Buffer slot_buffer = gpu.buffer_of(slots);
        const Buffer q_buffer = gpu.filled_buffer<float>(std::size_t{kTokens} * 3 * d);
        gpu.run([&](Recorder& recorder) {
            op.record(recorder, qkv_buffer.slice(), angle_buffer.slice(), slot_buffer.slice(),
                      q_buffer.slice(), pages.layer(), kTokens, {&weights, kEps});
        });
        const auto q = contents<float>(q_buffer);
        std::vector<float> keys(std::size_t{32} * d);
        std::vector<float> values(std::size_t{32} * d);
        decode_kv_page(shape.as_open(), pages.open(0), keys, values);
        for (std::uint32_t t = 0; t < kTokens; ++t)
            for (std::uint32_t head = 0; head < 4; ++head) {
                const auto weight = std::span(norm).subspan(head < 3 ? 0 : d, d);
                const auto normed = reference::rms_norm(
                    std::span(qkv).subspan((std::size_t{t} * 5 + head) * d, d), weight, kEps);
                const std::vector<float> rounded(normed.begin(), normed.end());
                const auto expected =
                    rotated(rope, rounded.data(), d, angles.data() + std::size_t{t} * d);
                const float* const found =
                    head < 3 ? &q[(std::size_t{t} * 3 + head) * d] : &keys[std::size_t{t} * d];
                for (std::uint32_t i = 0; i < d; ++i)
                    BOOST_TEST_REQUIRE(std::abs(found[i] - expected[i]) <= 2e-5,
                                       "head_dim " << d << ", token " << t << ", head " << head);
            }
        for (std::uint32_t t = 0; t < kTokens; ++t)
            for (std::uint32_t i = 0; i < d; ++i)
                BOOST_TEST_REQUIRE(values[std::size_t{t} * d + i] ==
                                   qkv[(std::size_t{t} * 5 + 4) * d + i]);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir::gpu
