// Reading repacked weights: drawing in vk_kernels/shared/weight_layout.h. What a format is, is constant: its switches and
// its planes are decided when the pipeline is made.
// Include after declaring kFormat and two functions that read the tensor's binding:
//   uvec4 load_codes(uint unit)    four words
//   uint load_word(uint at)        one word
#include "vk_kernels/shared/weight_layout.h"

// Of the two runs of 16 in a block of 32 columns: value = scale * (code - offset) + minimum.
struct BlockScales {
    vec2 scale;
    vec2 minimum;
};

// What a caller keeps of a row from one block of 32 columns to the next.
struct WidePlanes {
    uvec4 twos;
    uvec4 ones;
};

vec4 unpack_int8(uint word) {
    int v = int(word);
    return vec4(bitfieldExtract(v, 0, 8), bitfieldExtract(v, 8, 8), bitfieldExtract(v, 16, 8), bitfieldExtract(v, 24, 8));
}

vec4 unpack_uint8(uint word) {
    return vec4(ivec4(word & 255u, (word >> 8) & 255u, (word >> 16) & 255u, word >> 24));
}

vec4 unpack_bf16(uint a, uint b) {
    return uintBitsToFloat(uvec4(a << 16, a & 0xffff0000u, b << 16, b & 0xffff0000u));
}

// The words that the scales of columns k .. k + 63 are made of, k a multiple of 64.
uvec2 load_scales(uint scales_at, uint k) {
    const uint kind = weight_scales(kFormat);
    if (kind == kScalesNone) return uvec2(0u);
    const uint at = scales_at + weight_scale_word(kFormat, k) * kRowTile;
    uvec2 words = uvec2(load_word(at), 0u);
    if (kind == kScalesHalfMinimum) words.y = load_word(at + kRowTile);
    if (kind >= kScalesSigned16) words.y = load_word(at + (1 + k % 256 / 64) * kRowTile);
    return words;
}

// The scales of the block of 32 that begins at column k, of the words loaded for it.
BlockScales decode_scales(uvec2 words, uint k) {
    const bool is_even = k % 64 == 0;
    BlockScales s = BlockScales(vec2(1.0), vec2(0.0));
    precise vec2 product;
    switch (weight_scales(kFormat)) {
        case kScalesNone:
            break;
        case kScalesHalf:
            s.scale = unpackHalf2x16(is_even ? words.x : words.x >> 16).xx;
            break;
        case kScalesHalfMinimum: {
            vec2 halves = unpackHalf2x16(is_even ? words.x : words.y);
            s = BlockScales(halves.xx, halves.yy);
            break;
        }
        case kScalesExponent:
            s.scale = vec2(format_exponent_scale((words.x >> (k % 128 / 32 * 8)) & 255u));
            break;
        case kScalesShort:
            product = unpackHalf2x16(words.x).yy * float(bitfieldExtract(int(is_even ? words.x : words.x >> 8), 0, 8));
            s.scale = product;
            break;
        case kScalesSigned16: {
            int factors = int(is_even ? words.y : words.y >> 16);
            product = unpackHalf2x16(words.x).xx * vec2(bitfieldExtract(factors, 0, 8), bitfieldExtract(factors, 8, 8));
            s.scale = product;
            break;
        }
        case kScalesMinimum16: {
            int factors = int(is_even ? words.y : words.y >> 16);
            product = unpackHalf2x16(words.x).xx * vec2(ivec2(factors & 15, (factors >> 8) & 15));
            s.scale = product;
            product = -unpackHalf2x16(words.x).yy * vec2(ivec2((factors >> 4) & 15, (factors >> 12) & 15));
            s.minimum = product;
            break;
        }
        default: {  // kScalesMinimum32
            int factors = int(is_even ? words.y : words.y >> 8);
            product = unpackHalf2x16(words.x) * vec2(ivec2(factors & 255, (factors >> 16) & 255));
            s = BlockScales(product.xx, -product.yy);
            break;
        }
    }
    return s;
}

// Loads what reaches beyond a block of 32 columns that begins at column k; is_first: the row's last loads are another place's.
void load_planes(uint codes_at, uint k, bool is_first, inout WidePlanes planes) {
    if (weight_has_twos(kFormat) && (is_first || k % 64 == 0)) planes.twos = load_codes(codes_at + weight_twos_unit(kFormat, k) * kRowTile);
    if (weight_has_ones(kFormat) && (is_first || k % 128 == 0)) planes.ones = load_codes(codes_at + weight_ones_unit(kFormat, k) * kRowTile);
}

// The codes of columns 4 q .. 4 q + 3 of the block of 32 at column k, a byte each.
uint plane_codes(uint k, uint q, uvec4 codes, WidePlanes planes) {
    uint word = 0u;
    if (weight_has_fours(kFormat)) word = (codes[q / 2] >> (q % 2 * 4)) & 0x0f0f0f0fu;
    if (weight_has_twos(kFormat)) {
        uint twos = k % 64 == 0 ? planes.twos[q / 4] : planes.twos[2 + q / 4];
        word |= ((twos >> (q % 4 * 2)) & 0x03030303u) << (weight_has_fours(kFormat) ? 4 : 0);
    }
    if (weight_has_ones(kFormat)) {
        uint ones = planes.ones[k % 128 / 32];
        word |= ((ones >> q) & 0x01010101u) << (weight_has_fours(kFormat) ? 4 : 2);
    }
    return word;
}

// (code - offset) of four codes, a byte each.
vec4 code_values(uint word) {
    if (!format_has_codebook(kFormat)) return unpack_uint8(word) - float(format_code_offset(kFormat));
    return vec4(format_codebook_value(kFormat, word & 15u), format_codebook_value(kFormat, (word >> 8) & 15u),
                format_codebook_value(kFormat, (word >> 16) & 15u), format_codebook_value(kFormat, word >> 24));
}

vec4 scaled(vec4 values, float scale, float minimum) {
    const uint kind = weight_scales(kFormat);
    precise vec4 result = values * scale;
    if (kind == kScalesHalfMinimum || kind == kScalesMinimum16 || kind == kScalesMinimum32) result = result + minimum;
    return result;
}

// Columns 8 o .. 8 o + 7 of a block of 32 that begins at column k; o is a constant after unrolling. codes: kept by the
// caller over the octets of a block, so that a unit is loaded once.
void decode_octet(uint codes_at, uint k, uint o, BlockScales scales, WidePlanes planes, inout uvec4 codes, out vec4 low,
                  out vec4 high) {
    const uint columns = weight_unit_columns(kFormat);
    if ((weight_has_fours(kFormat) || !weight_has_twos(kFormat)) && o * 8 % columns == 0)
        codes = load_codes(codes_at + weight_unit(kFormat, k + o * 8) * kRowTile);
    const float scale = scales.scale[o / 2];
    const float minimum = scales.minimum[o / 2];
    switch (kFormat) {
        case kFormatF32:
            low = uintBitsToFloat(codes);
            high = uintBitsToFloat(load_codes(codes_at + weight_unit(kFormat, k + o * 8 + 4) * kRowTile));
            break;
        case kFormatF16:
            low = vec4(unpackHalf2x16(codes.x), unpackHalf2x16(codes.y));
            high = vec4(unpackHalf2x16(codes.z), unpackHalf2x16(codes.w));
            break;
        case kFormatBF16:
            low = unpack_bf16(codes.x, codes.y);
            high = unpack_bf16(codes.z, codes.w);
            break;
        case kFormatQ8_0:
            low = scaled(unpack_int8(codes[o % 2 * 2]), scale, minimum);
            high = scaled(unpack_int8(codes[o % 2 * 2 + 1]), scale, minimum);
            break;
        default:
            low = scaled(code_values(plane_codes(k, 2 * o, codes, planes)), scale, minimum);
            high = scaled(code_values(plane_codes(k, 2 * o + 1, codes, planes)), scale, minimum);
            break;
    }
}
