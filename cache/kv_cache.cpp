#include "cache/kv_cache.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "config/base/check.hpp"

namespace kvasir {

KvCache::KvCache(const Options& options)
    : options_(options),
      max_held_(options.window ? max_held_pages(*options.window) : 0xffffffffU),
      pool_(options.n_pages, options.groups.size() + kFirstListedGroup),
      tree_(options.n_nodes(), options.hash_seed, options.hash),
      claims_(tree_, options.n_nodes()),
      retainer_(options.retention, options.n_pages + options.n_host_slots, options.n_hollow_nodes,
                options.n_host_slots, options.hash_seed, options.groups.size() + kFirstListedGroup),
      dropped_(options.n_pages + options.n_host_slots) {
    groups_.resize(kFirstListedGroup);
    std::uint64_t n_kept = 0;
    for (const auto& [domain, limits] : options.groups) {
        KVASIR_CHECK(limits.reserve <= limits.cap, "a reserve is at most its cap");
        groups_.push_back({.limits = limits});
        n_kept += limits.reserve;
    }
    KVASIR_CHECK(n_kept <= options.n_pages, "there are pages for all reserves");
    node_groups_.resize(options.n_nodes());
    if (options.note_freed) pool_.note_freed();
    KVASIR_CHECK(options.n_host_slots == 0 || options.mover != nullptr, "a tier has a mover");
    free_slots_.reserve(options.n_host_slots);
    for (std::uint32_t i = options.n_host_slots; i > 0; --i) free_slots_.push_back(HostSlot{i - 1});
}

KvCache::~KvCache() {
    KVASIR_CHECK(stats_.n_sequences == 0, "a sequence outlives its cache");
    while (!pins_.empty()) unpin_branch(pins_.begin()->first);
}

Result<KvCache::Sequence> KvCache::begin(DomainId domain, std::span<const TokenId> prompt,
                                         std::uint32_t max_tokens, std::uint64_t now_ms,
                                         Lookup lookup, std::optional<DomainId> owner) {
    if (prompt.empty()) return Error{ErrorCode::invalid_argument, "prompt: empty"};
    if (max_tokens < prompt.size()) {
        return Error{ErrorCode::invalid_argument, "max_tokens: " + std::to_string(max_tokens) +
                                                      ", expected at least the prompt's " +
                                                      std::to_string(prompt.size())};
    }
    const std::uint32_t n_pages = max_tokens / kTokensPerPage;
    const auto known = domains_.find(domain);
    const GroupId group =
        known != domains_.end() ? known->second.group : group_of(owner.value_or(domain));
    see_time(now_ms);

    // Everything that can throw for memory comes before the first lease.
    std::vector<NodeId> chain;
    if (options_.reuse && lookup == Lookup::allowed)
        chain = tree_.match(domain, prompt.first(prompt.size() - 1));
    const std::size_t n_known_nodes = chain.size();
    chain.resize(usable_length(chain));
    KVASIR_TRY_VOID(admit(group, chain, n_pages));
    Sequence sequence;
    sequence.tokens_.reserve(max_tokens);
    sequence.pages_.reserve(n_pages);
    sequence.leases_.reserve(n_pages);
    sequence.nodes_.reserve(n_pages);
    sequence.known_hits_.reserve(n_pages);
    retainer_.refresh();
    sequence.domain_ = domain;
    sequence.group_ = group;
    sequence.max_tokens_ = max_tokens;
    sequence.lookup_ = lookup == Lookup::allowed;

    const Needs needs = needs_of(chain, n_pages);
    const auto n_to_fetch = static_cast<std::uint32_t>(
        std::ranges::count_if(needs.held, [&](NodeId node) { return !tree_.is_resident(node); }));
    const std::uint32_t n_to_reserve = needs.n_new + n_to_fetch;
    // The last that can throw.
    DomainUse& use =
        domains_.try_emplace(domain, DomainUse{.owner = owner.value_or(domain), .group = group})
            .first->second;
    ++use.n_sequences;
    sequence.cache_ = this;
    sequence.n_reserved_ = n_to_reserve;
    groups_[to_index(group)].n_reserved += n_to_reserve;
    stats_.n_reserved += n_to_reserve;
    ++stats_.n_sequences;
    // While pages are fetched for the first of the chain, the last must not be dropped for them.
    for (const NodeId node : needs.held)
        if (retainer_.is_queued(node)) retainer_.unqueue(node);
    lease_chain(sequence, chain, prompt);
    for (const NodeId node : needs.held)
        if (is_queueable(node)) queue(node);  // it was not fetched
    sequence.n_cached_tokens_ = static_cast<std::uint32_t>(sequence.tokens_.size());
    if (options_.reuse) {
        sequence.miss_ = find_miss(sequence, prompt, n_known_nodes);
        recall(sequence, prompt);
    }
    ++(sequence.n_cached_tokens_ > 0 ? stats_.n_hits : stats_.n_misses);
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
    if (!is_cached(node)) return;
    if (!claims_.is_claimed(node)) {  // then nothing claimed follows it, and what is leased is cut
        drop_unclaimed(node, DropReason::ended);
        return;
    }
    retainer_.wait(node);
    if (is_queueable(node)) queue(node);
}

/// Whether the node can leave its tier next: nothing of its path follows there.
bool KvCache::is_queueable(NodeId node) const {
    if (retainer_.is_queued(node)) return false;
    if (tree_.is_hollow(node)) return false;
    return tree_.is_resident(node) ? is_cached(node) && tree_.is_frontier(node)
                                   : tree_.is_end(node);
}

void KvCache::queue(NodeId node) {
    retainer_.queue(node, claims_.n_branches(node) > 0 ? Standing::held : Standing::anonymous,
                    node_groups_[to_index(node)],
                    tree_.is_resident(node) ? Tier::device : Tier::host);
}

/// Its claims have changed.
void KvCache::requeue(NodeId node) {
    if (!retainer_.is_queued(node)) return;
    retainer_.unqueue(node);
    queue(node);
}

/// A node after parent has left parent's tier, or the tree.
void KvCache::queue_parent(NodeId parent) {
    // Unclaimed ones are on their way out.
    if (parent != kNoNode && claims_.is_claimed(parent) && is_queueable(parent)) queue(parent);
}

/// The path that a page of this domain after parent goes on from.
PathHash KvCache::path_before(DomainId domain, NodeId parent) const {
    if (parent == kNoNode) return retainer_.start_of(domain);
    const PathHash path = retainer_.path_of(parent);
    return tree_.domain(parent) == domain ? path : retainer_.leave_common(path, domain);
}

/// n_known_nodes: of the prompt's path in the tree, usable or not.
KvCache::Miss KvCache::find_miss(const Sequence& sequence, std::span<const TokenId> prompt,
                                 std::size_t n_known_nodes) const {
    const std::size_t at = sequence.nodes_.size() * kTokensPerPage;
    if ((prompt.size() - 1) / kTokensPerPage == sequence.nodes_.size()) return Miss::none;
    if (options_.window && n_known_nodes > sequence.nodes_.size()) return Miss::evicted;
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

/// REQUIRES: an end with a page that nobody has leased, not queued. Hollow nodes that then say what
/// came before nothing leave the tree with it.
void KvCache::evict(NodeId node, DropReason reason) {
    NodeId parent = tree_.parent(node);
    dropped_.remember(retainer_.path_of(node), reason);
    if (options_.open_slots != nullptr) options_.open_slots->forget(node);
    const DomainId domain = tree_.domain(node);
    --domains_.find(domain)->second.n_pages;
    forget_unused(domain);
    if (tree_.is_resident(node)) {
        pool_.free(tree_.page(node));
    } else {
        options_.mover->drop(tree_.slot(node));
        free_slots_.push_back(tree_.slot(node));
        --groups_[to_index(node_groups_[to_index(node)])].n_on_host;
    }
    if (tree_.is_leaf(node)) {
        claims_.forget(node);
        tree_.remove(node);
    } else {
        tree_.hollow_out(node);
        claims_.page_changed(node);
    }
    switch (reason) {
        case DropReason::space: ++stats_.n_evicted_for_space; break;
        case DropReason::request: ++stats_.n_evicted_by_request; break;
        case DropReason::expired: ++stats_.n_evicted_expired; break;
        case DropReason::ended: ++stats_.n_evicted_ended; break;
    }
    while (parent != kNoNode && tree_.is_hollow(parent) && tree_.is_leaf(parent)) {
        const NodeId hollow = std::exchange(parent, tree_.parent(parent));
        claims_.forget(hollow);
        tree_.remove(hollow);
    }
    queue_parent(parent);
}

void KvCache::forget_unused(DomainId domain) noexcept {
    const auto found = domains_.find(domain);
    if (found->second.n_pages == 0 && found->second.n_sequences == 0) domains_.erase(found);
}

/// REQUIRES: idle and unclaimed.
void KvCache::drop_unclaimed(NodeId node, DropReason reason) {
    if (retainer_.is_queued(node)) retainer_.unqueue(node);
    retainer_.forget(node);
    evict(node, reason);
}

std::uint32_t KvCache::trim(std::uint32_t n) {
    std::uint32_t n_evicted = 0;
    // Host memory first: what lies there is worth least, and comes after what is on the device.
    for (; n_evicted < n && !retainer_.empty(Tier::host); ++n_evicted)
        evict(retainer_.pop(Tier::host), DropReason::request);
    for (; n_evicted < n && !retainer_.empty(Tier::device); ++n_evicted)
        evict(retainer_.pop(Tier::device), DropReason::request);
    return n_evicted;
}

std::uint32_t KvCache::drop_domain(DomainId domain, std::uint32_t n_pages) {
    std::uint32_t n_evicted = 0;
    for (std::uint32_t i = 0; i < tree_.id_limit() && n_evicted < n_pages; ++i) {
        // From a leaf upwards, as far as nothing else hangs on the branch.
        NodeId node{i};
        while (node != kNoNode && retainer_.is_queued(node) && tree_.is_end(node) &&
               domains_.find(tree_.domain(node))->second.owner == domain && n_evicted < n_pages) {
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
    stats.n_hollow = tree_.n_hollow();
    stats.n_host_slots = options_.n_host_slots;
    stats.n_on_host = options_.n_host_slots - static_cast<std::uint32_t>(free_slots_.size());
    return stats;
}

}  // namespace kvasir
