// Sealing and reading KV pages in plain loops: what the shaders are tested against, bit by bit.
//
// A page is an array of 32-bit words; shared/kv_format.h draws all of it. One head of an open f16
// page of head_dim D, and what it is sealed into:
//
//             keys                  values
//     open    [D / 2][32]           [32][D / 2]              two f16 a word
//     int8    [D / 4][32] | [D]     [8][D] | [groups][32]    four codes a word | scale, zero f16
//     int4    [D / 8][32] | [D]     [4][D] | [groups][32]    eight codes a word | scale, zero f16
//
// A key channel over the page's 32 tokens, and a token's value group, are each a run x[0 .. n):
//
//     zero  = the smallest x, its very bits; of equal ones (-0 and 0) the first
//     scale = f16((largest - smallest) * f32(1 / levels)), levels 255 or 15
//     code  = the largest q <= levels with (q - 0.5) * scale <= x - zero, else 0;
//             0 also where scale is 0
//
// and is read back as code * scale + zero. All in f32, every operation rounded once. A run with a
// NaN or an infinity becomes scale 0, zero 0, codes 0.
#pragma once

#include <cstdint>
#include <span>

#include "quant/shared/kv_format.h"

namespace kvasir {

/// One layer's pages. f16 open pages seal into f16, int8 and int4, each for keys and values apart;
/// f32 ones into f32.
struct KvPageShape {
    std::uint32_t n_kv_heads = 0;
    std::uint32_t head_dim = 0;  // 8 to kMaxHeadDim, a multiple of 8
    std::uint32_t key_format = shared::kKvF16;
    std::uint32_t value_format = shared::kKvF16;
    std::uint32_t open_format = shared::kKvF16;

    std::uint32_t sealed_words() const {
        return shared::kv_page_words(key_format, value_format, n_kv_heads, head_dim);
    }
    std::uint32_t open_words() const {
        return shared::kv_page_words(open_format, open_format, n_kv_heads, head_dim);
    }
    /// The same for the open page, so that decode_kv_page reads it.
    KvPageShape as_open() const {
        return {n_kv_heads, head_dim, open_format, open_format, open_format};
    }
    /// Keys of a page; as many values.
    std::uint32_t n_elements() const { return n_kv_heads * shared::kPageTokens * head_dim; }
    /// Bits of a sealed page over its keys and values, scales and zeros included.
    double bits_per_element() const { return 32.0 * sealed_words() / (2.0 * n_elements()); }
};

/// Fills sealed (sealed_words()) from open (open_words()). Returns whether every element was
/// finite; where not, only the runs that hold such an element lose their content (f16 and f32 pages
/// are copied as they are). REQUIRES: a shape as said above.
[[nodiscard]] bool seal_kv_page(const KvPageShape& shape, std::span<const std::uint32_t> open,
                                std::span<std::uint32_t> sealed);

/// keys, values: (n_kv_heads, kPageTokens, head_dim).
void decode_kv_page(const KvPageShape& shape, std::span<const std::uint32_t> page,
                    std::span<float> keys, std::span<float> values);

/// The words of an open page that hold the values nearest to these (f16: to nearest even).
void encode_open_kv_page(const KvPageShape& shape, std::span<const float> keys,
                         std::span<const float> values, std::span<std::uint32_t> open);

}  // namespace kvasir
