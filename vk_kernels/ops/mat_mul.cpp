#include "vk_kernels/ops/mat_mul.hpp"

#include "config/base/check.hpp"
#include "spv/mat_mul.h"
#include "spv/mat_mul_cpu.h"

namespace kvasir::gpu {
namespace {

struct TileShape {
    std::uint32_t row_lanes;
    std::uint32_t seg_lanes;
    std::uint32_t rows;
};

bool is_cpu_tile(const DeviceLimits& limits) {
    return limits.is_cpu && limits.has_fixed_subgroup && limits.subgroup_size == 8;
}

/// On a CPU device loads cost: one subgroup, four rows a lane sharing every activation. On a GPU
/// lanes take different segments of K, so that a mat-vec has enough of them. Same bits either way.
TileShape tile_shape(const DeviceLimits& limits, const MatMulKind& kind) {
    if (is_cpu_tile(limits)) return {8, 1, 4};
    return shared::epilogue_pairs_rows(kind.epilogue) ? TileShape{16, 8, 2} : TileShape{32, 4, 1};
}

}  // namespace

Result<> MatMul::prepare(const MatMulKind& kind) {
    if (kernels_.contains(kind)) return {};
    const TileShape shape = tile_shape(device_->limits(), kind);
    const bool on_cpu = is_cpu_tile(device_->limits());
    const std::span<const std::uint32_t> spirv =
        on_cpu ? std::span<const std::uint32_t>(mat_mul_cpu_spv)
               : std::span<const std::uint32_t>(mat_mul_spv);
    constexpr std::uint32_t kTexels =
        1U << shared::kMatMulWeights | 1U << shared::kMatMulX | 1U << shared::kMatMulNorm;
    std::array<MatMulKernel, kTokenTiles.size()> kernels;
    for (std::size_t i = 0; i < kTokenTiles.size(); ++i) {
        KVASIR_TRY(kernels[i], MatMulKernel::create(
                                   *device_, "mat_mul", spirv,
                                   {kind.format, shape.row_lanes, shape.seg_lanes, shape.rows,
                                    kTokenTiles[i], kind.epilogue, kind.norm, kind.bias ? 1U : 0U,
                                    kind.routed ? 1U : 0U, shape.row_lanes * shape.seg_lanes},
                                   {.quads = on_cpu ? kTexels : 0U}));
    }
    kernels_.emplace(kind, std::move(kernels));
    return {};
}

Result<> MatMul::prepare(const Matrix& weights, MatMulKind kind) {
    for (const Matrix::Part& part : weights.parts) {
        kind.format = part.format;
        KVASIR_TRY_VOID(prepare(kind));
    }
    return {};
}

MatMulKind MatMul::kind_of(const Args& args) {
    return {.format = args.weights->format,
            .epilogue = args.epilogue,
            .norm = args.norm != nullptr ? args.norm_kind : shared::kNormNone,
            .bias = args.bias != nullptr,
            .routed = args.routes != nullptr};
}

void MatMul::record(Recorder& recorder, const Args& args) const {
    const Matrix& w = *args.weights;
    MatMulKind kind = kind_of(args);
    const std::uint32_t wanted = args.routes != nullptr ? args.routes->tile_tokens : args.n_tokens;
    std::size_t tile = 0;
    while (tile + 1 < kTokenTiles.size() && kTokenTiles[tile] < wanted) ++tile;
    const bool halves = shared::epilogue_pairs_rows(args.epilogue);
    for (const Matrix::Part& part : w.parts) {
        kind.format = part.format;
        const auto found = kernels_.find(kind);
        KVASIR_CHECK(found != kernels_.end(), "mat_mul: a kind is prepared before it is recorded");
        const std::uint32_t y_row = halves ? part.first_row / 2 : part.first_row;
        shared::MatMulPush push{.n_cols = w.n_cols,
                                .n_rows = part.n_rows,
                                .n_tokens = args.n_tokens,
                                .y_stride = args.y_stride,
                                .y_first = args.y_first + y_row,
                                .scales_offset = part.scales_offset,
                                .norm_eps = args.norm_eps,
                                .cap = args.cap,
                                .x_share = args.x_share,
                                .first_expert = 0,
                                .n_experts = 1,
                                .bias_first = part.first_row};
        GridSize grid{.y = (args.n_tokens + kTokenTiles[tile] - 1) / kTokenTiles[tile]};
        if (args.routes != nullptr) {
            push.n_rows = w.stack_rows;
            push.y_first = args.y_first;
            push.first_expert = part.first_row / w.stack_stride();
            push.n_experts = part.n_rows / w.stack_stride();
            grid.y = args.routes->n_tiles;
        }
        grid.x = (push.n_rows + shared::kRowTile - 1) / shared::kRowTile;
        const Slice weights = part.buffer.slice();
        // Buffers a kind does not read are bound to something that is there.
        const Slice norm = args.norm != nullptr ? args.norm->slice() : weights;
        const Slice routes = args.routes != nullptr ? args.routes->words : weights;
        const Slice bias = args.bias != nullptr ? args.bias->slice() : weights;
        found->second[tile].record(recorder, {weights, args.x, args.y, norm, bias, routes}, push,
                                   grid);
    }
}

}  // namespace kvasir::gpu
