// KvCache::Sequence: one running sequence's pages, from its reservation into the tree.
#include <algorithm>
#include <utility>

#include "cache/kv_cache.hpp"
#include "config/base/check.hpp"
#include "config/base/wipe.hpp"

namespace kvasir {

void KvCache::Sequence::swap(Sequence& other) noexcept {
    std::swap(cache_, other.cache_);
    std::swap(domain_, other.domain_);
    std::swap(group_, other.group_);
    std::swap(max_tokens_, other.max_tokens_);
    std::swap(n_cached_tokens_, other.n_cached_tokens_);
    std::swap(n_reserved_, other.n_reserved_);
    std::swap(n_owed_, other.n_owed_);
    std::swap(n_rolled_, other.n_rolled_);
    std::swap(rolled_, other.rolled_);
    std::swap(lookup_, other.lookup_);
    std::swap(keep_, other.keep_);
    std::swap(miss_, other.miss_);
    tokens_.swap(other.tokens_);
    pages_.swap(other.pages_);
    leases_.swap(other.leases_);
    nodes_.swap(other.nodes_);
    known_hits_.swap(other.known_hits_);
}

/// False: the page was in a lower tier, and its content is lost.
bool KvCache::Sequence::adopt(NodeId node) {
    if (cache_->tree_.is_resident(node)) {
        leases_.push_back(cache_->lease_node(node));
    } else if (!cache_->fetch(node, *this)) {
        return false;
    }
    pages_.push_back(cache_->tree_.page(node));
    nodes_.push_back(node);
    // Of pages in the tree only the number matters here; their hits are the retainer's.
    if (known_hits_.size() < nodes_.size()) known_hits_.push_back(0);
    return true;
}

PageId KvCache::Sequence::ensure_page(std::uint32_t page_index) {
    KVASIR_CHECK(cache_ != nullptr, "an empty sequence has no pages");
    KVASIR_CHECK(page_index < max_tokens_ / kTokensPerPage, "a page ends within max_tokens");
    while (pages_.size() <= page_index) {
        KVASIR_CHECK(n_reserved_ > 0, "a step adds at most max_step_tokens");
        leases_.push_back(cache_->take_reserved_page(group_));
        pages_.push_back(leases_.back().page());
        --n_reserved_;
    }
    return pages_[page_index];
}

void KvCache::Sequence::found_open(std::span<const TokenId> tokens) {
    KVASIR_CHECK(cache_ != nullptr && tokens_.size() == nodes_.size() * kTokensPerPage &&
                     tokens.size() < kTokensPerPage,
                 "an open page follows the last page in the tree");
    const auto n = static_cast<std::uint32_t>(tokens.size());
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    if (n_cached_tokens_ == 0) {
        ++cache_->stats_.n_hits;
        --cache_->stats_.n_misses;
    }
    n_cached_tokens_ += n;
    cache_->stats_.n_tokens_reused += n;
}

void KvCache::Sequence::append(std::span<const TokenId> tokens) {
    KVASIR_CHECK(cache_ != nullptr, "an empty sequence takes no tokens");
    KVASIR_CHECK(tokens.size() <= max_tokens_ - tokens_.size(), "max_tokens is kept");
    KVASIR_CHECK((tokens_.size() + tokens.size()) / kTokensPerPage <= pages_.size(),
                 "a page is ensured before the step that fills it");
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

void KvCache::Sequence::commit(std::uint64_t now_ms) {
    KVASIR_CHECK(cache_ != nullptr, "an empty sequence has nothing to commit");
    cache_->see_time(now_ms);
    if (cache_->options_.reuse) enter_full_pages();
    roll_out();
}

void KvCache::Sequence::enter_full_pages() {
    const std::size_t n_full = tokens_.size() / kTokensPerPage;
    while (nodes_.size() < n_full) {
        // Passed, or rolled past because the tree was full when it was computed.
        std::size_t next = nodes_.size();
        while (next < n_full && !leases_[next]) ++next;
        if (next == n_full || !enter_passed(next)) return;
        const NodeId node = enter_page(next);
        if (node == kNoNode) return;
        nodes_.push_back(node);
    }
}

/// kNoNode: hollow nodes take all the space in the tree.
NodeId KvCache::Sequence::enter_page(std::size_t i) {
    KvCache& cache = *cache_;
    const NodeId parent = i == 0 ? kNoNode : nodes_[i - 1];
    const bool is_after_passed = i > 0 && !leases_[i - 1];
    const PageTokens tokens = tokens_of_page(i);
    NodeId node = cache.tree_.find(domain_, parent, tokens).value_or(kNoNode);
    const bool is_hollow = node != kNoNode && cache.tree_.is_hollow(node);
    // Where a common page would cost others their reserve, the sequence keeps its own. A hollow
    // one is for its domain to fill.
    const bool is_ours = is_hollow ? cache.tree_.domain(node) == domain_
                                   : node != kNoNode && cache.can_adopt(node, group_);
    if (is_ours && !is_hollow) {
        if (is_after_passed) cache.cut(node);
        if (!cache.tree_.is_resident(node)) {
            cache.take_back(node, pages_[i]);
            return node;
        }
        leases_[i] = cache.lease_node(node);  // our own page, never kept, is free again
        pages_[i] = leases_[i].page();
        ++cache.stats_.n_duplicates;
        return node;
    }
    if (is_ours) {
        cache.fill(node, pages_[i], group_);
    } else {
        if (cache.tree_.is_full()) return kNoNode;
        node = cache.tree_.insert(domain_, parent, tokens, pages_[i]).node;
        cache.node_groups_[to_index(node)] = group_;
        cache.pool_.keep(pages_[i]);
    }
    ++cache.domains_.find(domain_)->second.n_pages;
    const PathHash path = Retainer::next_path(cache.path_before(domain_, parent), tokens);
    cache.dropped_.forget(path);
    cache.retainer_.tick();
    cache.retainer_.enter(node, path, static_cast<std::uint32_t>(i),
                          i < known_hits_.size() ? known_hits_[i] : 0);
    if (is_after_passed) cache.cut(node);
    return node;
}

std::uint32_t KvCache::Sequence::extend_match(std::span<const TokenId> prompt,
                                              std::uint64_t now_ms) {
    KVASIR_CHECK(cache_ != nullptr, "an empty sequence matches nothing");
    KVASIR_CHECK(prompt.size() >= tokens_.size() && prompt.size() <= max_tokens_,
                 "the prompt starts with the sequence's tokens and fits in max_tokens");
    if (!cache_->options_.reuse || !lookup_ || pages_.size() != nodes_.size() ||
        tokens_.size() != nodes_.size() * kTokensPerPage)
        return 0;
    cache_->see_time(now_ms);
    std::uint32_t n_gained = 0;
    // The page of the last query is never reused.
    while (prompt.size() - tokens_.size() > kTokensPerPage) {
        const PageTokens tokens = prompt.subspan(tokens_.size()).first<kTokensPerPage>();
        const auto node = cache_->tree_.find(domain_, tip(), tokens);
        if (!node || cache_->tree_.is_hollow(*node) || !cache_->can_adopt(*node, group_)) break;
        if (n_reserved_ == 0) break;  // others lease what this one has rolled past
        const bool is_resident = cache_->tree_.is_resident(*node);
        if (!adopt(*node)) break;
        if (is_resident) {  // one promised page less, one page leased: never short
            --n_reserved_;
            --cache_->groups_[to_index(group_)].n_reserved;
            --cache_->stats_.n_reserved;
        }
        tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
        n_gained += kTokensPerPage;
    }
    n_cached_tokens_ += n_gained;
    cache_->stats_.n_tokens_reused += n_gained;
    roll_out();
    return n_gained;
}

void KvCache::Sequence::release(std::uint64_t now_ms) {
    commit(now_ms);
    discard();
}

void KvCache::Sequence::discard() noexcept {
    if (cache_ == nullptr) return;
    KvCache& cache = *std::exchange(cache_, nullptr);
    cache.retainer_.tick();  // so that two releases never share a moment
    // Of common prefixes an anonymous claim covers what its own pages follow, not the prefix alone:
    // that is kept by its name.
    if (keep_ == Keep::anonymously && !nodes_.empty() &&
        cache.tree_.domain(nodes_.back()) == domain_)
        cache.claims_.claim_anonymously(nodes_.back());
    const auto n_known = static_cast<std::uint32_t>(known_hits_.size());
    const auto n_entered = static_cast<std::uint32_t>(nodes_.size());
    // Deepest first, so that each page is a leaf or under a leased one when its turn comes.
    for (std::size_t i = leases_.size(); i > 0; --i) {
        PageLease lease = std::move(leases_[i - 1]);
        // Not entered: free when the lease goes. Rolled past: done with.
        if (i > nodes_.size() || !lease) continue;
        cache.retainer_.used(nodes_[i - 1], n_known, n_entered, cache.now_ms_);
        cache.unlease_node(nodes_[i - 1], std::move(lease));
    }
    if (rolled_ != kNoBranch) cache.close_branch(std::exchange(rolled_, kNoBranch));
    cache.groups_[to_index(group_)].n_reserved -= n_reserved_;
    cache.stats_.n_reserved -= std::exchange(n_reserved_, 0);
    --cache.stats_.n_sequences;
    --cache.domains_.find(domain_)->second.n_sequences;
    cache.forget_unused(domain_);
    leases_.clear();
    pages_.clear();
    nodes_.clear();
    wipe(tokens_);
    known_hits_.clear();
    n_owed_ = 0;
    n_rolled_ = 0;
    keep_ = Keep::anonymously;
    miss_ = Miss::none;
}

}  // namespace kvasir
