#include "cache/kv_cache.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "config/base/check.hpp"

namespace kvasir {

KvCache::KvCache(const Options& options)
    : options_(options),
      pool_(options.n_pages),
      tree_(options.n_pages, options.hash_seed, options.hash),
      claims_(tree_, options.n_pages),
      retainer_(options.retention, options.n_pages, options.hash_seed),
      dropped_(options.n_pages) {}

KvCache::~KvCache() {
    KVASIR_CHECK(stats_.n_sequences == 0, "a sequence outlives its cache");
    while (!pins_.empty()) unpin_branch(pins_.begin()->first);
}

Result<KvCache::Sequence> KvCache::begin(DomainId domain, std::span<const TokenId> prompt,
                                         std::uint32_t max_tokens, std::uint64_t now_ms,
                                         Lookup lookup) {
    if (prompt.empty()) return Error{ErrorCode::invalid_argument, "prompt: empty"};
    if (max_tokens < prompt.size()) {
        return Error{ErrorCode::invalid_argument, "max_tokens: " + std::to_string(max_tokens) +
                                                      ", expected at least the prompt's " +
                                                      std::to_string(prompt.size())};
    }
    const std::uint32_t n_pages = max_tokens / kTokensPerPage;
    if (n_pages > pool_.n_pages()) {
        return Error{ErrorCode::too_large, "sequence: " + std::to_string(n_pages) +
                                               " pages, the pool has " +
                                               std::to_string(pool_.n_pages())};
    }
    see_time(now_ms);

    // Everything that can throw for memory comes before the first lease.
    std::vector<NodeId> chain;
    if (options_.reuse && lookup == Lookup::allowed)
        chain = tree_.match(domain, prompt.first(prompt.size() - 1));
    Sequence sequence;
    sequence.tokens_.reserve(max_tokens);
    sequence.pages_.reserve(n_pages);
    sequence.leases_.reserve(n_pages);
    sequence.nodes_.reserve(n_pages);
    sequence.known_hits_.reserve(n_pages);
    retainer_.refresh();
    sequence.domain_ = domain;
    sequence.max_tokens_ = max_tokens;
    sequence.lookup_ = lookup == Lookup::allowed;

    // Cached pages of the match stop being evictable, so they no longer stand behind anyone's
    // reservation.
    const auto n_matched = static_cast<std::uint32_t>(chain.size());
    const auto n_newly_leased = static_cast<std::uint32_t>(std::ranges::count_if(
        chain, [&](NodeId node) { return pool_.state(tree_.page(node)) == PageState::cached; }));
    const std::uint32_t n_to_reserve = n_pages - n_matched;
    const std::uint64_t n_available =
        std::uint64_t{pool_.n_free()} + pool_.n_cached() - stats_.n_reserved;
    const std::uint64_t n_needed = std::uint64_t{n_newly_leased} + n_to_reserve;
    if (n_needed > n_available) {
        return Error{ErrorCode::exhausted, "pages: " + std::to_string(n_needed) + " needed, " +
                                               std::to_string(n_available) +
                                               " not held by running sequences"};
    }

    ++domains_[domain].n_sequences;  // the last that can throw
    sequence.cache_ = this;
    sequence.n_reserved_ = n_to_reserve;
    stats_.n_reserved += n_to_reserve;
    ++stats_.n_sequences;
    for (std::size_t i = 0; i < n_matched; ++i) {
        sequence.adopt(chain[i]);
        const PageTokens tokens = prompt.subspan(i * kTokensPerPage).first<kTokensPerPage>();
        sequence.tokens_.insert(sequence.tokens_.end(), tokens.begin(), tokens.end());
    }
    sequence.n_cached_tokens_ = n_matched * kTokensPerPage;
    if (options_.reuse) {
        sequence.miss_ = find_miss(sequence, prompt);
        recall(sequence, prompt);
    }
    ++(n_matched > 0 ? stats_.n_hits : stats_.n_misses);
    stats_.n_tokens_asked += prompt.size();
    stats_.n_tokens_reused += sequence.n_cached_tokens_;
    return sequence;
}

PageLease KvCache::lease_node(NodeId node) {
    if (retainer_.is_queued(node)) retainer_.unqueue(node);
    retainer_.found(node, pool_.state(tree_.page(node)) == PageState::cached);
    retainer_.tick();
    return pool_.lease(tree_.page(node));
}

void KvCache::unlease_node(NodeId node, PageLease lease) {
    lease.reset();
    if (pool_.state(tree_.page(node)) != PageState::cached) return;
    if (!claims_.is_claimed(node)) {  // then nothing claimed or leased follows it
        drop_unclaimed(node, DropReason::ended);
        return;
    }
    retainer_.wait(node);
    if (tree_.is_leaf(node)) queue(node);
}

void KvCache::queue(NodeId node) {
    retainer_.queue(node, claims_.n_branches(node) > 0 ? Standing::held : Standing::anonymous);
}

/// The path that a page of this domain after parent goes on from.
PathHash KvCache::path_before(DomainId domain, NodeId parent) const {
    if (parent == kNoNode) return retainer_.start_of(domain);
    const PathHash path = retainer_.path_of(parent);
    return tree_.domain(parent) == domain ? path : retainer_.leave_common(path, domain);
}

KvCache::Miss KvCache::find_miss(const Sequence& sequence, std::span<const TokenId> prompt) const {
    const std::size_t at = sequence.nodes_.size() * kTokensPerPage;
    if ((prompt.size() - 1) / kTokensPerPage == sequence.nodes_.size()) return Miss::none;
    const PathHash path = Retainer::next_path(path_before(sequence.domain_, sequence.tip()),
                                              prompt.subspan(at).first<kTokensPerPage>());
    if (!dropped_.knows(path)) return Miss::never_seen;
    return dropped_.has_expired(path) ? Miss::expired : Miss::evicted;
}

/// What the history knows of the prompt's pages that are not in the cache.
void KvCache::recall(Sequence& sequence, std::span<const TokenId> prompt) {
    PathHash path = path_before(sequence.domain_, sequence.tip());
    const std::size_t n_pages = (prompt.size() - 1) / kTokensPerPage;
    for (std::size_t i = sequence.nodes_.size(); i < n_pages; ++i) {
        path =
            Retainer::next_path(path, prompt.subspan(i * kTokensPerPage).first<kTokensPerPage>());
        if (!retainer_.samples(path)) continue;
        const auto wait = retainer_.ask(path);
        if (!wait) break;
        // Whoever asked for this page asked for those before it, sampled or not.
        sequence.known_hits_.resize(i + 1, wait->n_hits + 1);
    }
}

/// REQUIRES: a cached leaf, not queued.
void KvCache::evict(NodeId node, DropReason reason) {
    const NodeId parent = tree_.parent(node);
    dropped_.remember(retainer_.path_of(node), reason);
    claims_.forget(node);
    const DomainId domain = tree_.domain(node);
    --domains_.find(domain)->second.n_pages;
    forget_unused(domain);
    pool_.free(tree_.page(node));
    tree_.remove(node);
    switch (reason) {
        case DropReason::space: ++stats_.n_evicted_for_space; break;
        case DropReason::request: ++stats_.n_evicted_by_request; break;
        case DropReason::expired: ++stats_.n_evicted_expired; break;
        case DropReason::ended: ++stats_.n_evicted_ended; break;
    }
    if (parent == kNoNode || !tree_.is_leaf(parent)) return;
    if (pool_.state(tree_.page(parent)) == PageState::cached && claims_.is_claimed(parent))
        queue(parent);  // unclaimed ones are on their way out
}

void KvCache::forget_unused(DomainId domain) noexcept {
    const auto found = domains_.find(domain);
    if (found->second.n_pages == 0 && found->second.n_sequences == 0) domains_.erase(found);
}

/// REQUIRES: cached and unclaimed.
void KvCache::drop_unclaimed(NodeId node, DropReason reason) {
    if (retainer_.is_queued(node)) retainer_.unqueue(node);
    retainer_.forget(node);
    evict(node, reason);
}

PageLease KvCache::take_reserved_page() {
    KVASIR_CHECK(stats_.n_reserved > 0, "a page is taken from a reservation");
    --stats_.n_reserved;
    auto lease = pool_.acquire();
    if (!lease) {
        evict(retainer_.pop(), DropReason::space);
        lease = pool_.acquire();
    }
    return std::move(*lease);
}

std::uint32_t KvCache::trim(std::uint32_t n) {
    std::uint32_t n_evicted = 0;
    for (; n_evicted < n && !retainer_.empty(); ++n_evicted)
        evict(retainer_.pop(), DropReason::request);
    return n_evicted;
}

std::uint32_t KvCache::drop_domain(DomainId domain, std::uint32_t n_pages) {
    std::uint32_t n_evicted = 0;
    for (std::uint32_t i = 0; i < tree_.id_limit() && n_evicted < n_pages; ++i) {
        // From a leaf upwards, as far as nothing else hangs on the branch.
        NodeId node{i};
        while (node != kNoNode && retainer_.is_queued(node) && tree_.domain(node) == domain &&
               n_evicted < n_pages) {
            const NodeId parent = tree_.parent(node);
            retainer_.unqueue(node);
            retainer_.forget(node);
            evict(node, DropReason::request);
            ++n_evicted;
            node = parent;
        }
    }
    return n_evicted;
}

void KvCache::see_time(std::uint64_t now_ms) {
    now_ms_ = std::max(now_ms_, now_ms);
}

KvCache::Stats KvCache::stats() const {
    Stats stats = stats_;
    stats.n_pages = pool_.n_pages();
    stats.n_free = pool_.n_free();
    stats.n_cached = pool_.n_cached();
    stats.n_leased = pool_.n_leased();
    stats.n_held = claims_.n_held();
    return stats;
}

void KvCache::check_invariants() const {
    pool_.check_invariants();
    tree_.check_invariants();
    retainer_.check_invariants();
    claims_.check_invariants();
    KVASIR_CHECK(
        std::uint64_t{stats_.n_reserved} <= std::uint64_t{pool_.n_free()} + pool_.n_cached(),
        "every reserved page can be had");
    std::vector<bool> entered(pool_.n_pages());
    std::uint32_t n_cached = 0;
    std::map<DomainId, std::uint32_t> n_pages;
    for (std::uint32_t i = 0; i < tree_.id_limit(); ++i) {
        const NodeId node{i};
        if (!tree_.contains(node)) {
            KVASIR_CHECK(!retainer_.is_queued(node), "what is queued is in the tree");
            continue;
        }
        const PageId page = tree_.page(node);
        const PageState state = pool_.state(page);
        ++n_pages[tree_.domain(node)];
        KVASIR_CHECK(!entered[to_index(page)], "a page is in the tree once");
        entered[to_index(page)] = true;
        KVASIR_CHECK(state != PageState::free, "a page in the tree has content");
        const bool cached = state == PageState::cached;
        if (cached) ++n_cached;
        KVASIR_CHECK(!cached || claims_.is_claimed(node), "what is cached is claimed");
        KVASIR_CHECK(retainer_.is_queued(node) == (cached && tree_.is_leaf(node)),
                     "the queue holds the cached leaves");
        const NodeId parent = tree_.parent(node);
        KVASIR_CHECK(
            cached || parent == kNoNode || pool_.state(tree_.page(parent)) == PageState::leased,
            "a leased page's parent is leased");
    }
    KVASIR_CHECK(n_cached == pool_.n_cached(), "every cached page is in the tree");
    std::uint32_t n_sequences = 0;
    for (const auto& [domain, use] : domains_) {
        KVASIR_CHECK(use.n_pages + use.n_sequences > 0, "a domain listed has something");
        KVASIR_CHECK(use.n_pages == n_pages[domain], "every domain's pages are counted");
        n_sequences += use.n_sequences;
    }
    for (const auto& [domain, n] : n_pages)
        KVASIR_CHECK(n == 0 || domains_.contains(domain), "every domain with pages is listed");
    KVASIR_CHECK(n_sequences == stats_.n_sequences, "every domain's sequences are counted");
}

}  // namespace kvasir
