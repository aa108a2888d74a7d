#include "quant/kv_page.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "config/base/check.hpp"
#include "config/base/half.hpp"

namespace kvasir {
namespace {

using shared::kPageTokens;

/// Where one element, or its code, lies.
struct Place {
    std::uint32_t word;
    std::uint32_t shift;
};

/// One head's keys or values in a page.
struct Block {
    bool are_values;
    std::uint32_t format;
    std::uint32_t head_dim;
    std::uint32_t base;  // first word

    std::uint32_t n_pairs() const {
        return are_values ? shared::kv_groups(head_dim) * kPageTokens : head_dim;
    }
    std::uint32_t pairs_base() const { return base + shared::kv_key_code_words(format, head_dim); }
    /// Of token j, channel c.
    Place place(std::uint32_t j, std::uint32_t c) const {
        const std::uint32_t pack = shared::kv_pack(format);
        const std::uint32_t bits = 32 / pack;
        if (!are_values) return {base + c / pack * kPageTokens + j, c % pack * bits};
        // Floats pack channels of a token, codes pack tokens of a channel.
        if (!shared::kv_is_quantized(format))
            return {base + (j * head_dim + c) / pack, c % pack * bits};
        return {base + j / pack * head_dim + c, j % pack * bits};
    }
};

Block key_block(const KvPageShape& shape, std::uint32_t head) {
    return {false, shape.key_format, shape.head_dim,
            shared::kv_key_base(shape.key_format, shape.head_dim, head)};
}

Block value_block(const KvPageShape& shape, std::uint32_t head) {
    return {true, shape.value_format, shape.head_dim,
            shared::kv_value_base(shape.key_format, shape.value_format, shape.n_kv_heads,
                                  shape.head_dim, head)};
}

float f16_at(std::span<const std::uint32_t> words, Place at) {
    return f16_to_f32(static_cast<std::uint16_t>(words[at.word] >> at.shift));
}

/// The elements that share a scale and a zero: 32 tokens of one channel, or a group's channels of
/// one token.
struct Run {
    std::uint32_t n = 0;
    std::array<std::uint32_t, shared::kMaxHeadDim> tokens{};
    std::array<std::uint32_t, shared::kMaxHeadDim> channels{};
};

Run run_of(const Block& block, std::uint32_t pair) {
    Run run;
    if (!block.are_values) {
        run.n = kPageTokens;
        for (std::uint32_t i = 0; i < run.n; ++i) {
            run.tokens[i] = i;
            run.channels[i] = pair;
        }
        return run;
    }
    const std::uint32_t group = pair / kPageTokens;
    const std::uint32_t begin = shared::kv_group_begin(block.head_dim, group);
    const bool last = group + 1 == shared::kv_groups(block.head_dim);
    const std::uint32_t end =
        last ? block.head_dim : shared::kv_group_begin(block.head_dim, group + 1);
    run.n = end - begin;
    for (std::uint32_t i = 0; i < run.n; ++i) {
        run.tokens[i] = pair % kPageTokens;
        run.channels[i] = begin + i;
    }
    return run;
}

struct Pair {
    std::uint16_t scale_bits = 0;
    std::uint16_t zero_bits = 0;
    std::uint32_t word() const { return scale_bits | std::uint32_t{zero_bits} << 16; }
};

std::uint32_t code_of(float x, Pair pair, std::uint32_t levels) {
    const float scale = f16_to_f32(pair.scale_bits);
    if (scale == 0) return 0;
    const float above = x - f16_to_f32(pair.zero_bits);
    for (std::uint32_t q = levels; q > 0; --q) {
        const float border = (static_cast<float>(q) - 0.5F) * scale;
        if (border <= above) return q;
    }
    return 0;
}

/// False where the run holds a NaN or an infinity; then the pair is all zeros.
bool find_pair(std::span<const float> xs, std::uint32_t levels, Pair& pair) {
    pair = {};
    float low = xs[0];
    float high = xs[0];
    for (const float x : xs) {
        if (!std::isfinite(x)) return false;
        if (x < low) low = x;
        if (x > high) high = x;
    }
    const float spread = high - low;
    pair.scale_bits = f32_to_f16(spread * (1.0F / static_cast<float>(levels)));
    pair.zero_bits = f32_to_f16(low);  // exact: low was f16
    return true;
}

bool seal_quantized(const Block& from, std::span<const std::uint32_t> open, const Block& to,
                    std::span<std::uint32_t> sealed) {
    const std::uint32_t levels = shared::kv_levels(to.format);
    bool all_finite = true;
    for (std::uint32_t p = 0; p < to.n_pairs(); ++p) {
        const Run run = run_of(to, p);
        std::array<float, shared::kMaxHeadDim> xs{};
        for (std::uint32_t i = 0; i < run.n; ++i) {
            xs[i] = f16_at(open, from.place(run.tokens[i], run.channels[i]));
        }
        Pair pair;
        all_finite &= find_pair(std::span(xs).first(run.n), levels, pair);
        sealed[to.pairs_base() + p] = pair.word();
        for (std::uint32_t i = 0; i < run.n; ++i) {
            const Place at = to.place(run.tokens[i], run.channels[i]);
            sealed[at.word] |= code_of(xs[i], pair, levels) << at.shift;
        }
    }
    return all_finite;
}

bool copy_block(const Block& from, std::span<const std::uint32_t> open, const Block& to,
                std::span<std::uint32_t> sealed) {
    bool all_finite = true;
    for (std::uint32_t j = 0; j < kPageTokens; ++j) {
        for (std::uint32_t c = 0; c < from.head_dim; ++c) {
            const Place at = from.place(j, c);
            const float x = from.format == shared::kKvF32 ? std::bit_cast<float>(open[at.word])
                                                          : f16_at(open, at);
            all_finite &= std::isfinite(x);
            sealed[to.place(j, c).word] = open[at.word];
        }
    }
    return all_finite;
}

void decode_block(const Block& block, std::span<const std::uint32_t> page, std::span<float> out) {
    if (!shared::kv_is_quantized(block.format)) {
        for (std::uint32_t j = 0; j < kPageTokens; ++j) {
            for (std::uint32_t c = 0; c < block.head_dim; ++c) {
                const Place at = block.place(j, c);
                out[j * block.head_dim + c] = block.format == shared::kKvF32
                                                  ? std::bit_cast<float>(page[at.word])
                                                  : f16_at(page, at);
            }
        }
        return;
    }
    const std::uint32_t levels = shared::kv_levels(block.format);
    for (std::uint32_t p = 0; p < block.n_pairs(); ++p) {
        const std::uint32_t word = page[block.pairs_base() + p];
        const float scale = f16_to_f32(static_cast<std::uint16_t>(word));
        const float zero = f16_to_f32(static_cast<std::uint16_t>(word >> 16));
        const Run run = run_of(block, p);
        for (std::uint32_t i = 0; i < run.n; ++i) {
            const Place at = block.place(run.tokens[i], run.channels[i]);
            const std::uint32_t code = page[at.word] >> at.shift & levels;
            out[run.tokens[i] * block.head_dim + run.channels[i]] =
                static_cast<float>(code) * scale + zero;
        }
    }
}

void encode_block(const Block& block, std::span<const float> values,
                  std::span<std::uint32_t> open) {
    for (std::uint32_t j = 0; j < kPageTokens; ++j) {
        for (std::uint32_t c = 0; c < block.head_dim; ++c) {
            const float x = values[j * block.head_dim + c];
            const Place at = block.place(j, c);
            open[at.word] |= block.format == shared::kKvF32
                                 ? std::bit_cast<std::uint32_t>(x)
                                 : std::uint32_t{f32_to_f16(x)} << at.shift;
        }
    }
}

void check_shape(const KvPageShape& shape) {
    KVASIR_CHECK(
        shape.head_dim >= 8 && shape.head_dim <= shared::kMaxHeadDim && shape.head_dim % 8 == 0,
        "head_dim is a multiple of 8, 8 to 256");
    for (const std::uint32_t format : {shape.key_format, shape.value_format}) {
        KVASIR_CHECK(shape.open_format == shared::kKvF32
                         ? format == shared::kKvF32
                         : format == shared::kKvF16 || format == shared::kKvInt8 ||
                               format == shared::kKvInt4,
                     "f16 open pages seal into f16, int8 or int4, f32 ones into f32");
    }
}

}  // namespace

bool seal_kv_page(const KvPageShape& shape, std::span<const std::uint32_t> open,
                  std::span<std::uint32_t> sealed) {
    check_shape(shape);
    KVASIR_CHECK(open.size() == shape.open_words() && sealed.size() == shape.sealed_words(),
                 "a page's words are as many as its shape says");
    std::ranges::fill(sealed, 0U);
    const KvPageShape opened = shape.as_open();
    const auto seal_block = [&](const Block& from, const Block& to) {
        return to.format == from.format ? copy_block(from, open, to, sealed)
                                        : seal_quantized(from, open, to, sealed);
    };
    bool all_finite = true;
    for (std::uint32_t head = 0; head < shape.n_kv_heads; ++head) {
        all_finite &= seal_block(key_block(opened, head), key_block(shape, head));
        all_finite &= seal_block(value_block(opened, head), value_block(shape, head));
    }
    return all_finite;
}

void decode_kv_page(const KvPageShape& shape, std::span<const std::uint32_t> page,
                    std::span<float> keys, std::span<float> values) {
    check_shape(shape);
    KVASIR_CHECK(page.size() == shape.sealed_words() && keys.size() == shape.n_elements() &&
                     values.size() == shape.n_elements(),
                 "a page's words and elements are as many as its shape says");
    const std::size_t n = std::size_t{kPageTokens} * shape.head_dim;
    for (std::uint32_t head = 0; head < shape.n_kv_heads; ++head) {
        decode_block(key_block(shape, head), page, keys.subspan(head * n, n));
        decode_block(value_block(shape, head), page, values.subspan(head * n, n));
    }
}

void encode_open_kv_page(const KvPageShape& shape, std::span<const float> keys,
                         std::span<const float> values, std::span<std::uint32_t> open) {
    check_shape(shape);
    KVASIR_CHECK(open.size() == shape.open_words() && keys.size() == shape.n_elements() &&
                     values.size() == shape.n_elements(),
                 "a page's words and elements are as many as its shape says");
    std::ranges::fill(open, 0U);
    const KvPageShape opened = shape.as_open();
    const std::size_t n = std::size_t{kPageTokens} * shape.head_dim;
    for (std::uint32_t head = 0; head < shape.n_kv_heads; ++head) {
        encode_block(key_block(opened, head), keys.subspan(head * n, n), open);
        encode_block(value_block(opened, head), values.subspan(head * n, n), open);
    }
}

}  // namespace kvasir
