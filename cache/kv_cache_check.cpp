// KvCache's invariants, as code.
#include <algorithm>
#include <map>
#include <vector>

#include "cache/kv_cache.hpp"
#include "config/base/check.hpp"

namespace kvasir {

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
        if (tree_.contains(node)) {
            const PathHash before = path_before(tree_.domain(node), tree_.parent(node));
            KVASIR_CHECK(retainer_.path_of(node) == Retainer::next_path(before, tree_.tokens(node)),
                         "the retainer knows every node's path");
        }
        if (!has_page(node)) {
            KVASIR_CHECK(!retainer_.is_queued(node), "what is queued is in the tree, with a page");
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
            KVASIR_CHECK(retainer_.is_queued(node) == tree_.is_end(node),
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
        KVASIR_CHECK(cached || parent == kNoNode || tree_.is_cut(node) ||
                         pool_.state(tree_.page(parent)) == PageState::leased,
                     "a leased page's parent is leased, or it does without");
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
