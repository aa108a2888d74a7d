#include "cache/kv_cache.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "config/base/check.hpp"

namespace kvasir {

KvCache::KvCache(const Options& options)
    : options_(options),
      pool_(options.n_pages, options.groups.size() + kFirstListedGroup),
      tree_(options.n_pages + options.n_host_slots, options.hash_seed, options.hash),
      claims_(tree_, options.n_pages + options.n_host_slots),
      retainer_(options.retention, options.n_pages + options.n_host_slots, options.n_host_slots,
                options.hash_seed, options.groups.size() + kFirstListedGroup),
      dropped_(options.n_pages + options.n_host_slots) {
    groups_.resize(kFirstListedGroup);
    std::uint64_t n_kept = 0;
    for (const auto& [domain, limits] : options.groups) {
        KVASIR_CHECK(limits.reserve <= limits.cap, "a reserve is at most its cap");
        groups_.push_back({.limits = limits});
        n_kept += limits.reserve;
    }
    KVASIR_CHECK(n_kept <= options.n_pages, "there are pages for all reserves");
    node_groups_.resize(options.n_pages + options.n_host_slots);
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

    const auto n_resident = static_cast<std::uint32_t>(
        std::ranges::count_if(chain, [&](NodeId node) { return tree_.is_resident(node); }));
    const std::uint32_t n_to_reserve = n_pages - n_resident;
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
    const NodeId last = chain.empty() ? kNoNode : chain.back();
    if (last != kNoNode && retainer_.is_queued(last)) retainer_.unqueue(last);
    for (const NodeId node : chain) {
        if (!sequence.adopt(node)) break;
        const PageTokens tokens = prompt.subspan(sequence.tokens_.size()).first<kTokensPerPage>();
        sequence.tokens_.insert(sequence.tokens_.end(), tokens.begin(), tokens.end());
    }
    if (last != kNoNode && is_queueable(last)) queue(last);  // it was not fetched
    sequence.n_cached_tokens_ = static_cast<std::uint32_t>(sequence.tokens_.size());
    if (options_.reuse) {
        sequence.miss_ = find_miss(sequence, prompt);
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
    if (!claims_.is_claimed(node)) {  // then nothing claimed or leased follows it
        drop_unclaimed(node, DropReason::ended);
        return;
    }
    retainer_.wait(node);
    if (is_queueable(node)) queue(node);
}

/// Whether the node can leave its tier next: nothing of its path follows there.
bool KvCache::is_queueable(NodeId node) const {
    if (retainer_.is_queued(node)) return false;
    return tree_.is_resident(node) ? is_cached(node) && tree_.is_frontier(node)
                                   : tree_.is_leaf(node);
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

/// REQUIRES: a leaf of the tree that nobody has leased, not queued.
void KvCache::evict(NodeId node, DropReason reason) {
    const NodeId parent = tree_.parent(node);
    dropped_.remember(retainer_.path_of(node), reason);
    claims_.forget(node);
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
    tree_.remove(node);
    switch (reason) {
        case DropReason::space: ++stats_.n_evicted_for_space; break;
        case DropReason::request: ++stats_.n_evicted_by_request; break;
        case DropReason::expired: ++stats_.n_evicted_expired; break;
        case DropReason::ended: ++stats_.n_evicted_ended; break;
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

/// REQUIRES: cached, on the frontier, not queued.
void KvCache::save(NodeId node, HostSlot slot) {
    options_.mover->save(tree_.page(node), slot);
    ++stats_.n_saved;
    pool_.free(tree_.page(node));
    tree_.move_out(node, slot);
    ++groups_[to_index(node_groups_[to_index(node)])].n_on_host;
    if (is_queueable(node)) queue(node);
    queue_parent(tree_.parent(node));
}

std::uint32_t KvCache::save_all() {
    std::uint32_t n_saved = 0;
    for (; !free_slots_.empty() && !retainer_.empty(Tier::device); ++n_saved) {
        const NodeId node = retainer_.pop(Tier::device);
        save(node, take_slot(node_groups_[to_index(node)]));
    }
    return n_saved;
}

/// kNoSlot: there is no host tier, or all of it belongs to the match that is being fetched; then
/// nothing of what leaves the device has anything after it there.
HostSlot KvCache::take_slot(GroupId saved) {
    if (free_slots_.empty() && !retainer_.empty(Tier::host)) {
        const NodeId node = choose_on_host(saved);
        retainer_.unqueue(node);
        evict(node, DropReason::space);
    }
    if (free_slots_.empty()) return kNoSlot;
    const HostSlot slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
}

/// The node's page has been computed anew: it is resident again, and the slot is free.
void KvCache::take_back(NodeId node, PageId page) {
    const HostSlot slot = tree_.slot(node);
    if (retainer_.is_queued(node)) retainer_.unqueue(node);
    options_.mover->drop(slot);
    free_slots_.push_back(slot);
    tree_.move_in(node, page);
    const GroupId group = node_groups_[to_index(node)];
    --groups_[to_index(group)].n_on_host;
    pool_.assign(page, group);
    pool_.keep(page);
    retainer_.found(node, true);
    retainer_.tick();
}

/// Back from host memory into a page that the sequence has reserved. False: its content is lost.
bool KvCache::fetch(NodeId node, Sequence& sequence) {
    // Making room for it must not push it out.
    if (retainer_.is_queued(node)) retainer_.unqueue(node);
    PageLease lease = take_reserved_page(sequence.group_);
    --sequence.n_reserved_;
    const HostSlot slot = tree_.slot(node);
    if (!options_.mover->load(slot, lease.page())) {
        lease.reset();
        ++sequence.n_reserved_;
        ++groups_[to_index(sequence.group_)].n_reserved;
        ++stats_.n_reserved;
        if (is_queueable(node)) queue(node);
        return false;
    }
    take_back(node, lease.page());
    ++stats_.n_loaded;
    sequence.leases_.push_back(std::move(lease));
    return true;
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
        while (node != kNoNode && retainer_.is_queued(node) && tree_.is_leaf(node) &&
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
    stats.n_host_slots = options_.n_host_slots;
    stats.n_on_host = options_.n_host_slots - static_cast<std::uint32_t>(free_slots_.size());
    return stats;
}

void KvCache::check_invariants() const {
    pool_.check_invariants();
    tree_.check_invariants();
    retainer_.check_invariants();
    claims_.check_invariants();
    check_groups();
    std::vector<bool> entered(pool_.n_pages());
    std::vector<bool> slots(options_.n_host_slots);
    std::uint32_t n_cached = 0;
    std::map<DomainId, std::uint32_t> n_pages;
    for (std::uint32_t i = 0; i < tree_.id_limit(); ++i) {
        const NodeId node{i};
        if (!tree_.contains(node)) {
            KVASIR_CHECK(!retainer_.is_queued(node), "what is queued is in the tree");
            continue;
        }
        ++n_pages[tree_.domain(node)];
        KVASIR_CHECK(node_groups_[to_index(node)] == domains_.at(tree_.domain(node)).group,
                     "a node is of its domain's group");
        const NodeId parent = tree_.parent(node);
        KVASIR_CHECK(!is_idle(node) || claims_.is_claimed(node), "what is cached is claimed");
        KVASIR_CHECK(!retainer_.is_queued(node) || is_idle(node), "what is queued is idle");
        if (!tree_.is_resident(node)) {
            KVASIR_CHECK(!slots[to_index(tree_.slot(node))], "a slot holds one page");
            slots[to_index(tree_.slot(node))] = true;
            KVASIR_CHECK(retainer_.is_queued(node) == tree_.is_leaf(node),
                         "the host tier's queue holds its leaves");
            continue;
        }
        const PageId page = tree_.page(node);
        KVASIR_CHECK(!entered[to_index(page)], "a page is in the tree once");
        entered[to_index(page)] = true;
        KVASIR_CHECK(pool_.state(page) != PageState::free, "a page in the tree has content");
        KVASIR_CHECK(pool_.group(page) == node_groups_[to_index(node)],
                     "a page in the tree counts for its node's group");
        const bool cached = is_cached(node);
        if (cached) ++n_cached;
        KVASIR_CHECK(retainer_.is_queued(node) == (cached && tree_.is_frontier(node)),
                     "the queue holds the cached pages that nothing on the device follows");
        KVASIR_CHECK(
            cached || parent == kNoNode || pool_.state(tree_.page(parent)) == PageState::leased,
            "a leased page's parent is leased");
    }
    for (const HostSlot slot : free_slots_) {
        KVASIR_CHECK(!slots[to_index(slot)], "a free slot holds nothing");
        slots[to_index(slot)] = true;
    }
    KVASIR_CHECK(std::ranges::all_of(slots, [](bool used) { return used; }),
                 "every slot is free or holds a page");
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
