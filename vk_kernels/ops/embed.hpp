// embed: rows of the token embedding, decoded to f32.
#pragma once

#include <map>
#include <utility>

#include "vk_kernels/kernel.hpp"
#include "vk_kernels/shared/embed.h"
#include "vk_kernels/tensor.hpp"

namespace kvasir::gpu {

class Embed {
public:
    explicit Embed(Device& device) : device_(&device) {}
    enum class Mode { store, add };  // add: to what y holds
    Result<> prepare(std::uint32_t format, Mode mode = Mode::store);
    /// tokens: (n_tokens) uint, each below table.n_rows. y: (n_tokens, n_cols) f32. REQUIRES:
    /// prepare of the table's format and mode.
    void record(Recorder& recorder, const Matrix& table, const Slice& tokens, const Slice& y,
                std::uint32_t n_tokens, float scale = 1, Mode mode = Mode::store) const;

private:
    using EmbedKernel = Kernel<shared::EmbedPush, 3, 3>;
    Device* device_;
    std::map<std::pair<std::uint32_t, Mode>, EmbedKernel> kernels_;  // by format
};

}  // namespace kvasir::gpu
