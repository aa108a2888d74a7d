// Random weight matrices of any format, beside the floats that the reference decoder reads from
// them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "quant/format.hpp"
#include "tests/support/gpu_fixture.hpp"
#include "tests/support/random_block.hpp"
#include "vk_kernels/tensor.hpp"
#include "vk_kernels/weight_layout.hpp"

namespace kvasir::gpu {

/// Formats that kernels read. Whoever adds one gets its tests unasked.
inline std::vector<const FormatInfo*> kernel_formats() {
    std::vector<const FormatInfo*> formats;
    for (const FormatInfo& format : all_formats())
        if (can_repack(format)) formats.push_back(&format);
    return formats;
}

inline bool fits(const FormatInfo& format, std::uint32_t n_cols) {
    return n_cols % format.block_elements == 0;
}

/// n_cols, or the next width that the format's blocks fill.
inline std::uint32_t whole_blocks(const FormatInfo& format, std::uint32_t n_cols) {
    return (n_cols + format.block_elements - 1) / format.block_elements * format.block_elements;
}

struct TestMatrix {
    const FormatInfo* format;
    std::uint32_t n_rows;
    std::uint32_t n_cols;
    std::vector<std::byte> bytes;  // rows of blocks, as in a file
    std::vector<float> values;     // (n_rows, n_cols)

    std::size_t row_bytes() const {
        return std::size_t{n_cols} / format->block_elements * format->block_bytes;
    }
    std::span<const std::byte> row(std::uint32_t r) const {
        return std::span(bytes).subspan(r * row_bytes(), row_bytes());
    }

    Matrix upload(Gpu& gpu) const { return upload_rows(gpu, 0, n_rows); }
    /// As the uploader does it where a binding holds only part_rows, a multiple of the row tile.
    Matrix upload_in_parts(Gpu& gpu, std::uint32_t part_rows) const {
        Matrix whole{.format = static_cast<std::uint32_t>(format->id),
                     .n_rows = n_rows,
                     .n_cols = n_cols,
                     .parts = {}};
        for (std::uint32_t first = 0; first < n_rows; first += part_rows) {
            Matrix part = upload_rows(gpu, first, std::min(part_rows, n_rows - first));
            part.parts[0].first_row = first;
            whole.parts.push_back(std::move(part.parts[0]));
        }
        return whole;
    }

private:
    Matrix upload_rows(Gpu& gpu, std::uint32_t first, std::uint32_t n) const {
        Uploader uploader = Uploader::create(*gpu.device, *gpu.recorder).value();
        return uploader
            .upload_matrix(*format, n, n_cols, [&](std::uint32_t r) { return row(first + r); })
            .value();
    }
};

/// Blocks of random bits whose values are of a size that sums can be compared at.
inline TestMatrix random_matrix(const FormatInfo& format, std::uint32_t n_rows,
                                std::uint32_t n_cols, std::mt19937& random) {
    TestMatrix matrix{&format, n_rows, n_cols, {}, {}};
    matrix.bytes.resize(n_rows * matrix.row_bytes());
    matrix.values.resize(std::size_t{n_rows} * n_cols);
    for (std::size_t b = 0; b < matrix.values.size() / format.block_elements; ++b) {
        const auto block =
            std::span(matrix.bytes).subspan(b * format.block_bytes, format.block_bytes);
        const auto out =
            std::span(matrix.values).subspan(b * format.block_elements, format.block_elements);
        test::draw_block(format, block, out, random, {.least = 0x1p-8F, .most = 4.0F});
    }
    return matrix;
}

inline std::vector<float> normal_values(std::size_t n, std::mt19937& random, float deviation = 1) {
    std::normal_distribution<float> normal(0, deviation);
    std::vector<float> values(n);
    for (float& x : values) x = normal(random);
    return values;
}

}  // namespace kvasir::gpu
