#include "vk_kernels/weight_layout.hpp"

#include <algorithm>
#include <cstring>

#include "config/base/check.hpp"

namespace kvasir::gpu {
namespace {

std::uint32_t byte_at(std::span<const std::byte> bytes, std::size_t i) {
    return std::to_integer<std::uint32_t>(bytes[i]);
}

/// The four words of one group of columns, k = first column. Bytes past the row's end stay zero.
void repack_group(std::uint32_t format, std::span<const std::byte> row, std::uint32_t k,
                  std::uint32_t* out) {
    switch (format) {
        case shared::kFormatQ8_0: {  // 34 bytes a block: f16 scale, 32 int8
            std::memcpy(out, row.data() + k / 32 * 34 + 2 + k % 32, 16);
            return;
        }
        case shared::kFormatQ4_0: {  // 18 bytes a block: f16 scale, 16 bytes; byte i: element i
                                     // low, element i + 16 high
            const std::size_t block = k / 32 * 18 + 2;
            for (std::uint32_t e = 0; e < 32; ++e) {
                const std::uint32_t byte = byte_at(row, block + e % 16);
                out[e / 8] |= (e < 16 ? byte & 15U : byte >> 4) << (4 * (e % 8));
            }
            return;
        }
        case shared::kFormatF32: std::memcpy(out, row.data() + std::size_t{k} * 4, 16); return;
        default: std::memcpy(out, row.data() + std::size_t{k} * 2, 16); return;  // F16, BF16
    }
}

std::uint32_t scale_bits(std::span<const std::byte> row, std::uint32_t block,
                         std::uint32_t block_bytes) {
    const std::size_t at = std::size_t{block} * block_bytes;
    return byte_at(row, at) | (byte_at(row, at + 1) << 8);
}

}  // namespace

bool can_repack(const FormatInfo& format) {
    switch (static_cast<std::uint32_t>(format.id)) {
        case shared::kFormatF32:
        case shared::kFormatF16:
        case shared::kFormatBF16:
        case shared::kFormatQ8_0:
        case shared::kFormatQ4_0: return true;
        default: return false;
    }
}

void repack_rows(const FormatInfo& format, std::uint32_t n_cols, std::uint32_t first,
                 std::uint32_t n_rows, const RowBytes& row_bytes, std::span<std::uint32_t> codes,
                 std::span<std::uint32_t> scales) {
    KVASIR_CHECK(n_rows % shared::kRowTile == 0 && n_cols % 8 == 0,
                 "rows come in whole tiles, columns in octets");
    const auto id = static_cast<std::uint32_t>(format.id);
    const std::uint32_t columns = shared::weight_group_columns(id);
    const bool has_scales = shared::weight_has_scales(id);
    const std::uint32_t n_blocks = has_scales ? n_cols / shared::kBlockElements : 0;
    std::fill(codes.begin(), codes.end(),
              0U);  // not memset: formats without scales have no address for them
    std::fill(scales.begin(), scales.end(), 0U);
    for (std::uint32_t r = 0; r < n_rows; ++r) {
        const std::span<const std::byte> row = row_bytes(first + r);
        if (row.empty()) continue;
        std::uint32_t* code =
            codes.data() + std::size_t{4} * shared::weight_codes_at(id, n_cols, r);
        for (std::uint32_t k = 0; k < n_cols; k += columns) {
            repack_group(id, row, k, code + std::size_t{4} * (k / columns) * shared::kRowTile);
        }
        const std::size_t scale_at = shared::weight_scales_at(n_cols, r);
        for (std::uint32_t b = 0; b < n_blocks; ++b) {
            scales[scale_at + b / 2 * shared::kRowTile] |= scale_bits(row, b, format.block_bytes)
                                                           << (16 * (b % 2));
        }
    }
}

}  // namespace kvasir::gpu
