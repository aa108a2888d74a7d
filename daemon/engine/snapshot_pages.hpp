// Between the cache and its snapshots: which pages a holder has, their bytes out, and back in.
#pragma once

#include <memory>
#include <vector>

#include "cache/holders.hpp"
#include "cache/snapshot_format.hpp"
#include "daemon/engine/host_pages.hpp"
#include "daemon/model/model.hpp"

namespace kvasir {

/// A snapshot to be: its head, but for numerics, domain and wall-clock times, and where its pages
/// are. Hollow nodes are absent pages.
struct SnapshotPlan {
    SnapshotHead head;
    std::vector<NodeId> nodes;  // of head.pages, parents before children, a branch after the other
};
/// Pages that follow one another: from the start of a sequence to each tip.
struct PlannedBranch {
    NodeId tip = kNoNode;
    std::string context;
};
SnapshotPlan plan_snapshot(const PrefixTree& tree, std::span<const PlannedBranch> branches);
SnapshotPlan plan_snapshot(const KvCache& cache, const Holder& holder);

/// Only the first n pages could be had: branches end where they do.
void cut_snapshot(SnapshotHead& head, std::uint32_t n_pages);

/// Sealed bytes of a page, wherever it is. REQUIRES: no step runs. host: may be null where nothing
/// is there. Errors: as Model::read_page; not_found (its copy in host memory is lost).
Result<> read_cached_page(Model& model, HostPages* host, const PrefixTree& tree, NodeId node,
                          std::span<std::byte> bytes);

/// Takes a snapshot's pages one after the other and enters them in the cache: as if sequences had
/// computed them. Pages that are there already stay as they are. Everything is given up again
/// unless give is called.
class SnapshotRestore {
public:
    SnapshotRestore(Model& model, KvCache& cache, DomainId domain, SnapshotHead head)
        : model_(model), cache_(cache), domain_(domain), head_(std::move(head)) {
        skip_absent();
    }

    const SnapshotHead& head() const { return head_; }
    /// The index of the page that is taken next: absent ones never are.
    std::uint32_t next() const { return next_; }
    bool is_whole() const { return next_ == head_.pages.size(); }
    /// Its bytes. REQUIRES: between steps; not is_whole. Errors: exhausted (running sequences hold
    /// too many pages), unsupported (pages are absent that this cache's tokens see), corrupt, as
    /// Model::write_page; then it is of no further use.
    Result<> take(std::span<const std::byte> bytes, std::uint64_t now_ms);

    /// Tips of the branches, in the order of the head, as far as they are in the tree; kNoNode
    /// where nothing is. They stay leased as long as this lives. REQUIRES: is_whole.
    std::vector<NodeId> tips() const;
    /// The holder gets the branches, and what the head says of it. wall_ms, boot_ms: now.
    /// REQUIRES: is_whole; holder is new.
    void give(Holders& holders, Holder& holder, std::uint64_t boot_ms, std::uint64_t wall_ms);

private:
    struct Branch {
        std::vector<std::uint32_t> path;  // indices of pages, first page first
        KvCache::Sequence sequence;
    };
    void skip_absent();
    Result<> begin_branch(std::uint64_t now_ms);
    std::vector<std::uint32_t> path_to(std::uint32_t tip) const;
    std::vector<TokenId> tokens_of(std::span<const std::uint32_t> path) const;

    Model& model_;
    KvCache& cache_;
    DomainId domain_;
    SnapshotHead head_;
    std::uint32_t next_ = 0;
    std::vector<Branch> branches_;  // those begun, in the order of the head
};

}  // namespace kvasir
