// f16 <-> f32 on bit patterns, round to nearest even: one integer routine for C++ and GLSL, because packHalf2x16 may
// round either way and some devices flush f16 denormals.
#ifndef KVASIR_CONFIG_BASE_HALF_BITS_H
#define KVASIR_CONFIG_BASE_HALF_BITS_H
#include "config/base/glsl_shared.h"

SHARED_BEGIN
SHARED_FUNCTION float f16_bits_to_f32(uint h) {
    uint sign_bits = (h & 0x8000u) << 16;
    uint exponent = (h >> 10) & 0x1fu;
    uint mantissa = h & 0x3ffu;
    uint normal = ((exponent + 112u) << 23) | (mantissa << 13);
    uint special = 0x7f800000u | (mantissa << 13);
    uint denormal = floatBitsToUint(float(mantissa) * 5.9604644775390625e-8f);  // 2^-24: exact
    return uintBitsToFloat(sign_bits | (exponent == 0x1fu ? special : (exponent == 0u ? denormal : normal)));
}

SHARED_FUNCTION uint f32_to_f16_bits(float value) {
    uint bits = floatBitsToUint(value);
    uint sign_bits = (bits >> 16) & 0x8000u;
    uint magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return sign_bits | 0x7e00u;   // NaN
    if (magnitude >= 0x477ff000u) return sign_bits | 0x7c00u;  // rounds to infinity
    if (magnitude < 0x33000001u) return sign_bits;             // rounds to zero
    uint biased = magnitude >> 23;                             // 102 .. 142
    uint mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    uint lost = biased < 113u ? 126u - biased : 13u;           // denormals lose more bits
    uint base = biased < 113u ? 0u : (biased - 113u) << 10;
    uint kept = mantissa >> lost;
    uint rest = mantissa & ((1u << lost) - 1u);
    uint half_way = 1u << (lost - 1u);
    uint up = (rest > half_way || (rest == half_way && (kept & 1u) == 1u)) ? 1u : 0u;
    return sign_bits | (base + kept + up);
}
SHARED_END
#endif
