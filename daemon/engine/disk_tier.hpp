// DiskTier: sessions and prefixes to disk and back, on the engine's thread, a few pages at a time.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cache/holders.hpp"
#include "daemon/engine/disk_thread.hpp"
#include "daemon/engine/host_pages.hpp"
#include "daemon/engine/snapshot_pages.hpp"
#include "daemon/model/model.hpp"

namespace kvasir {

/// Everything but the constructor is called on the engine's thread, between steps. What is being
/// saved is claimed until it is; under pressure it may be evicted all the same, and then the
/// snapshot ends earlier.
class DiskTier {
public:
    struct Parts {
        Model& model;
        HostPages* host = nullptr;  // none: no host tier
        KvCache& cache;
        Holders& holders;
        Fingerprint numerics{};
        /// What domains are called on disk; those that are not here never reach it.
        std::map<DomainId, std::string> domains;
        std::function<void()> wake;  // pump has something to do; any thread
    };
    /// bytes: of the file, or of the pages that are back.
    using Done = std::function<void(Result<std::uint64_t> bytes)>;

    DiskTier(Parts parts, std::unique_ptr<SnapshotStore> store);
    /// What is under way ends with an error.
    ~DiskTier();
    DiskTier(const DiskTier&) = delete;
    DiskTier& operator=(const DiskTier&) = delete;

    bool reaches(DomainId domain) const { return parts_.domains.contains(domain); }
    bool has(HolderKind kind, DomainId domain, const std::string& name);
    /// done may be empty. Errors, through done: unsupported (the domain does not reach the disk),
    /// as SnapshotStore::publish, cancelled by remove: conflict.
    void save(const Holder& holder, Done done);
    /// Joins one that is under way. Errors, through done: as SnapshotStore::read,
    /// SnapshotRestore::take; conflict (there is one of this name in memory).
    void restore(HolderKind kind, DomainId domain, const std::string& name, Done done);
    bool is_restoring(HolderKind kind, DomainId domain, const std::string& name) const;
    /// On return nothing of it is on disk, nor will be.
    std::uint64_t remove(HolderKind kind, DomainId domain, const std::string& name);

    /// Every prefix that is on disk begins to come back, common ones first.
    void restore_prefixes();

    /// Moves some pages. True: there is more to move at once.
    bool pump();
    bool is_busy() const { return !saving_.empty() || !restoring_.empty(); }

    std::uint64_t bytes_used() { return thread_->store().bytes_used(); }
    std::uint64_t n_snapshots() { return thread_->store().n_snapshots(); }

private:
    struct Saving {
        std::shared_ptr<DiskThread::Write> job;
        std::vector<NodeId> nodes;
        struct Held {
            BranchId branch = kNoBranch;
            NodeId tip = kNoNode;  // as long as nothing of it was evicted
        };
        std::vector<Held> held;
        std::size_t n_read = 0;
        bool is_queued = false;  // with the disk's thread
        Done done;
    };
    struct Restoring {
        SnapshotKey key;
        DomainId domain{};
        std::shared_ptr<PageStream> pages;
        std::shared_ptr<std::optional<SnapshotHead>>
            head;  // set by the disk's thread, under mutex_
        std::unique_ptr<SnapshotRestore> restore;
        std::vector<Done> done;
    };

    SnapshotKey key_of(HolderKind kind, DomainId domain, const std::string& name) const;
    std::deque<Restoring>::iterator find_restoring(const SnapshotKey& key);
    bool pump_saving(Saving& saving);
    void look_for_evicted(Saving& saving);
    void let_go(Saving& saving);
    bool collect_written();
    bool pump_restoring(Restoring& restoring);
    Result<std::uint64_t> finish_restore(Restoring& restoring);

    Parts parts_;
    std::deque<Saving> saving_;  // the first is being written
    std::deque<Restoring> restoring_;

    std::mutex mutex_;
    std::optional<Result<std::uint64_t>> written_;  // of the first of saving_
    std::unique_ptr<DiskThread> thread_;            // last: it goes first
};

}  // namespace kvasir
