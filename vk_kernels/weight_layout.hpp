// Repacking of weight rows from a file's blocks to the device layout drawn in
// shared/weight_layout.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "quant/format.hpp"
#include "vk_kernels/shared/weight_layout.h"

namespace kvasir::gpu {

/// The file's bytes of a row; empty for a row of padding.
using RowBytes = std::function<std::span<const std::byte>(std::uint32_t row)>;

bool can_repack(const FormatInfo& format);

/// Repacks rows first .. first + n_rows (n_rows a multiple of kRowTile, first too) into codes and
/// scales, which start at those rows. Sizes: weight_code_words and weight_scale_words of n_rows.
/// REQUIRES: can_repack(format); n_cols a multiple of 8 and of the format's block.
void repack_rows(const FormatInfo& format, std::uint32_t n_cols, std::uint32_t first,
                 std::uint32_t n_rows, const RowBytes& row_bytes, std::span<std::uint32_t> codes,
                 std::span<std::uint32_t> scales);

}  // namespace kvasir::gpu
