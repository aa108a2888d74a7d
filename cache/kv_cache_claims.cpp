// KvCache's claims by name: branches that keep pages, pins that keep them from eviction, and time.
#include <algorithm>
#include <string>

#include "cache/kv_cache.hpp"
#include "config/base/check.hpp"

namespace kvasir {

KvCache::Freed KvCache::move_branch(BranchId branch, NodeId tip, DropReason reason) {
    KVASIR_CHECK(!pins_.contains(branch), "a pinned branch stays where it is");
    claims_.move(branch, tip);
    Freed freed;
    // claims_.left() is not moved by what follows: only move and forget touch branches.
    for (const NodeId node : claims_.left()) {
        if (claims_.n_branches(node) > 0) break;          // then all before it are held as well
        if (!has_page(node) || !is_idle(node)) continue;  // a lease: when it ends
        if (!claims_.is_claimed(node)) {
            drop_unclaimed(node, reason);
            ++freed.n_pages;
        } else {
            requeue(node);
        }
    }
    if (tip != kNoNode) requeue(tip);
    return freed;
}

KvCache::Freed KvCache::close_branch(BranchId branch, DropReason reason) {
    unpin_branch(branch);
    const Freed freed = move_branch(branch, kNoNode, reason);
    claims_.close(branch);
    return freed;
}

Result<> KvCache::pin_branch(BranchId branch) {
    if (pins_.contains(branch)) return {};
    Pin pin;
    std::uint32_t n_newly_leased = 0;
    std::uint32_t n_newly_common = 0;
    const GroupId group =
        tip(branch) == kNoNode ? kCommonGroup : node_groups_[to_index(tip(branch))];
    const std::uint32_t n_path = tip(branch) == kNoNode ? 0 : tree_.depth(tip(branch)) + 1;
    for (NodeId node = tip(branch); node != kNoNode; node = tree_.parent(node)) {
        if (!is_held(tree_.depth(node), n_path)) continue;
        if (!tree_.is_resident(node))
            return Error{ErrorCode::exhausted, "prefix: not all of its pages are on the device"};
        pin.nodes.push_back(node);
        if (!is_cached(node)) continue;
        ++(node_groups_[to_index(node)] == group ? n_newly_leased : n_newly_common);
    }
    const auto n = static_cast<std::uint32_t>(pin.nodes.size());
    if (stats_.n_pinned + n > pool_.n_pages() / 2) {
        return Error{ErrorCode::exhausted, "prefix: " + std::to_string(n) + " pages to pin, " +
                                               std::to_string(stats_.n_pinned) +
                                               " are pinned already, of " +
                                               std::to_string(pool_.n_pages()) + " half may be"};
    }
    if (!fits(group, n_newly_leased, n_newly_common))
        return Error{ErrorCode::exhausted, "prefix: running sequences hold too many pages"};
    pin.leases.reserve(n);
    Pin& entered = pins_[branch];  // the last that can throw
    for (const NodeId node : pin.nodes) {
        if (tree_.depth(node) > 0 && !is_held(tree_.depth(node) - 1, n_path)) cut(node);
        if (retainer_.is_queued(node)) retainer_.unqueue(node);
        pin.leases.push_back(pool_.lease(tree_.page(node)));
    }
    stats_.n_pinned += n;
    entered = std::move(pin);
    return {};
}

void KvCache::unpin_branch(BranchId branch) {
    const auto found = pins_.find(branch);
    if (found == pins_.end()) return;
    Pin pin = std::move(found->second);
    pins_.erase(found);
    stats_.n_pinned -= static_cast<std::uint32_t>(pin.nodes.size());
    for (std::size_t i = 0; i < pin.nodes.size(); ++i)
        unlease_node(pin.nodes[i], std::move(pin.leases[i]));
}

KvCache::Freed KvCache::expire_anonymous(std::uint64_t used_before_ms) {
    std::vector<NodeId> expired;
    std::vector<std::uint32_t> n_anonymous_children(tree_.id_limit());
    for (std::uint32_t i = 0; i < tree_.id_limit(); ++i) {
        const NodeId node{i};
        if (!tree_.contains(node) || !claims_.is_anonymous(node)) continue;
        if (const NodeId parent = tree_.parent(node); parent != kNoNode)
            ++n_anonymous_children[to_index(parent)];
        if (is_idle(node) && retainer_.facts(node).last_use_ms < used_before_ms)
            expired.push_back(node);
    }
    // Deepest first: a node's last use is before its children's only where it has been rolled past.
    // It is kept as long as they are.
    std::ranges::sort(expired, std::greater<>{}, [&](NodeId node) { return tree_.depth(node); });
    Freed freed;
    for (const NodeId node : expired) {
        if (!tree_.contains(node) || n_anonymous_children[to_index(node)] > 0) continue;
        if (const NodeId parent = tree_.parent(node); parent != kNoNode)
            --n_anonymous_children[to_index(parent)];
        claims_.drop_anonymous(node);
        if (claims_.is_claimed(node) || tree_.is_hollow(node)) continue;
        drop_unclaimed(node, DropReason::expired);
        ++freed.n_pages;
    }
    return freed;
}

std::uint32_t KvCache::n_pages_of(DomainId domain) const {
    std::uint32_t n_pages = 0;
    for (const auto& [part, use] : domains_)
        if (use.owner == domain) n_pages += use.n_pages;
    return n_pages;
}

}  // namespace kvasir
