#include "vk_kernels/ops/rope_append_kv.hpp"

#include "spv/rope_append_kv.h"

namespace kvasir::gpu {
namespace {
constexpr std::uint32_t kThreads = 64;
}

Result<RopeAppendKv> RopeAppendKv::create(Device& device, const HeadShape& heads,
                                          const RopeShape& rope, std::uint32_t open_format) {
    RopeAppendKv op;
    op.heads_ = heads;
    op.rope_ = rope;
    KVASIR_TRY(op.kernel_, RopeKernel::create(device, "rope_append_kv", rope_append_kv_spv,
                                              {heads.head_dim, rope.interleaved ? 1U : 0U,
                                               open_format, kThreads}));
    return op;
}

void RopeAppendKv::record(Recorder& recorder, const Slice& qkv, const Slice& table,
                          const Slice& slots, const Slice& q, const KvLayer& kv,
                          std::uint32_t n_tokens) const {
    const shared::RopeAppendKvPush push{.n_tokens = n_tokens,
                                        .n_heads = heads_.n_heads,
                                        .n_kv_heads = heads_.n_kv_heads,
                                        .n_rot = rope_.n_rot};
    const std::uint32_t n =
        n_tokens * (heads_.n_heads + 2 * heads_.n_kv_heads) * (heads_.head_dim / 2);
    kernel_.record(recorder, {qkv, table, slots, q, kv.open}, push,
                   {.x = (n + kThreads - 1) / kThreads});
}

}  // namespace kvasir::gpu
