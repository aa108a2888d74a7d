#include "vk_kernels/ops/add_norm.hpp"

#include "spv/add_norm.h"

namespace kvasir::gpu {

Result<AddNorm> AddNorm::create(Device& device) {
    constexpr std::uint32_t kThreads = 64;
    AddNorm op;
    KVASIR_TRY(op.kernel_, (Kernel<shared::AddNormPush, 3, 1>::create(device, "add_norm",
                                                                      add_norm_spv, {kThreads})));
    return op;
}

void AddNorm::record(Recorder& recorder, const Slice& y, const Vector& norm, float eps,
                     const Slice& x, std::uint32_t n_tokens) const {
    kernel_.record(recorder, {y, norm.slice(), x}, {.n_cols = norm.n, .eps = eps}, {.x = n_tokens});
}

}  // namespace kvasir::gpu
