#include "vk_kernels/tensor.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace kvasir::gpu {
namespace {

constexpr std::uint64_t kStagingBytes = 16U << 20U;

}  // namespace

Result<Uploader> Uploader::create(Device& device, Recorder& recorder) {
    KVASIR_TRY(Buffer staging, Buffer::create(device, kStagingBytes, BufferDomain::upload));
    return Uploader(device, recorder, std::move(staging));
}

Result<> Uploader::upload(std::span<const std::byte> bytes, const Buffer& to,
                          std::uint64_t offset) {
    while (!bytes.empty()) {
        const std::size_t n = std::min<std::size_t>(bytes.size(), kStagingBytes);
        std::memcpy(staging_.mapped().data(), bytes.data(), n);
        KVASIR_TRY_VOID(recorder_.begin());
        recorder_.copy(staging_.slice(0, n), to.slice(offset, n));
        KVASIR_TRY_VOID(recorder_.submit_and_wait());
        bytes = bytes.subspan(n);
        offset += n;
    }
    return {};
}

Result<Matrix> Uploader::upload_matrix(const FormatInfo& format, std::uint32_t n_rows,
                                       std::uint32_t n_cols, const RowBytes& row_bytes,
                                       std::uint32_t unit_rows) {
    if (!can_repack(format)) {
        return Error{ErrorCode::unsupported,
                     fmt::format("weight format {}: no kernel reads it", format.name)};
    }
    if (n_rows == 0 || n_cols == 0 || n_cols % 8 != 0 || n_cols % format.block_elements != 0) {
        return Error{ErrorCode::unsupported,
                     fmt::format("matrix of {} x {} {}: columns must be a multiple of {}", n_rows,
                                 n_cols, format.name, std::max(8U, format.block_elements))};
    }
    Matrix matrix{.format = static_cast<std::uint32_t>(format.id),
                  .n_rows = n_rows,
                  .n_cols = n_cols,
                  .parts = {},
                  .stack_rows = 0};
    const std::uint64_t tile_bytes =
        4ULL * (shared::weight_code_words(matrix.format, n_cols, shared::kRowTile) +
                shared::weight_scale_words(matrix.format, n_cols, shared::kRowTile));
    const std::uint64_t unit_bytes = tile_bytes * (unit_rows / shared::kRowTile);
    const std::uint64_t max_units = device_.limits().max_binding_bytes / unit_bytes;
    if (max_units == 0) {
        return Error{ErrorCode::unsupported,
                     fmt::format("matrix of {} x {}: {} rows of {} bytes exceed a binding", n_rows,
                                 n_cols, unit_rows, unit_bytes)};
    }
    const auto part_rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(
        max_units * unit_rows,
        (n_rows + shared::kRowTile - 1) / shared::kRowTile * shared::kRowTile));
    std::vector<std::uint32_t> codes;
    std::vector<std::uint32_t> scales;
    for (std::uint32_t first = 0; first < n_rows; first += part_rows) {
        Matrix::Part part{.buffer = {},
                          .format = matrix.format,
                          .first_row = first,
                          .n_rows = std::min(part_rows, n_rows - first)};
        const std::uint32_t padded =
            (part.n_rows + shared::kRowTile - 1) / shared::kRowTile * shared::kRowTile;
        part.scales_offset = shared::weight_code_words(matrix.format, n_cols, padded);
        const std::uint64_t words = std::uint64_t{part.scales_offset} +
                                    shared::weight_scale_words(matrix.format, n_cols, padded);
        KVASIR_TRY(part.buffer, Buffer::create(device_, words * 4, BufferDomain::device));
        // A bounded band of rows at a time, so that loading needs little memory beside the mapped
        // file.
        const std::uint32_t band = std::max<std::uint32_t>(
            shared::kRowTile,
            static_cast<std::uint32_t>(kStagingBytes / tile_bytes) * shared::kRowTile);
        for (std::uint32_t r = 0; r < padded; r += band) {
            const std::uint32_t n = std::min(band, padded - r);
            codes.resize(shared::weight_code_words(matrix.format, n_cols, n));
            scales.resize(shared::weight_scale_words(matrix.format, n_cols, n));
            repack_rows(
                format, n_cols, 0, n,
                [&](std::uint32_t i) {
                    const std::uint32_t row = first + r + i;
                    return row < n_rows ? row_bytes(row) : std::span<const std::byte>();
                },
                codes, scales);
            KVASIR_TRY_VOID(upload(std::as_bytes(std::span(codes)), part.buffer,
                                   4ULL * shared::weight_code_words(matrix.format, n_cols, r)));
            KVASIR_TRY_VOID(upload(std::as_bytes(std::span(scales)), part.buffer,
                                   4ULL * (part.scales_offset +
                                           shared::weight_scale_words(matrix.format, n_cols, r))));
        }
        matrix.parts.push_back(std::move(part));
    }
    return matrix;
}

Result<Vector> Uploader::upload_vector(std::span<const float> values) {
    Vector vector{.buffer = {}, .n = static_cast<std::uint32_t>(values.size())};
    KVASIR_TRY(vector.buffer, Buffer::create(device_, values.size_bytes(), BufferDomain::device));
    KVASIR_TRY_VOID(upload(std::as_bytes(values), vector.buffer, 0));
    return vector;
}

}  // namespace kvasir::gpu
