// Batch: one step's input, laid out for the kernels: tokens of several sequences, prefill chunks
// and decode steps alike.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/base/error.hpp"
#include "config/base/types.hpp"
#include "config/base/wipe.hpp"
#include "daemon/model/rope.hpp"
#include "daemon/model/shared_splits.hpp"
#include "vk_kernels/kv_store.hpp"
#include "vk_kernels/ops/attention.hpp"

namespace kvasir {

/// One sequence's part of a step. Views must live until the step has run.
struct SequenceStep {
    std::span<const TokenId> tokens;   // to compute, consecutive
    std::uint32_t first_position = 0;  // of tokens[0]
    std::span<const PageId> pages;  // block table: at least every page that is full after this step
    std::span<const std::uint32_t>
        open_slots;  // of the pages first_position / 32, ... that the tokens lie in
    std::span<const std::uint32_t>
        logits_at;               // indices into tokens whose logits are wanted, ascending
    std::uint32_t n_states = 0;  // of the last so many tokens the hidden states are wanted
};

/// Consecutive rows of a batch.
struct RowRange {
    std::uint32_t first = 0;
    std::uint32_t n = 0;
};

/// What a step's kernels read. Made anew by BatchWriter::write; valid until the next write.
struct Batch {
    std::uint32_t n_tokens = 0;
    gpu::Slice tokens;              // (n_tokens) uint
    gpu::Slice positions;           // (n_tokens) uint
    gpu::Slice slots;               // (n_tokens) uint
    std::vector<gpu::Slice> ropes;  // of each rope of the model: (n_tokens, n_rot / 2, 2) f32
    // Some token lies beyond what sinks and recent tokens span. Where none does, all see all before
    // them, and no sink is read apart: the same bits, for less.
    bool has_sinks = false;
    std::vector<gpu::Slice> sink_ropes;  // with has_sinks: as ropes, at the positions sinks are
                                         // read from
    gpu::Attention::Work attention;
    std::uint32_t n_sealed = 0;      // pages this step fills
    std::uint32_t sealed_slabs = 0;  // bit s: a filled page lies in slab s
    gpu::Slice seal_jobs;
    gpu::Slice seal_status;
    std::vector<std::uint32_t> logit_rows;  // rows of the batch, ascending
    std::vector<RowRange> state_rows;       // ascending
};

struct BatchLimits {
    std::uint32_t max_tokens = 0;      // a step
    std::uint32_t max_sequences = 0;   // a step
    std::uint32_t max_pages = 0;       // a sequence
    std::uint32_t max_logit_rows = 0;  // a step
    std::uint32_t max_splits = 0;      // of attention, computed apart; more are walked
    // Sequences that decode on one prefix from which on they read its whole splits together; 0:
    // none do. What is faster on this device; the bits are the same.
    std::uint32_t min_sharers = 0;
};

/// Owns the upload buffer. The device must be done with the last batch before the next write.
class BatchWriter {
public:
    /// sink_span: queries read attention sinks from position sink_span - 1 where their own lies
    /// beyond; 0: no sinks.
    static Result<BatchWriter> create(gpu::Device& device, const BatchLimits& limits,
                                      std::span<const Rope> ropes, std::uint32_t sink_span = 0);
    /// REQUIRES: the steps keep the limits, each has at least one token.
    const Batch& write(std::span<const SequenceStep> steps, const gpu::Attention& attention,
                       std::uint32_t pages_per_slab);
    /// After the step ran: whether the page that sequence step `i` filled as its `k`th holds only
    /// finite numbers.
    bool is_finite(std::size_t i) const;
    const BatchLimits& limits() const { return limits_; }
    std::uint32_t n_shared_splits() const { return n_shared_splits_; }
    void set_min_sharers(std::uint32_t n) { limits_.min_sharers = n; }
    /// Token ids of the last step. REQUIRES: no step runs.
    void wipe_upload() { wipe(upload_.mapped()); }

private:
    template <class T>
    std::span<T> section(gpu::Slice& slice, std::size_t n);
    void write_tokens(std::span<const SequenceStep> steps);
    void write_ropes(std::span<const SequenceStep> steps, std::vector<gpu::Slice>& tables,
                     std::uint32_t last_position);
    SplitPlan plan_splits(std::span<const SequenceStep> steps,
                          const gpu::Attention& attention) const;
    void write_attention(std::span<const SequenceStep> steps, const gpu::Attention& attention);
    void write_seals(std::span<const SequenceStep> steps, std::uint32_t pages_per_slab);

    BatchLimits limits_;
    std::vector<Rope> ropes_;
    std::uint32_t sink_span_ = 0;
    std::uint64_t alignment_ = 256;
    gpu::Buffer upload_;
    gpu::Buffer status_;  // readback: written by seal_page
    std::uint64_t at_ = 0;
    Batch batch_;
    std::uint32_t n_shared_splits_ = 0;  // of the last step, once a sequence
    std::vector<std::pair<std::uint32_t, std::uint32_t>> seals_of_;  // by step: first job, jobs
};

}  // namespace kvasir
