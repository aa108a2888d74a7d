// rope_append_kv: queries and keys rotated, keys and values rounded once into the open pages.
#pragma once

#include "vk_kernels/kernel.hpp"
#include "vk_kernels/kv_store.hpp"
#include "vk_kernels/shared/rope_append_kv.h"
#include "vk_kernels/tensor.hpp"

namespace kvasir::gpu {

struct HeadShape {
    std::uint32_t n_heads = 0;
    std::uint32_t n_kv_heads = 0;  // divides n_heads
    std::uint32_t head_dim = 0;    // 8 to 256, a multiple of 8
};

struct RopeShape {
    std::uint32_t n_rot = 0;   // rotated channels a head
    bool interleaved = false;  // pairs (2i, 2i + 1); else (i, i + n_rot / 2)
};

/// RMSNorm of each query and key head before it is rotated.
struct HeadNorm {
    const Vector* weights = nullptr;  // (2, head_dim): of queries, of keys
    float eps = 0;
};

/// Queries a second time, turned by other angles.
struct SinkQueries {
    Slice table;  // as RopeAppendKv::record's
    Slice q;
};

class RopeAppendKv {
public:
    /// with_norm: record takes a norm; with_sinks: and, where wanted, what sinks are read with.
    static Result<RopeAppendKv> create(Device& device, const HeadShape& heads,
                                       const RopeShape& rope, std::uint32_t open_format,
                                       bool with_norm = false, bool with_sinks = false);
    /// qkv: (n_tokens, (n_heads + 2 n_kv_heads) * head_dim); table: (n_tokens, n_rot / 2, 2) cos
    /// and sin; slots: (n_tokens) uint, open slot * 32 + token in page; q: (n_tokens, n_heads *
    /// head_dim). Without sinks.q no queries are written for them.
    void record(Recorder& recorder, const Slice& qkv, const Slice& table, const Slice& slots,
                const Slice& q, const KvLayer& kv, std::uint32_t n_tokens,
                const HeadNorm& norm = {}, const SinkQueries& sinks = {}) const;

private:
    using RopeKernel = Kernel<shared::RopeAppendKvPush, 8, 6>;
    RopeKernel kernel_;
    RopeKernel sinks_kernel_;  // with_sinks
    HeadShape heads_;
    RopeShape rope_;
    bool with_norm_ = false;
    bool with_sinks_ = false;
};

}  // namespace kvasir::gpu
