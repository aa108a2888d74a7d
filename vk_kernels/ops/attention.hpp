// attention: paged, causal; reads sealed pages in their format and the token's own page open.
#pragma once

#include <map>
#include <optional>
#include <tuple>

#include "vk_kernels/kernel.hpp"
#include "vk_kernels/kv_store.hpp"
#include "vk_kernels/ops/rope_append_kv.hpp"
#include "vk_kernels/shared/attention_paged.h"

namespace kvasir::gpu {

/// What a query sees of the tokens before it.
struct AttentionReach {
    std::uint32_t window = 0;   // the last tokens, its own included; 0: all
    std::uint32_t n_sinks = 0;  // with a window: and so many of the first

    std::uint32_t kind() const {
        if (window == 0) return shared::kReachAll;
        return n_sinks == 0 ? shared::kReachWindow : shared::kReachSinks;
    }
};

/// Sequences that read pages together, where any do: their rows stay in registers.
constexpr std::uint32_t kMostSharers = 4;
/// How rows share workgroups. The bits are the same.
struct AttentionTiling {
    std::uint32_t n_rows = 1;  // query rows, of heads or tokens, that share what is read of a page
    std::uint32_t n_sharers =
        0;  // sequences that read pages together that all begin with; 0: none do
};
/// As suits the device.
AttentionTiling tiling_for(const DeviceLimits& limits);

class Attention {
public:
    /// One step's work, built by the host: see shared/attention_paged.h.
    struct Work {
        Slice tiles;  // (n_tiles) AttentionTile
        std::uint32_t n_tiles = 0;
        bool single_tokens = true;  // every tile is one token
        Slice table;                // page ids
        std::uint32_t max_splits =
            0;             // 0: workgroups walk all splits; else the most splits of any tile
        Slice merge_rows;  // (n_rows, 2) uint: row, position; with max_splits
        std::uint32_t n_rows = 0;
        Slice shared_tiles;  // (n_shared_tiles) AttentionTile; with max_splits
        std::uint32_t n_shared_tiles = 0;
        std::uint32_t n_shared_splits = 0;  // the last one of any shared tile, and one
    };

    /// score_cap: soft bound of scaled scores; 0: none. tiling: none: as suits the device.
    Attention(Device& device, const HeadShape& heads, std::uint32_t open_format, float score_scale,
              float score_cap = 0, const std::optional<AttentionTiling>& tiling = {});
    Result<> prepare(const KvFormats& formats, std::uint32_t n_slabs,
                     const AttentionReach& reach = {});
    /// Most tokens a tile may have; tiles of more than one token must not cross a page border.
    std::uint32_t tile_tokens() const { return tile_tokens_; }
    /// Most sequences that a shared tile may have; 0: there are no shared tiles.
    std::uint32_t n_sharers() const { return n_sharers_; }
    /// Whether steps may need partials.
    bool has_partials() const { return n_sharers_ > 0 || !device_->limits().is_cpu; }
    /// Bytes of partials that n_rows rows with max_splits splits need.
    std::uint64_t partial_bytes(std::uint32_t n_rows, std::uint32_t max_splits) const;
    /// Whether splits are better computed apart: a GPU that would have idle cores otherwise.
    std::uint32_t splits_apart(std::uint32_t n_tiles, std::uint32_t most_splits) const;
    /// q, out: (n_rows, n_heads * head_dim) f32; sink_q: as q, read only where the reach has sinks.
    /// REQUIRES: prepare of the layer's formats with such a reach.
    void record(Recorder& recorder, const Slice& q, const KvLayer& kv, const Work& work,
                const Slice& partials, const Slice& out, const AttentionReach& reach = {},
                const Slice& sink_q = {}) const;

private:
    using AttentionKernel = Kernel<shared::AttentionPush, 11, 11>;
    using MergeKernel = Kernel<shared::AttentionMergePush, 3, 2>;
    struct Variants {
        AttentionKernel single;  // one token a tile
        AttentionKernel many;    // tile_tokens_ a tile
        AttentionKernel shared;  // a token each of n_sharers_ sequences; where the reach is all
    };

    Device* device_;
    HeadShape heads_;
    std::uint32_t open_format_;
    float score_scale_;
    float score_cap_;
    std::uint32_t lanes_ = 32;
    bool shuffle_ = false;
    std::uint32_t heads_per_group_ = 1;
    std::uint32_t tile_tokens_ = 1;
    std::uint32_t n_sharers_ = 0;
    std::map<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>, Variants>
        kernels_;
    MergeKernel merge_;
};

}  // namespace kvasir::gpu
