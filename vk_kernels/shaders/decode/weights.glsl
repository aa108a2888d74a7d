// Reading repacked weights eight at a time; one switch on kFormat, one case a format.
// Include after declaring `uint w[]` (the tensor's binding) and kFormat; drawing in vk_kernels/weight_layout.hpp.
#include "vk_kernels/shared/weight_layout.h"

// The f16 scale of the block of 32 that column k lies in; 1 for formats without. scales_at: from weight_scales_at().
float decode_scale(uint scales_at, uint k) {
    if (!weight_has_scales(kFormat)) return 1.0;
    vec2 pair = unpackHalf2x16(w[scales_at + k / 64 * kRowTile]);
    return (k / 32 & 1) == 0 ? pair.x : pair.y;
}

vec4 unpack_int8(uint word) {
    int v = int(word);
    return vec4(bitfieldExtract(v, 0, 8), bitfieldExtract(v, 8, 8), bitfieldExtract(v, 16, 8), bitfieldExtract(v, 24, 8));
}

vec4 unpack_int4(uint word) {
    return vec4(word & 15u, (word >> 4) & 15u, (word >> 8) & 15u, (word >> 12) & 15u) - 8.0;
}

// Columns k .. k + 7 of a row; codes_at: from weight_codes_at(); k is a multiple of 8.
void decode_octet(uint codes_at, uint k, float scale, out vec4 low, out vec4 high) {
    const uint n = weight_octet_words(kFormat);
    uint at = codes_at + k / 8 * kRowTile * n;
    switch (kFormat) {
        case kFormatF32:
            low = uintBitsToFloat(uvec4(w[at], w[at + 1], w[at + 2], w[at + 3]));
            high = uintBitsToFloat(uvec4(w[at + 4], w[at + 5], w[at + 6], w[at + 7]));
            break;
        case kFormatF16:
            low = vec4(unpackHalf2x16(w[at]), unpackHalf2x16(w[at + 1]));
            high = vec4(unpackHalf2x16(w[at + 2]), unpackHalf2x16(w[at + 3]));
            break;
        case kFormatBF16: {
            uvec4 v = uvec4(w[at], w[at + 1], w[at + 2], w[at + 3]);
            low = uintBitsToFloat(uvec4(v.x << 16, v.x & 0xffff0000u, v.y << 16, v.y & 0xffff0000u));
            high = uintBitsToFloat(uvec4(v.z << 16, v.z & 0xffff0000u, v.w << 16, v.w & 0xffff0000u));
            break;
        }
        case kFormatQ8_0: {
            precise vec4 a = unpack_int8(w[at]) * scale;
            precise vec4 b = unpack_int8(w[at + 1]) * scale;
            low = a;
            high = b;
            break;
        }
        default: {  // kFormatQ4_0
            uint v = w[at];
            precise vec4 a = unpack_int4(v) * scale;
            precise vec4 b = unpack_int4(v >> 16) * scale;
            low = a;
            high = b;
            break;
        }
    }
}
