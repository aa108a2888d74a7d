// mat_mul: a weight matrix times the activations of a batch; fused norm on the way in; residual, an
// activation or a gate on the way out; one of a stack of experts' matrices by row.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include "vk_kernels/kernel.hpp"
#include "vk_kernels/ops/experts.hpp"
#include "vk_kernels/shared/mat_mul.h"
#include "vk_kernels/tensor.hpp"

namespace kvasir::gpu {

/// What differs between pipelines of one weight format.
struct MatMulKind {
    std::uint32_t format = 0;
    std::uint32_t epilogue = shared::kEpilogueStore;
    std::uint32_t norm = shared::kNormNone;
    bool bias = false;
    bool routed = false;
    auto operator<=>(const MatMulKind&) const = default;
};

class MatMul {
public:
    struct Args {
        const Matrix* weights = nullptr;  // (n_rows, n_cols)
        Slice x;                          // (n_tokens, n_cols) f32
        Slice y;                          // (n_tokens, y_stride) f32
        std::uint32_t n_tokens = 0;
        std::uint32_t y_stride = 0;  // elements
        std::uint32_t y_first = 0;   // first column written
        std::uint32_t epilogue = shared::kEpilogueStore;
        const Vector* norm =
            nullptr;  // (n_cols): rms_norm(x) in x's place; layer norm: (2, n_cols)
        std::uint32_t norm_kind = shared::kNormRms;
        float norm_eps = 0;
        const Vector* bias = nullptr;          // (n_rows)
        float cap = 0;                         // with kEpilogueCap
        const ExpertRoutes* routes = nullptr;  // weights: (n_experts, n_rows, n_cols)
        std::uint32_t x_share = 1;             // with routes: rows of y that share a row of x
    };

    explicit MatMul(Device& device) : device_(&device) {}
    /// Compiles the pipelines of a kind, one a token tile. Slow; at load. Errors: as
    /// Kernel::create.
    Result<> prepare(const MatMulKind& kind);
    /// The same for each format that the matrix has.
    Result<> prepare(const Matrix& weights, MatMulKind kind);
    /// REQUIRES: prepare of this kind.
    void record(Recorder& recorder, const Args& args) const;
    /// The kind that such arguments need, for prepare.
    static MatMulKind kind_of(const Args& args);

private:
    static constexpr std::array<std::uint32_t, 4> kTokenTiles = {1, 2, 4, 8};
    using MatMulKernel = Kernel<shared::MatMulPush, 6, 10>;

    Device* device_;
    std::map<MatMulKind, std::array<MatMulKernel, kTokenTiles.size()>> kernels_;
};

}  // namespace kvasir::gpu
