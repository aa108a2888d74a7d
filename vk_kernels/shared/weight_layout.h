// How weight matrices lie in device memory, for C++ and GLSL: rows interleaved by tiles of 32, four words of a row at a
// time, so that lanes on neighbouring rows load neighbouring 16 bytes whatever column they are at.
//
//   codes   [row tile][group of columns][row in tile][4 words]      a group: the columns that 4 words of a row hold
//   scales  [row tile][pair of blocks][row in tile][1 word]         f16 of the even block (low half) | of the odd block
//
// Words of a group: f32 4 columns; f16, bf16 8; Q8_0 16 (int8, column c in byte c); Q4_0 32 (column c in nibble c).
// Rows are padded with zeros to a whole tile, columns to a whole group. n_cols is a multiple of 8, and of 32 for formats
// with block scales.
#ifndef KVASIR_VK_KERNELS_SHARED_WEIGHT_LAYOUT_H
#define KVASIR_VK_KERNELS_SHARED_WEIGHT_LAYOUT_H
#include "quant/shared/quant_format.h"

SHARED_BEGIN
const uint kRowTile = 32;

SHARED_FUNCTION bool weight_has_scales(uint format) { return format == kFormatQ8_0 || format == kFormatQ4_0; }

/// Columns of a group.
SHARED_FUNCTION uint weight_group_columns(uint format) {
    return format == kFormatF32 ? 4u : ((format == kFormatF16 || format == kFormatBF16) ? 8u : (format == kFormatQ8_0 ? 16u : 32u));
}

SHARED_FUNCTION uint weight_groups(uint format, uint n_cols) {
    return (n_cols + weight_group_columns(format) - 1u) / weight_group_columns(format);
}

/// Four-word unit of a row's first group, relative to the tensor's codes; the next group lies kRowTile units further.
SHARED_FUNCTION uint weight_codes_at(uint format, uint n_cols, uint row) {
    return row / kRowTile * weight_groups(format, n_cols) * kRowTile + row % kRowTile;
}

/// First scale word of a row, relative to the tensor's scales; the next pair of blocks lies kRowTile words further.
SHARED_FUNCTION uint weight_scales_at(uint n_cols, uint row) {
    return row / kRowTile * ((n_cols + 63u) / 64u) * kRowTile + row % kRowTile;
}

SHARED_FUNCTION uint weight_code_words(uint format, uint n_cols, uint n_padded_rows) {
    return n_padded_rows * weight_groups(format, n_cols) * 4u;
}

SHARED_FUNCTION uint weight_scale_words(uint format, uint n_cols, uint n_padded_rows) {
    return weight_has_scales(format) ? n_padded_rows * ((n_cols + 63u) / 64u) : 0u;
}
SHARED_END
#endif
