// Weights in device memory: matrices in the interleaved layout, vectors as f32; and how they get
// there.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "quant/format.hpp"
#include "vk_kernels/buffer.hpp"
#include "vk_kernels/recorder.hpp"
#include "vk_kernels/weight_layout.hpp"

namespace kvasir::gpu {

/// (n_rows, n_cols). Split by rows where one binding cannot hold it or where the format changes.
struct Matrix {
    struct Part {
        Buffer buffer;
        std::uint32_t format = 0;  // quant_format.h
        std::uint32_t first_row = 0;
        std::uint32_t n_rows = 0;         // without padding
        std::uint32_t scales_offset = 0;  // words
    };
    std::uint32_t format = 0;  // of the first part
    std::uint32_t n_rows = 0;
    std::uint32_t n_cols = 0;
    std::vector<Part> parts;       // of a stack: whole matrices each
    std::uint32_t stack_rows = 0;  // of one matrix of a stack, each padded to whole row tiles

    std::uint32_t stack_stride() const {
        return (stack_rows + shared::kRowTile - 1) / shared::kRowTile * shared::kRowTile;
    }
};

/// (n) f32
struct Vector {
    Buffer buffer;
    std::uint32_t n = 0;
    Slice slice() const { return buffer.slice(); }
};

/// Copies host bytes to device buffers through a bounded staging buffer. Blocks.
class Uploader {
public:
    static Result<Uploader> create(Device& device, Recorder& recorder);

    /// Errors: exhausted (device memory), unsupported (a format or a width that kernels cannot
    /// read, the message says which). unit_rows: rows that no split separates, whole row tiles.
    Result<Matrix> upload_matrix(const FormatInfo& format, std::uint32_t n_rows,
                                 std::uint32_t n_cols, const RowBytes& row_bytes,
                                 std::uint32_t unit_rows = shared::kRowTile);
    Result<Vector> upload_vector(std::span<const float> values);

private:
    Uploader(Device& device, Recorder& recorder, Buffer staging)
        : device_(device), recorder_(recorder), staging_(std::move(staging)) {}
    Result<> upload(std::span<const std::byte> bytes, const Buffer& to, std::uint64_t offset);

    Device& device_;
    Recorder& recorder_;
    Buffer staging_;
};

}  // namespace kvasir::gpu
