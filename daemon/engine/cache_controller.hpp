// CacheController: CacheControl over the engine's cache and holders.
#pragma once

#include <functional>

#include "cache/holders.hpp"
#include "daemon/engine/cache_control.hpp"
#include "daemon/engine/disk_tier.hpp"

namespace kvasir {

/// Lives on the engine's thread, beside what it refers to.
class CacheController final : public CacheControl {
public:
    struct Parts {
        KvCache& cache;
        Holders& holders;
        DiskTier* disk = nullptr;  // none: no disk tier
        std::uint64_t page_bytes = 0;
        std::vector<std::string> group_names;  // by the cache's groups
        std::function<std::uint64_t()> now_ms;
        /// Ends the holder's running requests as cancelled.
        std::function<void(Holder&)> cancel_running;
        /// The context's running requests go on, and leave nothing behind when they end.
        std::function<void(DomainId, const std::string& context)> detach_context;
        /// Zeroes what is free, where that is asked for.
        std::function<void()> scrub;
    };
    explicit CacheController(Parts parts) : parts_(std::move(parts)) {}

    Result<SessionInfo> create_session(const Caller& caller,
                                       const SessionOptions& options) override;
    std::vector<SessionInfo> sessions(const Caller& caller) override;
    Result<SessionInfo> session(const Caller& caller, const std::string& id) override;
    Result<SessionInfo> patch_session(const Caller& caller, const std::string& id,
                                      const SessionPatch& patch) override;
    Result<Freed> end_session(const Caller& caller, const std::string& id) override;
    void save_session(const Caller& caller, const std::string& id, SnapshotDone done) override;
    void restore_session(const Caller& caller, const std::string& id, SnapshotDone done) override;
    std::vector<PrefixInfo> prefixes(const Caller& caller) override;
    Result<PrefixInfo> prefix(const Caller& caller, const std::string& name) override;
    Result<Freed> drop_prefix(const Caller& caller, const std::string& name) override;
    Freed end_context(const Caller& caller, const std::string& context) override;
    CacheReport report(const Caller& caller) override;
    Freed evict(const Caller& caller, std::optional<std::uint32_t> n_pages) override;

private:
    bool is_saved(HolderKind kind, DomainId domain, const std::string& name) const;
    Result<Holder*> find_session(const Caller& caller, const std::string& id);
    /// The caller's own prefix, else a common one.
    Result<Holder*> find_prefix(const Caller& caller, const std::string& name);
    SessionInfo describe(const Holder& holder) const;
    PrefixInfo describe_prefix(const Holder& holder) const;
    /// What is reported as freed has been zeroed before.
    Freed freed(std::uint32_t n_pages) const {
        parts_.scrub();
        return {n_pages, n_pages * parts_.page_bytes};
    }

    Parts parts_;
};

}  // namespace kvasir
