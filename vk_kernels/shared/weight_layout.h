// How weight matrices lie in device memory, for C++ and GLSL: rows interleaved by tiles of 32, four
// words of a row at a time, so that lanes on neighbouring rows load neighbouring 16 bytes whatever
// column they are at.
//
//   codes   [row tile][group of columns][unit][row in tile][4 words]
//   scales  [row tile][word][row in tile]
//
// A unit, the four words of a row, holds 4 columns of f32, 8 of f16 and bf16, 16 of Q8_0 (int8,
// column c in byte c). Codes of 2 to 6 bits are cut into planes, so that they take no more memory
// than in the file:
//
//            a unit       a word      columns 4 h .. 4 h + 3 of a word, in bytes 0 .. 3
//   fours    32 columns   8 columns   bits 4 h .. 4 h + 3   h = 0, 1
//   twos     64           16          bits 2 h, 2 h + 1     h = 0 .. 3
//   ones     128          32          bit h                 h = 0 .. 7
//
// So a shift and a mask take four columns from a plane, a byte each. Low bits come first: a code is
// fours, twos, fours | twos << 4, fours | ones << 4, or twos | ones << 2. A group is as wide as its
// widest unit; it holds fours, then twos, then ones.
//
//             units of a group   words of scales         bits a weight   in the file
//   Q2_K      twos               A, 4 of B per block     2.625           2.625
//   Q3_K      2 twos, ones       A, 4 of C per block     3.625           3.4375
//   MXFP4     fours              D per 128 columns       4.25            4.25
//   Q4_0      fours              E per 64 columns        4.5             4.5
//   IQ4_NL    fours              E per 64 columns        4.5             4.5
//   IQ4_XS    fours              F per 64 columns        4.5             4.25
//   Q4_K      fours              A, 4 of G per block     4.625           4.5
//   Q4_1      fours              H per 32 columns        5               5
//   Q5_0      4 fours, ones      E per 64 columns        5.5             5.5
//   Q5_K      4 fours, ones      A, 4 of G per block     5.625           5.5
//   Q5_1      4 fours, ones      H per 32 columns        6               6
//   Q6_K      2 fours, twos      A, 4 of C per block     6.625           6.5625
//   Q8_0      int8               E per 64 columns        8.5             8.5
//
//   A  f16 d | f16 dmin                          E  f16 d | f16 d of the next 32 columns
//   B  4-bit scale | 4-bit minimum, of 4 runs    F  int8 scale of 2 runs | f16 d
//   C  int8 scale of 4 runs                      G  byte scale of 2 runs | byte minimum of 2 runs
//   D  byte exponent of 4 runs                   H  f16 d | f16 m
//
// The first named lies in the lowest bits. Rows are padded with zeros to a whole tile, columns to a
// whole group and to whole words of scales. n_cols is a multiple of 8 and of the format's block.
#ifndef KVASIR_VK_KERNELS_SHARED_WEIGHT_LAYOUT_H
#define KVASIR_VK_KERNELS_SHARED_WEIGHT_LAYOUT_H
#include "quant/shared/quant_format.h"

SHARED_BEGIN
const uint kRowTile = 32;

// ---- codes ----

SHARED_FUNCTION bool weight_has_fours(uint format) {
    return format == kFormatQ4_0 || format == kFormatQ4_1 || format == kFormatQ5_0 ||
           format == kFormatQ5_1 || format == kFormatQ4_K || format == kFormatQ5_K ||
           format == kFormatQ6_K || format_has_codebook(format);
}
SHARED_FUNCTION bool weight_has_twos(uint format) {
    return format == kFormatQ2_K || format == kFormatQ3_K || format == kFormatQ6_K;
}
SHARED_FUNCTION bool weight_has_ones(uint format) {
    return format == kFormatQ5_0 || format == kFormatQ5_1 || format == kFormatQ3_K ||
           format == kFormatQ5_K;
}

/// Columns of a group's first unit: f32 to Q8_0, and fours.
SHARED_FUNCTION uint weight_unit_columns(uint format) {
    return format == kFormatF32 ? 4u
                                : ((format == kFormatF16 || format == kFormatBF16)
                                       ? 8u
                                       : (format == kFormatQ8_0 ? 16u : 32u));
}

SHARED_FUNCTION uint weight_group_columns(uint format) {
    return weight_has_ones(format) ? 128u
                                   : (weight_has_twos(format) ? 64u : weight_unit_columns(format));
}

SHARED_FUNCTION uint weight_group_units(uint format) {
    uint columns = weight_group_columns(format);
    uint planes = (weight_has_fours(format) ? columns / 32u : 0u) +
                  (weight_has_twos(format) ? columns / 64u : 0u) +
                  (weight_has_ones(format) ? 1u : 0u);
    return planes == 0u ? 1u : planes;
}

SHARED_FUNCTION uint weight_units(uint format, uint n_cols) {
    return (n_cols + weight_group_columns(format) - 1u) / weight_group_columns(format) *
           weight_group_units(format);
}

/// Unit, counted from a row's first, that column k lies in: of f32 to Q8_0 or fours, of twos, of
/// ones.
SHARED_FUNCTION uint weight_unit(uint format, uint k) {
    uint columns = weight_group_columns(format);
    return k / columns * weight_group_units(format) + k % columns / weight_unit_columns(format);
}
SHARED_FUNCTION uint weight_twos_unit(uint format, uint k) {
    uint columns = weight_group_columns(format);
    return k / columns * weight_group_units(format) +
           (weight_has_fours(format) ? columns / 32u : 0u) + k % columns / 64u;
}
SHARED_FUNCTION uint weight_ones_unit(uint format, uint k) {
    return (k / weight_group_columns(format) + 1u) * weight_group_units(format) - 1u;
}

/// Four-word unit of a row's first group, relative to the tensor's codes; the next unit lies
/// kRowTile units further.
SHARED_FUNCTION uint weight_codes_at(uint format, uint n_cols, uint row) {
    return row / kRowTile * weight_units(format, n_cols) * kRowTile + row % kRowTile;
}

SHARED_FUNCTION uint weight_code_words(uint format, uint n_cols, uint n_padded_rows) {
    return n_padded_rows * weight_units(format, n_cols) * 4u;
}

// ---- scales ----

const uint kScalesNone = 0;
const uint kScalesHalf = 1;         // d
const uint kScalesHalfMinimum = 2;  // d, m
const uint kScalesExponent = 3;     // MXFP4
const uint kScalesShort = 4;        // IQ4_XS
const uint kScalesSigned16 = 5;     // Q3_K, Q6_K: runs of 16
const uint kScalesMinimum16 = 6;    // Q2_K
const uint kScalesMinimum32 = 7;    // Q4_K, Q5_K

SHARED_FUNCTION uint weight_scales(uint format) {
    if (format == kFormatF32 || format == kFormatF16 || format == kFormatBF16) return kScalesNone;
    if (format == kFormatQ4_1 || format == kFormatQ5_1) return kScalesHalfMinimum;
    if (format == kFormatMXFP4) return kScalesExponent;
    if (format == kFormatIQ4_XS) return kScalesShort;
    if (format == kFormatQ3_K || format == kFormatQ6_K) return kScalesSigned16;
    if (format == kFormatQ2_K) return kScalesMinimum16;
    return format == kFormatQ4_K || format == kFormatQ5_K ? kScalesMinimum32 : kScalesHalf;
}

/// Word, counted from a row's first, of the scales of column k, a multiple of 64; of block formats,
/// of their d | dmin.
SHARED_FUNCTION uint weight_scale_word(uint format, uint k) {
    uint kind = weight_scales(format);
    if (kind == kScalesHalfMinimum) return k / 32u;
    if (kind == kScalesExponent) return k / 128u;
    return kind >= kScalesSigned16 ? k / 256u * 5u : k / 64u;
}

/// Words a row.
SHARED_FUNCTION uint weight_row_scales(uint format, uint n_cols) {
    uint columns = weight_scales(format) == kScalesExponent
                       ? 128u
                       : (weight_scales(format) >= kScalesSigned16 ? 256u : 64u);
    return weight_scales(format) == kScalesNone
               ? 0u
               : weight_scale_word(format, (n_cols + columns - 1u) / columns * columns);
}

/// First scale word of a row, relative to the tensor's scales; the next word lies kRowTile words
/// further.
SHARED_FUNCTION uint weight_scales_at(uint format, uint n_cols, uint row) {
    return row / kRowTile * weight_row_scales(format, n_cols) * kRowTile + row % kRowTile;
}

SHARED_FUNCTION uint weight_scale_words(uint format, uint n_cols, uint n_padded_rows) {
    return n_padded_rows * weight_row_scales(format, n_cols);
}
SHARED_END
#endif
