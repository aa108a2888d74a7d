// KvCache's groups: who is admitted, whose page goes for whom, and what holds of their counts.
#include <algorithm>
#include <string>
#include <utility>

#include "cache/kv_cache.hpp"
#include "config/base/check.hpp"

namespace kvasir {

GroupId KvCache::group_of(DomainId owner) const {
    if (owner == kCommonDomain) return kCommonGroup;
    const auto found = options_.groups.find(owner);
    if (found == options_.groups.end()) return kUnlistedGroup;
    const auto index = std::distance(options_.groups.begin(), found);
    return GroupId{kFirstListedGroup + static_cast<std::uint32_t>(index)};
}

KvCache::GroupUse KvCache::use(GroupId group) const {
    return {.n_leased = pool_.n_leased(group),
            .n_cached = pool_.n_cached(group),
            .n_reserved = groups_[to_index(group)].n_reserved,
            .n_on_host = groups_[to_index(group)].n_on_host};
}

std::uint32_t KvCache::max_pages(DomainId owner) const {
    return max_pages(group_of(owner));
}

std::uint32_t KvCache::max_pages(GroupId group) const {
    std::uint32_t n_pages = pool_.n_pages();
    for (std::size_t i = 0; i < groups_.size(); ++i)
        if (i != to_index(group)) n_pages -= groups_[i].limits.reserve;
    return n_pages;
}

std::uint32_t KvCache::max_pages(DomainId domain, DomainId owner,
                                 std::span<const TokenId> prompt) const {
    const std::uint32_t n_most = max_pages(owner);
    const std::uint32_t cap = limits(group_of(owner)).cap;
    if (cap >= n_most || prompt.empty() || !options_.reuse) return std::min(n_most, cap);
    const std::vector<NodeId> chain = tree_.match(domain, prompt.first(prompt.size() - 1));
    const auto n_common = static_cast<std::uint64_t>(std::ranges::count_if(
        chain, [&](NodeId node) { return tree_.domain(node) == kCommonDomain; }));
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(n_most, cap + n_common));
}

/// With n_more pages leased or reserved. REQUIRES: no fewer than none.
std::uint64_t KvCache::demand(GroupId group, std::int64_t n_more) const {
    const Group& one = groups_[to_index(group)];
    const auto n = std::int64_t{pool_.n_leased(group)} + one.n_reserved + n_more;
    return std::max(static_cast<std::uint64_t>(n), std::uint64_t{one.limits.reserve});
}

/// Whether the group may lease or reserve so many more pages, and the common group some as well.
bool KvCache::fits(GroupId group, std::uint32_t n_more, std::uint32_t n_more_common) const {
    std::uint64_t n_all = 0;
    for (std::uint32_t i = 0; i < groups_.size(); ++i) {
        const GroupId one{i};
        n_all += demand(one, std::int64_t{one == group ? n_more : 0} +
                                 (one == kCommonGroup ? n_more_common : 0));
    }
    const std::uint64_t n_own =
        std::uint64_t{pool_.n_leased(group)} + groups_[to_index(group)].n_reserved + n_more;
    return n_all <= pool_.n_pages() && n_own <= limits(group).cap;
}

/// Whether a page that `from` has leased or reserved may become one that `to` has leased. Below its
/// reserve, `from` has the page on top of what it gives.
bool KvCache::can_pass(GroupId from, GroupId to) const {
    if (demand(from, -1) < demand(from)) return true;
    return fits(to, 1, 0);
}

/// Whether a sequence of this group may take the node instead of a page it has or was promised.
bool KvCache::can_adopt(NodeId node, GroupId group) const {
    const GroupId other = node_groups_[to_index(node)];
    return other == group || !is_idle(node) || can_pass(group, other);
}

/// Whether a sequence of n_all_pages that begins with the chain may begin.
Result<> KvCache::check_admission(GroupId group, const std::vector<NodeId>& chain,
                                  std::uint32_t n_all_pages) const {
    const Needs needs = needs_of(chain, n_all_pages);
    const auto n_pages = static_cast<std::uint32_t>(needs.held.size()) + needs.n_new;
    const std::uint32_t n_at_once = std::min(n_pages, max_held_);
    std::uint32_t n_common = 0;          // of the chain, not the group's own
    std::uint32_t n_own_leased = 0;      // of the chain, on the device: cost nothing
    std::uint32_t n_common_idle = 0;     // the common group is to lease
    std::uint32_t n_common_fetched = 0;  // of these, into pages that the group was promised
    for (const NodeId node : needs.held) {
        const bool own = node_groups_[to_index(node)] == group;
        n_common += own ? 0 : 1;
        n_own_leased += own && !is_idle(node) ? 1 : 0;
        n_common_idle += !own && is_idle(node) ? 1 : 0;
        n_common_fetched += !own && !tree_.is_resident(node) ? 1 : 0;
    }
    const std::uint32_t n_most = max_pages(group);
    if (n_at_once > n_most) {
        return Error{ErrorCode::too_large,
                     "sequence: " + std::to_string(n_at_once) + " pages, the pool has " +
                         std::to_string(n_most) +
                         (n_most < pool_.n_pages() ? " without others' reserves" : "")};
    }
    const std::uint32_t cap = limits(group).cap;
    if (n_at_once > cap && n_pages - n_common > cap) {
        return Error{ErrorCode::too_large, "sequence: " + std::to_string(n_pages - n_common) +
                                               " pages, its domain's cap is " +
                                               std::to_string(cap)};
    }
    // Fetched common pages are first promised to the group, then leased by the common one. The
    // latter counts where all demands are added up: it is never less. The former counts for the
    // cap.
    const std::uint32_t n_needed = n_pages - n_common - n_own_leased;
    const GroupUse now = use(group);
    const std::uint64_t n_own =
        std::uint64_t{now.n_leased} + now.n_reserved + n_needed + n_common_fetched;
    if (fits(group, n_needed, n_common_idle) && n_own <= cap) return {};
    return Error{ErrorCode::exhausted,
                 "pages: " + std::to_string(n_needed + n_common_idle) +
                     " needed, more than running sequences and reserves leave"};
}

/// As check_admission. Where the Cached common pages of the chain are what is too much, a group
/// computes its own instead: its reserve must be of use to it. Then the chain ends before them.
Result<> KvCache::admit(GroupId group, std::vector<NodeId>& chain, std::uint32_t n_pages) const {
    auto whole = check_admission(group, chain, n_pages);
    if (!whole.has_error() || whole.error().code != ErrorCode::exhausted) return whole;
    const auto cut = std::ranges::find_if(
        chain, [&](NodeId node) { return node_groups_[to_index(node)] != group && is_idle(node); });
    if (cut == chain.end()) return whole;
    std::vector<NodeId> shorter(chain.begin(), cut);
    shorter.resize(usable_length(shorter));
    if (check_admission(group, shorter, n_pages).has_error()) return whole;
    chain = std::move(shorter);
    return {};
}

/// REQUIRES: the group has something reserved.
PageLease KvCache::take_reserved_page(GroupId group) {
    Group& one = groups_[to_index(group)];
    KVASIR_CHECK(one.n_reserved > 0, "a page is taken from a reservation");
    --one.n_reserved;
    --stats_.n_reserved;
    const bool at_cap =
        std::uint64_t{pool_.n_leased(group)} + pool_.n_cached(group) >= one.limits.cap;
    if (at_cap || pool_.n_free() == 0) {
        NodeId node = kNoNode;
        if (at_cap) {
            const auto own = retainer_.find_next(Tier::device, group);
            KVASIR_CHECK(own.has_value(),
                         "a group at its cap that may take a page has one to give");
            node = NodeId{own->id};
        } else {
            node = choose_victim(group);
        }
        // The slot first: the page that goes for it may be one that follows the node.
        const HostSlot slot = take_slot(node_groups_[to_index(node)]);
        retainer_.unqueue(node);
        if (slot == kNoSlot) {
            evict(node, DropReason::space);
        } else {
            save(node, slot);
        }
    }
    return std::move(*pool_.acquire(group));
}

/// The cached page on the device that goes for one of the taker's.
NodeId KvCache::choose_victim(GroupId taker) const {
    std::optional<Retainer::Candidate> first;
    for (std::uint32_t i = 0; i < groups_.size(); ++i) {
        const GroupId group{i};
        const std::uint64_t n = std::uint64_t{pool_.n_leased(group)} + pool_.n_cached(group);
        if (group != taker && n <= groups_[i].limits.reserve) continue;
        const auto next = retainer_.find_next(Tier::device, group);
        if (next && (!first || next->goes_before(*first))) first = next;
    }
    return first ? NodeId{first->id} : choose_after_common();
}

/// The exception: everybody is at its reserve, but some have theirs after common pages that nobody
/// leases. O(nodes), but only after an administrator's prefix was dropped while it was in use.
NodeId KvCache::choose_after_common() const {
    const auto is_after_common = [&](NodeId node) {
        while (node != kNoNode && tree_.domain(node) != kCommonDomain) node = tree_.parent(node);
        return node != kNoNode && is_cached(node);
    };
    const auto goes_before = [&](NodeId a, NodeId b) {
        const bool is_held_a = claims_.n_branches(a) > 0;
        const bool is_held_b = claims_.n_branches(b) > 0;
        if (is_held_a != is_held_b) return is_held_b;
        return retainer_.facts(a).last_use < retainer_.facts(b).last_use;
    };
    NodeId first = kNoNode;
    for (std::uint32_t i = 0; i < tree_.id_limit(); ++i) {
        const NodeId node{i};
        if (!tree_.contains(node) || !tree_.is_resident(node) || !retainer_.is_queued(node) ||
            !is_after_common(node))
            continue;
        if (first == kNoNode || goes_before(node, first)) first = node;
    }
    KVASIR_CHECK(first != kNoNode, "every reserved page can be had");
    return first;
}

std::uint32_t KvCache::host_share(GroupId group) const {
    return static_cast<std::uint32_t>(std::uint64_t{limits(group).reserve} * options_.n_host_slots /
                                      std::max(pool_.n_pages(), 1U));
}

/// The page in host memory that goes for one of the group's. REQUIRES: one is queued.
NodeId KvCache::choose_on_host(GroupId saved) const {
    std::optional<Retainer::Candidate> first;
    bool is_fair = false;  // first is of a group that has more than its share
    for (std::uint32_t i = 0; i < groups_.size(); ++i) {
        const GroupId group{i};
        const bool fair = group == saved || groups_[i].n_on_host > host_share(group);
        if (is_fair && !fair) continue;
        const auto next = retainer_.find_next(Tier::host, group);
        if (!next) continue;
        if (!first || (fair && !is_fair) || next->goes_before(*first)) first = next;
        is_fair = is_fair || fair;
    }
    KVASIR_CHECK(first.has_value(), "what goes from host memory is queued");
    return NodeId{first->id};
}

void KvCache::check_groups() const {
    std::uint64_t n_demanded = 0;
    std::uint64_t n_reserved = 0;
    std::uint64_t n_on_host = 0;
    for (std::uint32_t i = 0; i < groups_.size(); ++i) {
        const GroupId group{i};
        const GroupUse now = use(group);
        KVASIR_CHECK(std::uint64_t{now.n_leased} + now.n_reserved <= limits(group).cap,
                     "what a group leases and was promised is within its cap");
        KVASIR_CHECK(std::uint64_t{now.n_leased} + now.n_cached <= limits(group).cap,
                     "what a group has on the device is within its cap");
        n_demanded += demand(group);
        n_reserved += now.n_reserved;
        n_on_host += now.n_on_host;
    }
    KVASIR_CHECK(n_demanded <= pool_.n_pages(), "there are pages for all demands");
    KVASIR_CHECK(n_reserved == stats_.n_reserved, "every group's reservations are counted");
    KVASIR_CHECK(n_on_host == options_.n_host_slots - free_slots_.size(),
                 "every group's pages in host memory are counted");
    std::vector<std::uint32_t> n_by_group(groups_.size());
    for (std::uint32_t i = 0; i < tree_.id_limit(); ++i) {
        if (has_page(NodeId{i}) && !tree_.is_resident(NodeId{i}))
            ++n_by_group[to_index(node_groups_[i])];
    }
    for (std::size_t i = 0; i < groups_.size(); ++i)
        KVASIR_CHECK(n_by_group[i] == groups_[i].n_on_host, "a node in host memory is counted");
}

}  // namespace kvasir
