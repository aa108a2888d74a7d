// embed: rows of the token embedding, decoded to f32.
#pragma once

#include <map>

#include "vk_kernels/kernel.hpp"
#include "vk_kernels/shared/embed.h"
#include "vk_kernels/tensor.hpp"

namespace kvasir::gpu {

class Embed {
public:
    explicit Embed(Device& device) : device_(&device) {}
    Result<> prepare(std::uint32_t format);
    /// tokens: (n_tokens) uint, each below table.n_rows. y: (n_tokens, n_cols) f32.
    void record(Recorder& recorder, const Matrix& table, const Slice& tokens, const Slice& y,
                std::uint32_t n_tokens) const;

private:
    using EmbedKernel = Kernel<shared::EmbedPush, 3, 2>;
    Device* device_;
    std::map<std::uint32_t, EmbedKernel> kernels_;  // by format
};

}  // namespace kvasir::gpu
