// KvCache's pages on their way to host memory and back.
#include <utility>

#include "cache/kv_cache.hpp"
#include "config/base/check.hpp"

namespace kvasir {

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

}  // namespace kvasir
