#include "vk_kernels/weight_layout.hpp"

#include <algorithm>
#include <cstring>

#include "config/base/check.hpp"

namespace kvasir::gpu {
namespace {

/// A row's place in the interleaved codes: units and words by their number in the row.
struct RowCodes {
    std::uint32_t* first;
    std::uint32_t& word(std::uint32_t unit, std::uint32_t word) const {
        return first[std::size_t{4} * unit * shared::kRowTile + word];
    }
};

/// A row's place in the interleaved scales.
struct RowScales {
    std::uint32_t* first;
    std::uint32_t& word(std::uint32_t index) const {
        return first[std::size_t{index} * shared::kRowTile];
    }
};

std::uint32_t bits(std::int8_t value) {
    return static_cast<std::uint8_t>(value);
}

/// F32, F16, BF16: 16 bytes a unit, as in the file. Bytes past the row's end stay zero: n_cols is a
/// multiple of 8.
void repack_floats(const FormatInfo& format, std::span<const std::byte> row, const RowCodes& out) {
    for (std::size_t at = 0; at < row.size(); at += 16) {
        const auto k = static_cast<std::uint32_t>(at / format.block_bytes);
        std::memcpy(&out.word(shared::weight_unit(static_cast<std::uint32_t>(format.id), k), 0),
                    row.data() + at, 16);
    }
}

/// Adds 32 codes, columns k .. k + 31, to a row's planes.
void pack_planes(std::uint32_t format, const std::uint8_t* codes, std::uint32_t k,
                 const RowCodes& out) {
    for (std::uint32_t q = 0; q < 8; ++q) {
        std::uint32_t quad = 0;  // four codes, a byte each
        std::memcpy(&quad, codes + std::size_t{4} * q, 4);
        if (format == shared::kFormatQ8_0) {
            out.word(shared::weight_unit(format, k + 4 * q), q % 4) = quad;
            continue;
        }
        if (shared::weight_has_fours(format)) {
            out.word(shared::weight_unit(format, k), q / 2) |= (quad & 0x0f0f0f0fU) << (q % 2 * 4);
            quad >>= 4U;
        }
        if (shared::weight_has_twos(format)) {
            out.word(shared::weight_twos_unit(format, k), k % 64 / 32 * 2 + q / 4) |=
                (quad & 0x03030303U) << (q % 4 * 2);
            quad >>= 2U;
        }
        if (shared::weight_has_ones(format)) {
            out.word(shared::weight_ones_unit(format, k), k % 128 / 32) |= (quad & 0x01010101U)
                                                                           << q;
        }
    }
}

/// Four words of the runs' integers, one for 64 columns.
void pack_factors(std::uint32_t kind, const CodedBlock& block, std::uint32_t first,
                  const RowScales& out) {
    for (std::size_t p = 0; p < 4; ++p) {
        std::uint32_t word = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            const std::size_t run = 4 * p + i;
            std::uint32_t byte = bits(block.factors[run]);
            if (kind == shared::kScalesMinimum16)
                byte |= std::uint32_t{block.min_factors[run]} << 4U;
            if (kind == shared::kScalesMinimum32) {
                byte = i < 2 ? bits(block.factors[2 * p + i]) : block.min_factors[2 * p + i - 2];
            }
            word |= byte << (8 * i);
        }
        out.word(first + static_cast<std::uint32_t>(p)) = word;
    }
}

/// Adds a block's scales, of the columns from k on, to a row's.
void pack_scales(std::uint32_t format, const CodedBlock& block, std::uint32_t k,
                 const RowScales& out) {
    const std::uint32_t kind = shared::weight_scales(format);
    const std::uint32_t at = shared::weight_scale_word(format, k);
    switch (kind) {
        case shared::kScalesHalf:
            out.word(at) |= std::uint32_t{block.scale} << (k % 64 / 32 * 16);
            return;
        case shared::kScalesHalfMinimum:
            out.word(at) = block.scale | std::uint32_t{block.minimum} << 16U;
            return;
        case shared::kScalesExponent:
            out.word(at) |= std::uint32_t{block.scale} << (k % 128 / 32 * 8);
            return;
        case shared::kScalesShort:
            for (std::uint32_t p = 0; p < 4; ++p)
                out.word(at + p) = bits(block.factors[2 * p]) |
                                   bits(block.factors[2 * p + 1]) << 8U |
                                   std::uint32_t{block.scale} << 16U;
            return;
        default:
            out.word(at) = block.scale;
            if (kind != shared::kScalesSigned16)
                out.word(at) |= std::uint32_t{block.minimum} << 16U;
            pack_factors(kind, block, at + 1, out);
            return;
    }
}

void repack_blocks(const FormatInfo& format, std::span<const std::byte> row, const RowCodes& codes,
                   const RowScales& scales) {
    const auto id = static_cast<std::uint32_t>(format.id);
    CodedBlock block;
    std::uint32_t k = 0;
    for (std::size_t at = 0; at < row.size(); at += format.block_bytes) {
        format.read_block(row.subspan(at, format.block_bytes), block);
        pack_scales(id, block, k, scales);
        for (std::uint32_t e = 0; e < format.block_elements; e += 32)
            pack_planes(id, block.codes.data() + e, k + e, codes);
        k += format.block_elements;
    }
}

}  // namespace

bool can_repack(const FormatInfo& format) {
    switch (static_cast<std::uint32_t>(format.id)) {
        case shared::kFormatF32:
        case shared::kFormatF16:
        case shared::kFormatBF16: return true;
        default: return format.read_block != nullptr;
    }
}

void repack_rows(const FormatInfo& format, std::uint32_t n_cols, std::uint32_t first,
                 std::uint32_t n_rows, const RowBytes& row_bytes, std::span<std::uint32_t> codes,
                 std::span<std::uint32_t> scales) {
    KVASIR_CHECK(n_rows % shared::kRowTile == 0 && n_cols % 8 == 0,
                 "rows come in whole tiles, columns in octets");
    const auto id = static_cast<std::uint32_t>(format.id);
    std::fill(codes.begin(), codes.end(),
              0U);  // not memset: formats without scales have no address for them
    std::fill(scales.begin(), scales.end(), 0U);
    for (std::uint32_t r = 0; r < n_rows; ++r) {
        const std::span<const std::byte> row = row_bytes(first + r);
        if (row.empty()) continue;
        const RowCodes row_codes{codes.data() +
                                 std::size_t{4} * shared::weight_codes_at(id, n_cols, r)};
        if (format.read_block == nullptr) {
            repack_floats(format, row, row_codes);
        } else {
            repack_blocks(format, row, row_codes,
                          {scales.data() + shared::weight_scales_at(id, n_cols, r)});
        }
    }
}

}  // namespace kvasir::gpu
