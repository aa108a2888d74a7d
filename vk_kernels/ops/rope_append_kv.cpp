#include "vk_kernels/ops/rope_append_kv.hpp"

#include "config/base/check.hpp"
#include "spv/rope_append_kv.h"

namespace kvasir::gpu {
namespace {
constexpr std::uint32_t kThreads = 64;
}

Result<RopeAppendKv> RopeAppendKv::create(Device& device, const HeadShape& heads,
                                          const RopeShape& rope, std::uint32_t open_format,
                                          bool with_norm, bool with_sinks) {
    RopeAppendKv op;
    op.heads_ = heads;
    op.rope_ = rope;
    op.with_norm_ = with_norm;
    op.with_sinks_ = with_sinks;
    const auto create_kernel = [&](bool sinks) {
        return RopeKernel::create(device, "rope_append_kv", rope_append_kv_spv,
                                  {heads.head_dim, rope.interleaved ? 1U : 0U, open_format,
                                   with_norm ? 1U : 0U, sinks ? 1U : 0U, kThreads});
    };
    KVASIR_TRY(op.kernel_, create_kernel(false));
    if (with_sinks) {
        KVASIR_TRY(op.sinks_kernel_, create_kernel(true));
    }
    return op;
}

void RopeAppendKv::record(Recorder& recorder, const Slice& qkv, const Slice& table,
                          const Slice& slots, const Slice& q, const KvLayer& kv,
                          std::uint32_t n_tokens, const HeadNorm& norm,
                          const SinkQueries& sinks) const {
    KVASIR_CHECK(with_norm_ == (norm.weights != nullptr), "rope_append_kv: a norm as created");
    const shared::RopeAppendKvPush push{.n_tokens = n_tokens,
                                        .n_heads = heads_.n_heads,
                                        .n_kv_heads = heads_.n_kv_heads,
                                        .n_rot = rope_.n_rot,
                                        .norm_eps = norm.eps};
    const std::uint32_t n_heads = n_tokens * (heads_.n_heads + 2 * heads_.n_kv_heads);
    const std::uint32_t n_pairs = n_heads * (heads_.head_dim / 2);
    // A buffer that is not read is bound to something that is there.
    const Slice weights = with_norm_ ? norm.weights->slice() : qkv;
    const bool has_sinks = sinks.q.buffer != VK_NULL_HANDLE;
    KVASIR_CHECK(with_sinks_ || !has_sinks, "rope_append_kv: sinks as created");
    const Slice sink_table = has_sinks ? sinks.table : table;
    const Slice sink_q = has_sinks ? sinks.q : q;
    const RopeKernel& kernel = has_sinks ? sinks_kernel_ : kernel_;
    kernel.record(recorder, {qkv, table, slots, q, kv.open, weights, sink_table, sink_q}, push,
                  {.x = with_norm_ ? n_heads : (n_pairs + kThreads - 1) / kThreads});
}

}  // namespace kvasir::gpu
