// KvCache where attention has a window: what a match needs, what a sequence holds, and what it
// gives up on its way.
#include <algorithm>
#include <utility>

#include "cache/kv_cache.hpp"
#include "config/base/check.hpp"
#include "config/base/wipe.hpp"

namespace kvasir {

/// The longest sequence of one that may hold so many pages.
std::uint32_t KvCache::tokens_in(std::uint32_t n_pages) const {
    if (n_pages >= max_held_) return 0xffffffffU;
    return n_pages * kTokensPerPage + kTokensPerPage - 1;
}

/// Whether a sequence that begins on a match of so many pages leases this one of them.
bool KvCache::is_held(std::uint32_t page, std::size_t n_matched) const {
    return !options_.window ||
           is_in_window(*options_.window, static_cast<std::uint32_t>(n_matched) * kTokensPerPage,
                        page);
}

/// Of a path in the tree, the longest beginning after which a token has all pages that it sees.
std::size_t KvCache::usable_length(std::span<const NodeId> chain) const {
    if (!options_.window) return chain.size();
    std::size_t longest = 0;
    std::size_t first_kept = 0;  // from here on no page is missing
    std::size_t n_sinks_kept = 0;
    const std::size_t n_sinks = n_sink_pages(*options_.window);
    for (std::size_t i = 0; i < chain.size(); ++i) {
        const bool is_kept = !tree_.is_hollow(chain[i]);
        if (!is_kept) first_kept = i + 1;
        if (is_kept && i == n_sinks_kept) ++n_sinks_kept;
        const auto n_tokens = static_cast<std::uint32_t>(i + 1) * kTokensPerPage;
        const std::size_t first_seen = first_page_in_window(*options_.window, n_tokens);
        const bool has_sinks = n_sinks_kept >= std::min(n_sinks, i + 1);
        if (has_sinks && first_kept <= first_seen) longest = i + 1;
    }
    return longest;
}

/// Once a sequence holds what it can hold at once, it gives up one page for each that it takes:
/// those of the chain that it holds alone count for that.
KvCache::Needs KvCache::needs_of(const std::vector<NodeId>& chain, std::uint32_t n_pages) const {
    Needs needs;
    std::uint32_t n_idle = 0;
    for (std::uint32_t i = 0; i < chain.size(); ++i) {
        if (!is_held(i, chain.size())) continue;
        needs.held.push_back(chain[i]);
        n_idle += is_idle(chain[i]) ? 1 : 0;
    }
    const auto n_left = n_pages - static_cast<std::uint32_t>(chain.size());
    needs.n_new = std::min(n_left, max_held_ - std::min(max_held_, n_idle));
    return needs;
}

/// The chain's pages become the sequence's, as far as their content is not lost.
void KvCache::lease_chain(Sequence& sequence, const std::vector<NodeId>& chain,
                          std::span<const TokenId> prompt) {
    bool has_gap = false;
    for (std::uint32_t i = 0; i < chain.size(); ++i) {
        if (!is_held(i, chain.size())) {
            sequence.pass_over(chain[i]);
            has_gap = true;
        } else {
            if (i > 0 && !sequence.leases_[i - 1]) cut(chain[i]);
            if (!sequence.adopt(chain[i])) {
                // A shorter match would need pages that this one does without.
                if (has_gap) sequence.give_up_chain();
                break;
            }
        }
        const PageTokens tokens = prompt.subspan(sequence.tokens_.size()).first<kTokensPerPage>();
        sequence.tokens_.insert(sequence.tokens_.end(), tokens.begin(), tokens.end());
    }
    for (std::size_t i = 0; i < sequence.pages_.size(); ++i)
        if (!sequence.leases_[i]) sequence.pages_[i] = sequence.pages_.back();  // one that exists
}

/// The node does without its parent, which then may go.
void KvCache::cut(NodeId node) {
    tree_.cut(node);
    queue_parent(tree_.parent(node));
}

/// The hollow node's page has been computed anew.
void KvCache::fill(NodeId node, PageId page, GroupId group) {
    tree_.fill(node, page);
    claims_.page_changed(node);
    node_groups_[to_index(node)] = group;
    pool_.keep(page);
}

/// The node's page is outside the window: only its place in the path counts.
void KvCache::Sequence::pass_over(NodeId node) {
    leases_.emplace_back();
    pages_.push_back(PageId{});
    nodes_.push_back(node);
    if (known_hits_.size() < nodes_.size()) known_hits_.push_back(0);
}

void KvCache::Sequence::pass(PageTokens tokens) {
    KVASIR_CHECK(cache_ != nullptr && cache_->options_.window, "only what has a window can pass");
    KVASIR_CHECK(tokens_.size() == pages_.size() * kTokensPerPage &&
                     max_tokens_ - tokens_.size() >= kTokensPerPage,
                 "whole pages are passed, within max_tokens");
    leases_.emplace_back();
    pages_.push_back(PageId{});
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

/// The places of what was passed, before the page that ends it is entered. False: the tree has no
/// room for all of them.
bool KvCache::Sequence::enter_passed(std::size_t end) {
    KvCache& cache = *cache_;
    const std::size_t begin = nodes_.size();
    if (begin == end) return true;
    std::vector<NodeId> known;
    NodeId parent = tip();
    for (std::size_t i = begin; i < end; ++i) {
        const auto node = cache.tree_.find(domain_, parent, tokens_of_page(i));
        if (!node) break;
        parent = *node;
        known.push_back(*node);
    }
    if (end - begin - known.size() >= cache.tree_.n_unused()) return false;
    nodes_.insert(nodes_.end(), known.begin(), known.end());
    for (std::size_t i = nodes_.size(); i < end; ++i) {
        const PageTokens tokens = tokens_of_page(i);
        const PathHash path = Retainer::next_path(cache.path_before(domain_, tip()), tokens);
        const NodeId node = cache.tree_.insert_hollow(domain_, tip(), tokens);
        cache.node_groups_[to_index(node)] = group_;
        cache.retainer_.enter(node, path, static_cast<std::uint32_t>(i), 0);
        nodes_.push_back(node);
    }
    return true;
}

/// As if nothing had been found.
void KvCache::Sequence::give_up_chain() {
    for (std::size_t i = leases_.size(); i > 0; --i)
        if (leases_[i - 1]) cache_->unlease_node(nodes_[i - 1], std::move(leases_[i - 1]));
    leases_.clear();
    pages_.clear();
    nodes_.clear();
    known_hits_.clear();
    wipe(tokens_);
    tokens_.clear();
    n_owed_ = cache_->held_pages(max_tokens_);
    n_owed_ -= std::min(n_owed_, n_reserved_);
    collect_owed();
}

void KvCache::Sequence::collect_owed() {
    const auto n_left = max_tokens_ / kTokensPerPage - static_cast<std::uint32_t>(pages_.size());
    n_owed_ = std::min(n_owed_, n_left - std::min(n_left, n_reserved_));
    while (n_owed_ > 0 && cache_->fits(group_, 1, 0)) {
        --n_owed_;
        ++n_reserved_;
        ++cache_->groups_[to_index(group_)].n_reserved;
        ++cache_->stats_.n_reserved;
    }
}

std::uint32_t KvCache::Sequence::max_step_tokens() {
    KVASIR_CHECK(cache_ != nullptr, "an empty sequence takes no tokens");
    collect_owed();
    const std::uint64_t n_pages = pages_.size() + n_reserved_;
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(max_tokens_, n_pages * kTokensPerPage + kTokensPerPage - 1) -
        tokens_.size());
}

/// What this sequence has rolled past, its first n_nodes nodes, is claimed while it runs.
void KvCache::Sequence::claim_rolled(std::size_t n_nodes) {
    const NodeId tip = nodes_[n_nodes - 1];
    if (rolled_ == kNoBranch) rolled_ = cache_->claims_.open();
    cache_->move_branch(rolled_, tip);
}

/// Gives up what the next token does not see any more, but never the last page in the tree: its
/// node is what the next ones follow.
void KvCache::Sequence::roll_out() {
    if (!cache_->options_.window) return;
    const AttentionWindow& window = *cache_->options_.window;
    const auto n_full = static_cast<std::uint32_t>(tokens_.size() / kTokensPerPage);
    const std::uint32_t end = std::min(first_page_in_window(window, n_tokens()), n_full);
    const std::uint32_t begin = std::max(n_rolled_, n_sink_pages(window));
    if (begin >= end) return;
    if (const std::size_t n_nodes = std::min<std::size_t>(end, nodes_.size()); n_nodes > 0)
        claim_rolled(n_nodes);
    const auto n_entered = static_cast<std::uint32_t>(nodes_.size());
    for (std::uint32_t i = begin; i < end; ++i) {
        if (!leases_[i] || i + 1 == n_entered) continue;
        PageLease lease = std::move(leases_[i]);
        ++n_owed_;
        if (i >= n_entered) continue;  // free when the lease goes
        cache_->cut(nodes_[i + 1]);
        cache_->retainer_.used(nodes_[i], static_cast<std::uint32_t>(known_hits_.size()), n_entered,
                               cache_->now_ms_);
        cache_->unlease_node(nodes_[i], std::move(lease));
    }
    n_rolled_ = n_entered == 0 ? end : std::min(end, n_entered - 1);
    collect_owed();
}

}  // namespace kvasir
