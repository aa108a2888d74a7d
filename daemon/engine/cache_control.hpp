// What a caller may ask of the cache by name: sessions, prefixes, contexts, and what it holds.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir {

/// Whose cache is asked about. Given by the daemon from the peer's credentials.
struct Caller {
    std::uint32_t domain = 0;
    bool is_administrator = false;  // sees all domains' figures; its prefixes are common
};

/// Milliseconds; absent: no limit.
struct TimeToLive {
    std::optional<std::uint64_t> idle_ms;      // since the last use
    std::optional<std::uint64_t> absolute_ms;  // since creation
};

struct SessionOptions {
    std::string id;
    TimeToLive ttl;
    std::string context;  // empty: none
};

/// Absent members stay as they are.
struct SessionPatch {
    std::optional<TimeToLive> ttl;
    std::optional<std::string> context;        // another one: what only the old one used is dropped
    std::optional<std::uint32_t> truncate_to;  // tokens; every branch, at once
};

struct SessionInfo {
    std::string id;
    std::string context;
    std::uint64_t age_ms = 0;
    std::uint64_t idle_ms = 0;
    std::optional<std::uint64_t> expires_in_ms;  // if it is not used meanwhile
    std::uint32_t n_branches = 0;
    std::uint32_t n_tokens = 0;        // of the branch used last
    std::uint32_t n_pages = 0;         // of all branches, each once
    std::uint32_t n_shared_pages = 0;  // of these, claimed by others too: not freed with it
    std::uint64_t bytes = 0;           // of all these pages
    std::uint64_t n_requests = 0;
    std::uint64_t n_cached_tokens = 0;  // prompt tokens its requests found
    bool is_running = false;
    std::string tier = "device";
    bool is_saved = false;  // there is a snapshot of it on disk
};

struct PrefixInfo {
    std::string name;
    std::uint32_t n_tokens = 0;  // of whole pages: what can be reused
    std::uint32_t n_pages = 0;
    std::uint64_t bytes = 0;
    std::uint64_t n_hits = 0;  // requests that began on all its pages
    std::uint64_t age_ms = 0;
    std::optional<std::uint64_t> expires_in_ms;
    bool is_common = false;  // an administrator's: pinned, every domain reads it
};

struct Freed {
    std::uint32_t n_pages = 0;
    std::uint64_t bytes = 0;
};

/// Pages of the device. A caller who is no administrator sees its own: n_free is then 0.
struct CacheReport {
    std::uint32_t page_tokens = 0;
    std::uint64_t page_bytes = 0;
    std::uint32_t n_pages = 0;
    std::uint32_t n_free = 0;
    std::uint32_t n_leased = 0;  // in running requests, or pinned
    std::uint32_t n_cached = 0;
    std::uint32_t n_claimed = 0;     // of those in the tree: by sessions, prefixes or contexts
    std::uint32_t n_open_tails = 0;  // open pages of ended requests, beside the pages counted above
    std::uint32_t n_on_host = 0;     // in host memory: none of the above
    std::uint32_t n_host_slots = 0;
    std::uint64_t disk_bytes = 0;  // of all snapshots
    std::uint64_t n_snapshots = 0;
    std::uint32_t n_sessions = 0;
    std::uint32_t n_prefixes = 0;
    std::uint64_t n_hits = 0;  // requests that began on cached pages
    std::uint64_t n_misses = 0;
    std::uint64_t n_tokens_asked = 0;  // of all prompts
    std::uint64_t n_tokens_reused = 0;
    struct Domain {
        std::string name;
        std::uint32_t n_pages = 0;  // on the device
        std::uint32_t n_leased = 0;
        std::uint32_t n_on_host = 0;
        std::uint32_t n_kept = 0;             // its reserve
        std::optional<std::uint32_t> n_most;  // its cap
    };
    /// An administrator's view: those listed, "unlisted" for all others together, "common".
    std::vector<Domain> domains;
};

/// Called on the engine's thread when a snapshot is written, or is back.
struct SnapshotInfo {
    std::string id;
    std::uint64_t bytes = 0;  // of the file; of the pages
};
using SnapshotDone = std::function<void(Result<SnapshotInfo> info)>;

/// Called on the engine's thread, between two steps, by a task given to GenerationEngine::post.
/// Another domain's id behaves as absent. What a member frees is free when it returns.
class CacheControl {
public:
    virtual ~CacheControl() = default;
    /// Errors: conflict (there is one), exhausted (too many), invalid_argument (id).
    virtual Result<SessionInfo> create_session(const Caller& caller,
                                               const SessionOptions& options) = 0;
    /// Newest use first.
    virtual std::vector<SessionInfo> sessions(const Caller& caller) = 0;
    /// Errors: not_found.
    virtual Result<SessionInfo> session(const Caller& caller, const std::string& id) = 0;
    /// Errors: not_found; conflict (a request runs in it, with context or truncate_to).
    virtual Result<SessionInfo> patch_session(const Caller& caller, const std::string& id,
                                              const SessionPatch& patch) = 0;
    /// Its running requests end as cancelled first. Errors: not_found.
    virtual Result<Freed> end_session(const Caller& caller, const std::string& id) = 0;
    /// To disk. Errors: not_found; unsupported (no disk tier, or not for this domain), exhausted,
    /// io.
    virtual void save_session(const Caller& caller, const std::string& id, SnapshotDone done) = 0;
    /// Back from disk, as a use of it would do by itself. Errors: not_found, conflict (it is
    /// there), exhausted, io, corrupt.
    virtual void restore_session(const Caller& caller, const std::string& id,
                                 SnapshotDone done) = 0;
    /// Own and common ones.
    virtual std::vector<PrefixInfo> prefixes(const Caller& caller) = 0;
    virtual Result<PrefixInfo> prefix(const Caller& caller, const std::string& name) = 0;
    /// Errors: not_found; unauthorized (a common one, and the caller is no
    /// administrator).
    virtual Result<Freed> drop_prefix(const Caller& caller, const std::string& name) = 0;
    /// Drops what only this context's requests used, in every session. Unknown ones free nothing.
    virtual Freed end_context(const Caller& caller, const std::string& context) = 0;
    virtual CacheReport report(const Caller& caller) = 0;
    /// Drops pages that no running request and no pinned prefix holds, least valued first; absent:
    /// all. Of the caller's domain; an administrator's call reaches every domain.
    virtual Freed evict(const Caller& caller, std::optional<std::uint32_t> n_pages) = 0;
};

}  // namespace kvasir
