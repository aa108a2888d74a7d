// KV page formats: what the 32-bit words of one layer's page mean, for C++ and GLSL.
//
// A page holds kPageTokens tokens. Its payload is, words of 32 bits:
//
//     keys of head 0 | keys of head 1 | ... | values of head 0 | values of head 1 | ...
//
// Keys of a head (D = head_dim, j = token in page, c = channel); a word packs neighbouring channels of one token, so
// that lanes on neighbouring tokens load neighbouring words:
//     f32    [c][j]         one word
//     f16    [c / 2][j]     channels c (low half), c + 1
//     int8   [c / 4][j]     channels c (low byte) .. c + 3
//     int4   [c / 8][j]     channels c (low nibble) .. c + 7
//     then, int8 and int4: [c]  scale f16 (low half) | zero f16      one pair a channel over the 32 tokens
//
// Values of a head; a word packs neighbouring tokens of one channel (f16: channels of one token), so that lanes on
// neighbouring channels load neighbouring words:
//     f32    [j][c]
//     f16    [j][c / 2]     channels c (low half), c + 1
//     int8   [j / 4][c]     tokens j (low byte) .. j + 3
//     int4   [j / 8][c]     tokens j (low nibble) .. j + 7
//     then, int8 and int4: [g][j]  scale f16 (low half) | zero f16   one pair a token and channel group g
//
// An element is code * scale + zero. Bits an element, scales included: int4 4 + 32 / 32 = 5, int8 9 (values of a
// head_dim that is no multiple of 32 a little less: their groups are larger than 32 channels).
//
// Open pages have the same layout in f16 (f32 in the reference mode), one slot each.
#ifndef KVASIR_QUANT_SHARED_KV_FORMAT_H
#define KVASIR_QUANT_SHARED_KV_FORMAT_H
#include "config/base/glsl_shared.h"

SHARED_BEGIN
const uint kKvF32 = 0;
const uint kKvF16 = 1;
const uint kKvInt8 = 2;
const uint kKvInt4 = 3;

const uint kPageTokens = 32;
const uint kMaxHeadDim = 256;

SHARED_FUNCTION bool kv_is_quantized(uint format) { return format >= kKvInt8; }

/// Elements that one word holds.
SHARED_FUNCTION uint kv_pack(uint format) {
    return format == kKvF32 ? 1u : (format == kKvF16 ? 2u : (format == kKvInt8 ? 4u : 8u));
}

/// Largest code.
SHARED_FUNCTION uint kv_levels(uint format) { return format == kKvInt8 ? 255u : 15u; }

/// Value groups of a head: floor(D / 32), at least one, in near-equal runs of whole octets of channels.
SHARED_FUNCTION uint kv_groups(uint head_dim) { return head_dim < 64u ? 1u : head_dim / 32u; }

/// First channel of group g; group g ends where g + 1 begins, the last at head_dim.
SHARED_FUNCTION uint kv_group_begin(uint head_dim, uint g) { return (head_dim / 8u) * g / kv_groups(head_dim) * 8u; }

SHARED_FUNCTION uint kv_key_code_words(uint format, uint head_dim) { return head_dim * kPageTokens / kv_pack(format); }

SHARED_FUNCTION uint kv_key_words(uint format, uint head_dim) {
    return kv_key_code_words(format, head_dim) + (kv_is_quantized(format) ? head_dim : 0u);
}

SHARED_FUNCTION uint kv_value_words(uint format, uint head_dim) {
    return kv_key_code_words(format, head_dim) + (kv_is_quantized(format) ? kv_groups(head_dim) * kPageTokens : 0u);
}

/// Words of one layer's page.
SHARED_FUNCTION uint kv_page_words(uint key_format, uint value_format, uint n_kv_heads, uint head_dim) {
    return n_kv_heads * (kv_key_words(key_format, head_dim) + kv_value_words(value_format, head_dim));
}

SHARED_FUNCTION uint kv_key_base(uint key_format, uint head_dim, uint head) {
    return head * kv_key_words(key_format, head_dim);
}

SHARED_FUNCTION uint kv_value_base(uint key_format, uint value_format, uint n_kv_heads, uint head_dim, uint head) {
    return n_kv_heads * kv_key_words(key_format, head_dim) + head * kv_value_words(value_format, head_dim);
}
SHARED_END
#endif
