// add_norm: a branch's output, normalized, added to the residual stream.
#pragma once

#include "vk_kernels/kernel.hpp"
#include "vk_kernels/shared/add_norm.h"
#include "vk_kernels/tensor.hpp"

namespace kvasir::gpu {

class AddNorm {
public:
    static Result<AddNorm> create(Device& device);
    /// x, y: (n_tokens, norm.n) f32.
    void record(Recorder& recorder, const Slice& y, const Vector& norm, float eps, const Slice& x,
                std::uint32_t n_tokens) const;

private:
    Kernel<shared::AddNormPush, 3, 1> kernel_;
};

}  // namespace kvasir::gpu
