// Weight formats: ids, block geometry, and what a code stands for, for C++ and GLSL.
//
//   value = scale * (code_value - offset) + minimum, all in f32
//
// A scale and a minimum belong to a run of 16 or 32 elements. The K formats and IQ4_XS make them of
// an f16 a block of 256 and an integer a run, whose product is exact in f32.
#ifndef KVASIR_QUANT_SHARED_QUANT_FORMAT_H
#define KVASIR_QUANT_SHARED_QUANT_FORMAT_H
#include "config/base/glsl_shared.h"

SHARED_BEGIN
// Ids are the GGUF tensor type numbers. Source: ggml/include/ggml.h, enum ggml_type.
const uint kFormatF32 = 0;
const uint kFormatF16 = 1;
const uint kFormatQ4_0 = 2;
const uint kFormatQ4_1 = 3;
const uint kFormatQ5_0 = 6;
const uint kFormatQ5_1 = 7;
const uint kFormatQ8_0 = 8;
const uint kFormatQ2_K = 10;
const uint kFormatQ3_K = 11;
const uint kFormatQ4_K = 12;
const uint kFormatQ5_K = 13;
const uint kFormatQ6_K = 14;
const uint kFormatIQ4_NL = 20;
const uint kFormatIQ4_XS = 23;
const uint kFormatBF16 = 30;
const uint kFormatMXFP4 = 39;

const uint kBlockElements = 32;        // of every block format but those of 256
const uint kSuperBlockElements = 256;  // of the K formats and IQ4_XS

/// What is subtracted from a code, of formats whose codes are unsigned numbers around it.
SHARED_FUNCTION uint format_code_offset(uint format) {
    if (format == kFormatQ4_0) return 8u;
    if (format == kFormatQ5_0) return 16u;
    if (format == kFormatQ3_K) return 4u;
    return format == kFormatQ6_K ? 32u : 0u;
}

SHARED_FUNCTION bool format_has_codebook(uint format) {
    return format == kFormatIQ4_NL || format == kFormatIQ4_XS || format == kFormatMXFP4;
}

// The codebook of IQ4_NL and IQ4_XS, entry i in byte i % 4 of word i / 4, signed: -127 -104 -83
// -65, -49 -35 -22 -10, 1 13 25 38, 53 69 89 113. Source: kvalues_iq4nl, ggml/src/ggml-common.h.
const uint kIq4Values0 = 0xbfad9881u;
const uint kIq4Values1 = 0xf6eaddcfu;
const uint kIq4Values2 = 0x26190d01u;
const uint kIq4Values3 = 0x71594535u;

// MXFP4 (e2m1, doubled): 0 1 2 3 4 6 8 12, nibble i for codes i and i + 8; the upper eight are
// negative. Source: OCP Microscaling Formats 1.0, section 5.3.3; kvalues_mxfp4,
// ggml/src/ggml-common.h.
const uint kMxfp4Magnitudes = 0xc8643210u;

/// The number that a 4-bit code stands for. REQUIRES: format_has_codebook(format); code < 16.
SHARED_FUNCTION int format_codebook_value(uint format, uint code) {
    if (format == kFormatMXFP4) {
        int magnitude = int((kMxfp4Magnitudes >> (4u * (code & 7u))) & 15u);
        return (code & 8u) != 0u ? -magnitude : magnitude;
    }
    uint low = (code & 4u) != 0u ? kIq4Values1 : kIq4Values0;
    uint high = (code & 4u) != 0u ? kIq4Values3 : kIq4Values2;
    return int(((code & 8u) != 0u ? high : low) << (24u - 8u * (code & 3u))) >> 24;
}

/// MXFP4's scale, 2^(e - 128): half of 2^(e - 127), since the codebook is doubled. 255, by the
/// specification a NaN, is the next power of two, as in ggml_e8m0_to_fp32_half,
/// ggml/src/ggml-impl.h.
SHARED_FUNCTION float format_exponent_scale(uint e) {
    return uintBitsToFloat(e < 2u ? 0x00200000u << e : (e - 1u) << 23);
}
SHARED_END
#endif
