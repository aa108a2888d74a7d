// How weight matrices lie in device memory, for C++ and GLSL: rows interleaved by tiles of 32, so that lanes on
// neighbouring rows load neighbouring words whatever column they are at.
//
//   codes   [row tile][octet of columns][row in tile][words of an octet]
//   scales  [row tile][pair of blocks][row in tile]      f16 of the even block (low half) | of the odd block
//
// Rows are padded with zeros to a whole tile. n_cols is a multiple of 8, and of 32 for formats with block scales.
#ifndef KVASIR_VK_KERNELS_SHARED_WEIGHT_LAYOUT_H
#define KVASIR_VK_KERNELS_SHARED_WEIGHT_LAYOUT_H
#include "quant/shared/quant_format.h"

SHARED_BEGIN
const uint kRowTile = 32;

SHARED_FUNCTION bool weight_has_scales(uint format) { return format == kFormatQ8_0 || format == kFormatQ4_0; }

/// Words that eight neighbouring columns of a row take.
SHARED_FUNCTION uint weight_octet_words(uint format) {
    return format == kFormatF32 ? 8u : ((format == kFormatF16 || format == kFormatBF16) ? 4u : (format == kFormatQ8_0 ? 2u : 1u));
}

/// First code word of a row, relative to the tensor's codes.
SHARED_FUNCTION uint weight_codes_at(uint format, uint n_cols, uint row) {
    uint n = weight_octet_words(format);
    return (row / kRowTile * (n_cols / 8u) * kRowTile + row % kRowTile) * n;
}

/// First scale word of a row, relative to the tensor's scales.
SHARED_FUNCTION uint weight_scales_at(uint n_cols, uint row) {
    return row / kRowTile * ((n_cols + 63u) / 64u) * kRowTile + row % kRowTile;
}

SHARED_FUNCTION uint weight_code_words(uint format, uint n_cols, uint n_padded_rows) {
    return n_padded_rows * (n_cols / 8u) * weight_octet_words(format);
}

SHARED_FUNCTION uint weight_scale_words(uint format, uint n_cols, uint n_padded_rows) {
    return weight_has_scales(format) ? n_padded_rows * ((n_cols + 63u) / 64u) : 0u;
}
SHARED_END
#endif
