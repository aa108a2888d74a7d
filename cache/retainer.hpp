// Retainer: knows every cached page's facts, learns from what is asked for again, and says which
// page goes next.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "cache/eviction_order.hpp"
#include "cache/prefix_tree.hpp"
#include "cache/retention.hpp"
#include "cache/reuse_history.hpp"

namespace kvasir {

/// The state around the pure functions of retention.hpp. Pages go by their node.
///
/// A node is queued while KvCache calls it evictable: Cached, and a leaf. With policy kvasir a page
/// waits in the history from the moment nobody holds it, queued or not, evicted or not, until it is
/// asked for again. Only refresh allocates after construction.
class Retainer {
public:
    /// n_pages: of both tiers; of these, n_host in host memory. n_hollow: nodes without a page. Ids
    /// of nodes are below both together.
    /// n_groups: below it are the groups of what is queued.
    /// seed: of the path hashes; random where callers are not trusted.
    Retainer(RetentionPolicy policy, std::uint32_t n_pages, std::uint32_t n_hollow,
             std::uint32_t n_host, std::uint64_t seed, std::size_t n_groups = 1);

    /// Learns anew from the history when enough has happened since. Call before a sequence begins.
    void refresh();

    PathHash path_of(NodeId node) const { return paths_[to_index(node)]; }
    PathHash start_of(DomainId domain) const;
    static PathHash next_path(PathHash parent, PageTokens tokens);
    /// A path that leaves the common prefixes for a domain's own pages: from there on it is another
    /// path in every domain.
    PathHash leave_common(PathHash path, DomainId domain) const { return path ^ start_of(domain); }
    /// A path that is not in the cache is asked for. Empty: unknown, or not in the sample.
    std::optional<ReuseHistory::Wait> ask(PathHash path);
    bool samples(PathHash path) const { return history_ && history_->samples(path); }

    /// A new node. n_hits: as far as the history remembers it from earlier stays.
    void enter(NodeId node, PathHash path, std::uint32_t depth, std::uint32_t n_hits);
    /// A sequence found the node in the tree. REQUIRES: not queued.
    void found(NodeId node, bool was_cached);
    /// A sequence with n_pages pages, n_known of them known before, has let the node go.
    void used(NodeId node, std::uint32_t n_known, std::uint32_t n_pages, std::uint64_t now_ms);
    /// After used: nobody holds the node any more.
    void wait(NodeId node);
    /// The use clock: one more page asked for, or one more sequence gone.
    void tick() { ++use_clock_; }

    /// It is evictable from where it lives. REQUIRES: not queued.
    void queue(NodeId node, Standing standing, GroupId group, Tier tier = Tier::device);
    void unqueue(NodeId node);  // it is no longer, or is being dropped. REQUIRES: queued
    using Candidate = EvictionOrder::Candidate;
    /// The one of the tier and group that goes next; its id is the node's. O(log nodes).
    std::optional<Candidate> find_next(Tier tier, GroupId group) const;
    /// The one of the tier that goes next, of whatever group, no longer queued. REQUIRES: not
    /// empty. O(groups log nodes).
    NodeId pop(Tier tier = Tier::device);
    bool is_queued(NodeId node) const {
        return order_of(Tier::device).contains(to_index(node)) ||
               order_of(Tier::host).contains(to_index(node));
    }
    bool empty(Tier tier = Tier::device) const { return order_of(tier).empty(); }
    /// The node's page is dropped for good, not for want of space: no trace stays.
    void forget(NodeId node);

    const PageFacts& facts(NodeId node) const { return facts_[to_index(node)]; }
    void check_invariants() const;

private:
    RetentionPolicy policy_;
    std::uint32_t n_pages_;
    std::uint64_t seed_;
    std::size_t n_groups_;
    std::uint64_t use_clock_ = 0;
    std::uint64_t next_refresh_ = 0;  // use clock
    std::vector<PageFacts> facts_;    // by node
    std::vector<PathHash> paths_;     // by node
    const EvictionOrder& order_of(Tier tier) const {
        return orders_[static_cast<std::size_t>(tier)];
    }
    EvictionOrder& order_of(Tier tier) { return orders_[static_cast<std::size_t>(tier)]; }
    std::array<EvictionOrder, 2> orders_;  // of nodes, by tier
    std::optional<ReuseHistory> history_;  // with policy kvasir
    KeepValues values_;
};

}  // namespace kvasir
