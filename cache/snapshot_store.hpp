// SnapshotStore: the directory that snapshots lie in: names, budget, time, and what is refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cache/snapshot.hpp"

namespace kvasir {

/// Whose snapshot. domain: what a domain is called across restarts, members included, so that who
/// comes to a number or a name later does not inherit.
struct SnapshotKey {
    std::string domain;
    HolderKind kind = HolderKind::session;
    std::string name;
    auto operator<=>(const SnapshotKey&) const = default;
};

///   DIR/lock                     held by the daemon that uses DIR
///   DIR/secret                   16 random bytes: names are hashed with it
///   DIR/<domain>/s-<name>.kv     domain and name as hashes; s: session, p: prefix
///   DIR/<domain>/s-<name>.kv.refused     set aside: damaged, foreign, of another version
///
/// Directories 0700, files 0600. Every member but the constructor's work is safe from two threads:
/// one that reads and writes files, and the engine's, which asks has() and remove() while the other
/// works; neither waits for more than a rename and a sync. Times are the wall clock's, the
/// caller's.
class SnapshotStore {
public:
    struct Options {
        std::filesystem::path dir;
        std::uint64_t budget_bytes = 0;
        bool scrub = false;  // zeroes over a file's content before it is unlinked
    };

    /// Makes the directory; removes what was never finished and what has expired; indexes the rest
    /// by name and size alone. Errors: io, conflict (another process uses it).
    static Result<std::unique_ptr<SnapshotStore>> open(const Options& options,
                                                       std::uint64_t now_ms);

    Fingerprint domain_fingerprint(const std::string& domain) const;

    /// There is one, as far as the directory says.
    bool has(const SnapshotKey& key) const;

    /// A file to fill, one at a time; what is there under this name stays until publish. Errors:
    /// io.
    Result<SnapshotWriter> create(const SnapshotKey& key);
    /// The file of the last create, finished: makes room within the budget by removing what was
    /// written or read longest ago, then publishes. Errors: io, too_large (over the whole budget),
    /// conflict (removed since create: nothing is published).
    Result<> publish(SnapshotWriter& writer, std::uint64_t now_ms);

    /// Errors: not_found, io; corrupt, unsupported: then it was set aside, with a line in the log.
    Result<SnapshotReader> read(const SnapshotKey& key, const Fingerprint& numerics,
                                std::uint64_t now_ms);
    /// What was read turned out to be damaged: it is set aside.
    void refuse(const SnapshotKey& key, const Error& why);

    /// Unlinked, and the directory synced, on return; what is being written under this name will
    /// not appear. Returns the bytes freed.
    std::uint64_t remove(const SnapshotKey& key);

    /// Names of the prefixes in a domain that are not damaged. Reads each head.
    std::vector<std::string> prefix_names(const std::string& domain);

    std::uint64_t bytes_used() const;
    std::size_t n_snapshots() const;

private:
    struct File {
        std::uint64_t bytes = 0;
        std::uint64_t used_ms = 0;
    };
    explicit SnapshotStore(const Options& options) : options_(options) {}
    Result<> lock_directory();
    Result<> load_secret();
    Result<> scan(std::uint64_t now_ms);
    std::filesystem::path path_of(const SnapshotKey& key) const;
    std::string hash_of(const std::string& text) const;
    void unlink_file(const std::filesystem::path& path);
    void set_aside(const std::filesystem::path& path, const Error& why);

    const Options options_;
    FileDescriptor lock_;
    Fingerprint secret_{};
    mutable std::mutex mutex_;
    std::map<std::filesystem::path, File> files_;  // finished ones, refused ones too
    std::optional<SnapshotKey> writing_;           // since create, unless removed meanwhile
};

}  // namespace kvasir
