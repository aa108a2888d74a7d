// row_norm: the norm that a matrix product fuses in, on its own: rows as the output matrix reads
// them.
#pragma once

#include "vk_kernels/kernel.hpp"
#include "vk_kernels/shared/mat_mul.h"
#include "vk_kernels/shared/row_norm.h"
#include "vk_kernels/tensor.hpp"

namespace kvasir::gpu {

class RowNorm {
public:
    struct Args {
        Slice x;                       // (rows, n_cols) f32
        Slice y;                       // (rows, n_cols) f32
        const Vector* norm = nullptr;  // (n_cols); layer norm: (2, n_cols)
        std::uint32_t norm_kind = shared::kNormRms;
        float eps = 0;
        std::uint32_t n_cols = 0;
        std::uint32_t n_rows = 0;
        std::uint32_t x_first = 0;  // row
        std::uint32_t y_first = 0;  // row
    };

    static Result<RowNorm> create(Device& device);
    void record(Recorder& recorder, const Args& args) const;

private:
    Kernel<shared::RowNormPush, 3, 2> rms_;
    Kernel<shared::RowNormPush, 3, 2> layer_;
};

}  // namespace kvasir::gpu
