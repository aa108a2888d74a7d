// Reading repacked weights: drawing in vk_kernels/shared/weight_layout.h. What a format is, is constant: its switches and
// its planes are decided when the pipeline is made.
// Include after declaring kFormat and two functions that read the tensor's binding:
//   uvec4 load_codes(uint unit)    four words
//   uint load_word(uint at)        one word
#include "vk_kernels/shared/weight_layout.h"

// Of the four runs of 16 in 64 columns: value = scale * (code - offset) + minimum.
struct WeightScales {
    vec4 scale;
    vec4 minimum;
};

// What a caller keeps of a row from one block of 32 columns to the next.
struct WeightCodes {
    uvec4 unit;  // f32 to Q8_0, fours
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

// The scales of columns k .. k + 63, k a multiple of 64.
WeightScales load_scales(uint scales_at, uint k) {
    const uint kind = weight_scales(kFormat);
    vec4 scale = vec4(1.0);
    vec4 minimum = vec4(0.0);
    if (kind == kScalesNone) return WeightScales(scale, minimum);
    const uint at = scales_at + weight_scale_word(kFormat, k) * kRowTile;
    const uint word = load_word(at);
    vec2 halves = unpackHalf2x16(word);
    if (kind == kScalesHalf) {
        scale = halves.xxyy;
    } else if (kind == kScalesHalfMinimum) {
        vec2 next = unpackHalf2x16(load_word(at + kRowTile));
        scale = vec4(halves.xx, next.xx);
        minimum = vec4(halves.yy, next.yy);
    } else if (kind == kScalesExponent) {
        uint pair = word >> (k % 128 / 64 * 16);
        scale = vec2(format_exponent_scale(pair & 255u), format_exponent_scale((pair >> 8) & 255u)).xxyy;
    } else if (kind == kScalesShort) {
        precise vec2 product = halves.y * unpack_int8(word).xy;
        scale = product.xxyy;
    } else {
        const uint factors = load_word(at + (1 + k % 256 / 64) * kRowTile);
        precise vec4 product;
        precise vec4 product_min = vec4(0.0);
        if (kind == kScalesSigned16) {
            product = halves.x * unpack_int8(factors);
        } else if (kind == kScalesMinimum16) {
            product = halves.x * unpack_uint8(factors & 0x0f0f0f0fu);
            product_min = -halves.y * unpack_uint8((factors >> 4) & 0x0f0f0f0fu);
        } else {  // kScalesMinimum32
            product = halves.x * unpack_uint8(factors).xxyy;
            product_min = -halves.y * unpack_uint8(factors).zzww;
        }
        scale = product;
        minimum = product_min;
    }
    return WeightScales(scale, minimum);
}

// Loads what reaches beyond a block of 32 columns that begins at column k; is_first: the row's last loads are another place's.
void load_planes(uint codes_at, uint k, bool is_first, inout WeightCodes codes) {
    if (weight_has_twos(kFormat) && (is_first || k % 64 == 0)) codes.twos = load_codes(codes_at + weight_twos_unit(kFormat, k) * kRowTile);
    if (weight_has_ones(kFormat) && (is_first || k % 128 == 0)) codes.ones = load_codes(codes_at + weight_ones_unit(kFormat, k) * kRowTile);
}

// The codes of columns 4 q .. 4 q + 3 of the block of 32 at column k, a byte each.
uint plane_codes(uint k, uint q, WeightCodes codes) {
    uint word = 0u;
    if (weight_has_fours(kFormat)) word = (codes.unit[q / 2] >> (q % 2 * 4)) & 0x0f0f0f0fu;
    if (weight_has_twos(kFormat)) {
        uint twos = k % 64 == 0 ? codes.twos[q / 4] : codes.twos[2 + q / 4];
        word |= ((twos >> (q % 4 * 2)) & 0x03030303u) << (weight_has_fours(kFormat) ? 4 : 0);
    }
    if (weight_has_ones(kFormat)) {
        uint ones = codes.ones[k % 128 / 32];
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
void decode_octet(uint codes_at, uint k, uint o, WeightScales scales, inout WeightCodes codes, out vec4 low, out vec4 high) {
    const uint columns = weight_unit_columns(kFormat);
    if ((weight_has_fours(kFormat) || !weight_has_twos(kFormat)) && o * 8 % columns == 0)
        codes.unit = load_codes(codes_at + weight_unit(kFormat, k + o * 8) * kRowTile);
    const float scale = k % 64 == 0 ? scales.scale[o / 2] : scales.scale[2 + o / 2];
    const float minimum = k % 64 == 0 ? scales.minimum[o / 2] : scales.minimum[2 + o / 2];
    switch (kFormat) {
        case kFormatF32:
            low = uintBitsToFloat(codes.unit);
            high = uintBitsToFloat(load_codes(codes_at + weight_unit(kFormat, k + o * 8 + 4) * kRowTile));
            break;
        case kFormatF16:
            low = vec4(unpackHalf2x16(codes.unit.x), unpackHalf2x16(codes.unit.y));
            high = vec4(unpackHalf2x16(codes.unit.z), unpackHalf2x16(codes.unit.w));
            break;
        case kFormatBF16:
            low = unpack_bf16(codes.unit.x, codes.unit.y);
            high = unpack_bf16(codes.unit.z, codes.unit.w);
            break;
        case kFormatQ8_0:
            low = scaled(unpack_int8(codes.unit[o % 2 * 2]), scale, minimum);
            high = scaled(unpack_int8(codes.unit[o % 2 * 2 + 1]), scale, minimum);
            break;
        default:
            low = scaled(code_values(plane_codes(k, 2 * o, codes)), scale, minimum);
            high = scaled(code_values(plane_codes(k, 2 * o + 1, codes)), scale, minimum);
            break;
    }
}
