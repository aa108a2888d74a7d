// Reading repacked weights: one switch on kFormat, one case a format; drawing in vk_kernels/shared/weight_layout.h.
// Include after declaring kFormat and two functions that read the tensor's binding:
//   uvec4 load_codes(uint unit)    four words
//   uint load_word(uint at)        one word
#include "vk_kernels/shared/weight_layout.h"

// The f16 scales of the blocks of 32 that columns k and k + 32 lie in, k a multiple of 64; 1 for formats without.
vec2 decode_scales(uint scales_at, uint k) {
    if (!weight_has_scales(kFormat)) return vec2(1.0);
    return unpackHalf2x16(load_word(scales_at + k / 64 * kRowTile));
}

vec4 unpack_int8(uint word) {
    int v = int(word);
    return vec4(bitfieldExtract(v, 0, 8), bitfieldExtract(v, 8, 8), bitfieldExtract(v, 16, 8), bitfieldExtract(v, 24, 8));
}

vec4 unpack_int4(uint word) {
    return vec4(word & 15u, (word >> 4) & 15u, (word >> 8) & 15u, (word >> 12) & 15u) - 8.0;
}

vec4 unpack_bf16(uint a, uint b) {
    return uintBitsToFloat(uvec4(a << 16, a & 0xffff0000u, b << 16, b & 0xffff0000u));
}

// Columns 8 o .. 8 o + 7 of a block of 32 that begins at column k; o is a constant after unrolling. codes: kept by the
// caller over the octets of a block, so that a group is loaded once.
void decode_octet(uint codes_at, uint k, uint o, float scale, inout uvec4 codes, out vec4 low, out vec4 high) {
    const uint columns = weight_group_columns(kFormat);
    if (o * 8 % columns == 0) codes = load_codes(codes_at + (k + o * 8) / columns * kRowTile);
    switch (kFormat) {
        case kFormatF32:
            low = uintBitsToFloat(codes);
            high = uintBitsToFloat(load_codes(codes_at + ((k + o * 8) / 4 + 1) * kRowTile));
            break;
        case kFormatF16:
            low = vec4(unpackHalf2x16(codes.x), unpackHalf2x16(codes.y));
            high = vec4(unpackHalf2x16(codes.z), unpackHalf2x16(codes.w));
            break;
        case kFormatBF16:
            low = unpack_bf16(codes.x, codes.y);
            high = unpack_bf16(codes.z, codes.w);
            break;
        case kFormatQ8_0: {
            precise vec4 a = unpack_int8(codes[o % 2 * 2]) * scale;
            precise vec4 b = unpack_int8(codes[o % 2 * 2 + 1]) * scale;
            low = a;
            high = b;
            break;
        }
        default: {  // kFormatQ4_0
            precise vec4 a = unpack_int4(codes[o]) * scale;
            precise vec4 b = unpack_int4(codes[o] >> 16) * scale;
            low = a;
            high = b;
            break;
        }
    }
}
