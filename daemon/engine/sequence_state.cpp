#include "daemon/engine/sequence_state.hpp"

#include <algorithm>

#include "config/base/check.hpp"
#include "config/base/wipe.hpp"

namespace kvasir {
namespace {
constexpr std::uint32_t kPage = shared::kPageTokens;
}

void roll_pages(KvCache::Options& options, const Model& model) {
    const std::vector<LayerSpan>& spans = model.shape().spans;
    AttentionWindow window{.max_step_tokens = model.limits().max_tokens};
    for (const LayerSpan& span : spans) {
        if (span.reach.window == 0) return;
        window.n_recent = std::max(window.n_recent, span.reach.window);
        window.n_sinks = std::max(window.n_sinks, span.reach.n_sinks);
    }
    const std::uint32_t longest = std::max(model.context_length(), model.window_length());
    if (spans.empty() || window.n_recent >= longest) return;
    options.window = window;
    // One longest sequence, and as much again as there are pages.
    options.n_hollow_nodes = longest / kPage + options.n_pages;
}

SequenceState::SequenceState(const Owner& owner, DomainId domain, KvCache::Sequence kv,
                             std::span<const TokenId> prompt)
    : owner_(owner), domain_(domain), kv_(std::move(kv)), tokens_(prompt.begin(), prompt.end()) {
    tokens_.reserve(kv_.max_tokens());
}

Result<SequenceState> SequenceState::begin(const Owner& owner, DomainId domain,
                                           std::span<const TokenId> prompt,
                                           std::uint32_t max_tokens, std::uint64_t now_ms,
                                           KvCache::Lookup lookup,
                                           std::optional<DomainId> domain_owner) {
    KVASIR_TRY(KvCache::Sequence kv,
               owner.cache.begin(domain, prompt, max_tokens, now_ms, lookup, domain_owner));
    SequenceState state(owner, domain, std::move(kv), prompt);
    if (lookup == KvCache::Lookup::allowed && owner.cache.open_slots() != nullptr)
        KVASIR_TRY_VOID(state.adopt_tail(now_ms));
    return state;
}

/// The last token's query is computed in any case.
Result<> SequenceState::adopt_tail(std::uint64_t now_ms) {
    const std::size_t n_most = std::min<std::size_t>(n_pending() - 1, kPage - 1);
    const auto rest = std::span<const TokenId>(tokens_).subspan(n_computed(), n_most);
    const auto match = owner_.slots.match(domain_, kv_.tip(), rest);
    if (!match) return {};
    const std::uint32_t slot = owner_.slots.adopt(*match, now_ms);
    step_slots_.push_back(slot);
    if (slot != match->slot) KVASIR_TRY_VOID(owner_.model.copy_open_page(match->slot, slot));
    kv_.found_open(rest.first(match->n_tokens));
    return {};
}

/// REQUIRES: no step is prepared.
void SequenceState::keep_tail(TailOwner owner, std::uint64_t now_ms) {
    const std::uint32_t n_tail = n_computed() % kPage;
    const NodeId tip = kv_.tip();
    const std::uint32_t n_pages = tip == kNoNode ? 0 : owner_.cache.tree().depth(tip) + 1;
    if (n_tail == 0 || step_slots_.size() != 1 || n_pages * kPage + n_tail != n_computed()) return;
    const std::span<const TokenId> tokens(tokens_);
    owner_.slots.keep(step_slots_.front(), domain_, tip,
                      tokens.subspan(n_computed() - n_tail, n_tail), owner, now_ms);
    step_slots_.clear();
}

SequenceState::SequenceState(SequenceState&& other) noexcept
    : owner_(other.owner_),
      domain_(other.domain_),
      kv_(std::move(other.kv_)),
      tokens_(std::move(other.tokens_)),
      step_slots_(std::exchange(other.step_slots_, {})),
      logits_at_(std::move(other.logits_at_)),
      n_step_(std::exchange(other.n_step_, 0)) {}

SequenceState::~SequenceState() {
    give_slots_back();
    wipe(tokens_);
}

void SequenceState::give_slots_back() {
    for (const std::uint32_t slot : step_slots_) owner_.slots.release(slot);
    step_slots_.clear();
}

std::uint32_t SequenceState::extend_match(std::uint64_t now_ms) {
    if (n_computed() % kPage != 0) return 0;
    return kv_.extend_match(tokens_, now_ms);
}

bool SequenceState::could_share_next_page_of(const SequenceState& earlier) const {
    const std::uint32_t begin = n_computed();
    // The last token's query is computed in any case, and its page with it.
    if (begin % kPage != 0 || n_pending() <= kPage) return false;
    if (earlier.domain_ != domain_ && earlier.domain_ != kCommonDomain) return false;
    const std::uint32_t end = begin + kPage;
    if (earlier.n_computed() < begin || earlier.n_computed() >= end ||
        earlier.tokens_.size() < end) {
        return false;
    }
    // Equal pages are held once: where the last ones are the same, so is all before them.
    const std::uint32_t n_pages = begin / kPage;
    if (n_pages > 0 && kv_.pages()[n_pages - 1] != earlier.kv_.pages()[n_pages - 1]) return false;
    return std::equal(tokens_.begin() + begin, tokens_.begin() + end,
                      earlier.tokens_.begin() + begin);
}

Result<SequenceStep> SequenceState::prepare(std::uint32_t n, std::vector<std::uint32_t> logits_at,
                                            std::uint32_t n_states) {
    KVASIR_CHECK(n > 0 && n <= n_pending() && n_states <= n && n_step_ == 0,
                 "a step takes pending tokens, one step at a time");
    const std::uint32_t begin = n_computed();
    const std::uint32_t first_page = begin / kPage;
    for (std::uint32_t page = first_page; page < (begin + n) / kPage; ++page) {
        KVASIR_TRY_VOID(owner_.model.reserve_pages(to_index(kv_.ensure_page(page)) + 1));
    }
    const std::uint32_t n_touched = (begin + n - 1) / kPage - first_page + 1;
    while (step_slots_.size() < n_touched) step_slots_.push_back(owner_.slots.acquire());
    n_step_ = n;
    logits_at_ = std::move(logits_at);
    return SequenceStep{.tokens = std::span(tokens_).subspan(begin, n),
                        .first_position = begin,
                        .pages = kv_.pages(),
                        .open_slots = step_slots_,
                        .logits_at = logits_at_,
                        .n_states = n_states};
}

void SequenceState::complete(std::uint64_t now_ms) {
    KVASIR_CHECK(n_step_ > 0, "complete follows prepare");
    const std::uint32_t begin = n_computed();
    const std::uint32_t n_filled = (begin + n_step_) / kPage - begin / kPage;
    kv_.append(std::span(tokens_).subspan(begin, n_step_));
    kv_.commit(now_ms);
    n_step_ = 0;
    // Filled pages are sealed: nobody reads their f16 copy again.
    for (std::uint32_t i = 0; i < n_filled; ++i) owner_.slots.release(step_slots_[i]);
    step_slots_.erase(step_slots_.begin(), step_slots_.begin() + n_filled);
}

void SequenceState::release(std::uint64_t now_ms, std::optional<TailOwner> owner) {
    if (owner && n_step_ == 0 && owner_.cache.open_slots() != nullptr) keep_tail(*owner, now_ms);
    give_slots_back();
    kv_.release(now_ms);
}

void SequenceState::discard() {
    give_slots_back();
    kv_.discard();
}

}  // namespace kvasir
