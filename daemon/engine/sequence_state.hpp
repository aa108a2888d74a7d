// SequenceState: one token sequence on its way through the model: what is computed, where its open
// page lies, what comes next.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cache/kv_cache.hpp"
#include "cache/open_slots.hpp"
#include "config/base/error.hpp"
#include "daemon/model/model.hpp"

namespace kvasir {

/// Lets the cache roll pages out of the model's window, where it has one in every layer.
void roll_pages(KvCache::Options& options, const Model& model);

/// Between steps it holds at most one open slot: that of the page it is in the middle of.
/// Move-only; the destructor gives slot and pages back. One thread; must not outlive model, cache
/// and slots.
///
///   begin -> [ push_token* -> prepare -> model.step -> complete ]* -> release
class SequenceState {
public:
    struct Owner {
        Model& model;
        KvCache& cache;
        OpenSlots& slots;
    };

    /// Leases what is cached of the prompt, an open page with its next tokens included, and
    /// reserves the rest up to max_tokens. Errors: as KvCache::begin, Model::copy_open_page.
    static Result<SequenceState> begin(const Owner& owner, DomainId domain,
                                       std::span<const TokenId> prompt, std::uint32_t max_tokens,
                                       std::uint64_t now_ms, KvCache::Lookup lookup,
                                       std::optional<DomainId> domain_owner = std::nullopt);
    SequenceState(SequenceState&& other) noexcept;
    SequenceState& operator=(SequenceState&&) = delete;
    ~SequenceState();

    std::span<const TokenId> tokens() const { return tokens_; }
    std::uint32_t n_cached() const { return kv_.n_cached_tokens(); }
    /// For what the cache keeps of it: keep, tip, miss.
    KvCache::Sequence& kv() { return kv_; }
    std::uint32_t n_computed() const { return kv_.n_tokens(); }
    std::uint32_t n_pending() const {
        return static_cast<std::uint32_t>(tokens_.size()) - n_computed();
    }
    /// Appends a token to be computed. REQUIRES: max_tokens of begin is kept.
    void push_token(TokenId id) { tokens_.push_back(id); }
    /// Takes over pages another sequence has finished meanwhile. Between steps.
    std::uint32_t extend_match(std::uint64_t now_ms);

    /// Whether a sequence that comes before this one is about to compute the page that this one
    /// needs next: then extend_match has it after that step. Between steps.
    bool could_share_next_page_of(const SequenceState& earlier) const;

    /// The next n pending tokens as a step; views stay valid until complete or the destructor.
    /// logits_at: indices below n; n_states: of its last tokens. Errors: exhausted (the device has
    /// no memory for a further slab of pages).
    Result<SequenceStep> prepare(std::uint32_t n, std::vector<std::uint32_t> logits_at,
                                 std::uint32_t n_states = 0);
    /// The prepared step has run: its full pages are entered in the cache.
    void complete(std::uint64_t now_ms);
    /// Ends the sequence; computed pages stay cached, and where the cache keeps tails the open page
    /// stays for this owner. nullopt: it does not.
    void release(std::uint64_t now_ms, std::optional<TailOwner> owner = kAnybody);
    /// Ends it after a failed step, or a page with a NaN: nothing of that step is kept.
    void discard();

private:
    SequenceState(const Owner& owner, DomainId domain, KvCache::Sequence kv,
                  std::span<const TokenId> prompt);
    Result<> adopt_tail(std::uint64_t now_ms);
    void keep_tail(TailOwner owner, std::uint64_t now_ms);
    void give_slots_back();

    Owner owner_;
    DomainId domain_{};
    KvCache::Sequence kv_;
    std::vector<TokenId> tokens_;
    std::vector<std::uint32_t> step_slots_;  // of the pages the prepared step touches; between
                                             // steps the open page's, if any
    std::vector<std::uint32_t> logits_at_;
    std::uint32_t n_step_ = 0;  // tokens of the prepared step
};

}  // namespace kvasir
