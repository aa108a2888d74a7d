#include "cache/snapshot_store.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <xxhash.h>

#include "config/base/log.hpp"

namespace kvasir {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".kv";
constexpr std::string_view kRefused = ".refused";

Error io_error(const fs::path& path, const char* what, int error) {
    return {ErrorCode::io,
            path.string() + ": " + what + ": " + std::generic_category().message(error)};
}

std::string hex(std::span<const std::byte> bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const std::byte byte : bytes) {
        text += kDigits[std::to_integer<unsigned>(byte) >> 4U];
        text += kDigits[std::to_integer<unsigned>(byte) & 15U];
    }
    return text;
}

Result<> make_directory(const fs::path& dir) {
    if (::mkdir(dir.c_str(), 0700) == 0) return {};
    struct stat status {};
    if (errno != EEXIST || ::lstat(dir.c_str(), &status) != 0)
        return io_error(dir, "cannot create", errno);
    if (!S_ISDIR(status.st_mode)) return Error{ErrorCode::io, dir.string() + ": not a directory"};
    return {};
}

std::uint64_t file_bytes(const fs::path& path) {
    std::error_code failed;
    const std::uintmax_t bytes = fs::file_size(path, failed);
    return failed ? 0 : bytes;
}

}  // namespace

Result<std::unique_ptr<SnapshotStore>> SnapshotStore::open(const Options& options,
                                                           std::uint64_t now_ms) {
    std::unique_ptr<SnapshotStore> store(new SnapshotStore(options));
    KVASIR_TRY_VOID(make_directory(options.dir));
    KVASIR_TRY_VOID(store->lock_directory());
    KVASIR_TRY_VOID(store->load_secret());
    KVASIR_TRY_VOID(store->scan(now_ms));
    return store;
}

Result<> SnapshotStore::lock_directory() {
    const fs::path path = options_.dir / "lock";
    lock_ = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock_) return io_error(path, "cannot open", errno);
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK) return io_error(path, "cannot lock", errno);
    return Error{ErrorCode::conflict,
                 options_.dir.string() + ": another process keeps its snapshots there"};
}

Result<> SnapshotStore::load_secret() {
    const fs::path path = options_.dir / "secret";
    {
        const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (file && ::read(file.get(), secret_.data(), secret_.size()) ==
                        static_cast<ssize_t>(secret_.size()))
            return {};
    }
    // None, or a part of one: nothing that lies here could be found under another.
    if (::getrandom(secret_.data(), secret_.size(), 0) != static_cast<ssize_t>(secret_.size()))
        return io_error(path, "cannot draw", errno);
    fs::path temporary = path;
    temporary += ".tmp";
    (void)::unlink(temporary.c_str());
    const FileDescriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file ||
        ::write(file.get(), secret_.data(), secret_.size()) !=
            static_cast<ssize_t>(secret_.size()) ||
        ::fsync(file.get()) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0)
        return io_error(path, "cannot write", errno);
    return sync_directory(options_.dir);
}

Result<> SnapshotStore::scan(std::uint64_t now_ms) {
    std::error_code failed;
    for (const auto& dir : fs::directory_iterator(options_.dir, failed)) {
        if (!dir.is_directory(failed) || dir.is_symlink(failed)) continue;
        for (const auto& entry : fs::directory_iterator(dir.path(), failed)) {
            const fs::path& path = entry.path();
            const std::string name = path.filename().string();
            if (name.ends_with(".tmp")) {
                unlink_file(path);
            } else if (name.ends_with(kRefused)) {
                files_[path] = {.bytes = file_bytes(path), .used_ms = 0};
            } else if (name.ends_with(kSuffix)) {
                const auto end = SnapshotReader::read_end(path);
                if (end.has_error()) {
                    files_[path] = {.bytes = file_bytes(path), .used_ms = 0};
                    set_aside(path, end.error());
                } else if (end->expires_at_ms <= now_ms) {
                    unlink_file(path);
                } else {
                    struct stat status {};
                    (void)::stat(path.c_str(), &status);
                    files_[path] = {.bytes = file_bytes(path),
                                    .used_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(
                                                   status.st_mtim.tv_sec, 0)) *
                                               1000};
                }
            }
        }
        if (!failed) KVASIR_TRY_VOID(sync_directory(dir.path()));
    }
    if (failed)
        return Error{ErrorCode::io, options_.dir.string() + ": cannot list: " + failed.message()};
    return {};
}

Fingerprint SnapshotStore::domain_fingerprint(const std::string& domain) const {
    // Keyed, so that a name cannot be guessed from the directory alone.
    std::string text(reinterpret_cast<const char*>(secret_.data()), secret_.size());
    text += domain;
    text.append(reinterpret_cast<const char*>(secret_.data()), secret_.size());
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(text.data(), text.size()));
    Fingerprint fingerprint;
    std::ranges::copy(std::as_bytes(std::span(canonical.digest)), fingerprint.begin());
    return fingerprint;
}

std::string SnapshotStore::hash_of(const std::string& text) const {
    return hex(domain_fingerprint(text));
}

fs::path SnapshotStore::path_of(const SnapshotKey& key) const {
    const char* kind = key.kind == HolderKind::prefix ? "p-" : "s-";
    return options_.dir / hash_of(key.domain) / (kind + hash_of(key.name) + std::string(kSuffix));
}

bool SnapshotStore::has(const SnapshotKey& key) const {
    const std::lock_guard lock(mutex_);
    return files_.contains(path_of(key));
}

Result<SnapshotWriter> SnapshotStore::create(const SnapshotKey& key) {
    const fs::path path = path_of(key);
    KVASIR_TRY_VOID(make_directory(path.parent_path()));
    {
        const std::lock_guard lock(mutex_);
        writing_ = key;
    }
    return SnapshotWriter::create(path);
}

Result<> SnapshotStore::publish(SnapshotWriter& writer, std::uint64_t now_ms) {
    const std::uint64_t bytes = writer.bytes_written();
    const std::lock_guard lock(mutex_);
    if (!writing_) return Error{ErrorCode::conflict, "snapshot: ended while it was being written"};
    const fs::path path = path_of(*writing_);
    writing_.reset();
    if (bytes > options_.budget_bytes) {
        return Error{ErrorCode::too_large, "snapshot: " + std::to_string(bytes) +
                                               " bytes, the disk tier's budget is " +
                                               std::to_string(options_.budget_bytes)};
    }
    std::uint64_t used = bytes;
    for (const auto& [other, file] : files_) used += other == path ? 0 : file.bytes;
    while (used > options_.budget_bytes) {
        auto oldest = files_.end();
        for (auto it = files_.begin(); it != files_.end(); ++it) {
            if (it->first != path &&
                (oldest == files_.end() || it->second.used_ms < oldest->second.used_ms))
                oldest = it;
        }
        used -= oldest->second.bytes;
        log_info("snapshot dropped", {{"file", oldest->first.string()},
                                      {"bytes", oldest->second.bytes},
                                      {"reason", "disk budget"}});
        unlink_file(oldest->first);
        files_.erase(oldest);
    }
    KVASIR_TRY_VOID(writer.publish());
    files_[path] = {.bytes = bytes, .used_ms = now_ms};
    return {};
}

Result<SnapshotReader> SnapshotStore::read(const SnapshotKey& key, const Fingerprint& numerics,
                                           std::uint64_t now_ms) {
    const fs::path path = path_of(key);
    auto reader = SnapshotReader::open(path);
    const auto refused = [&](const Error& why) {
        refuse(key, why);
        return why;
    };
    if (reader.has_error()) {
        const ErrorCode code = reader.error().code;
        if (code == ErrorCode::corrupt || code == ErrorCode::unsupported)
            return refused(reader.error());
        return reader.error();
    }
    const SnapshotHead& head = reader->head();
    if (head.expires_at_ms() <= now_ms) {
        remove(key);
        return Error{ErrorCode::not_found, path.string() + ": expired"};
    }
    if (head.numerics != numerics) {
        return refused(
            {ErrorCode::unsupported, path.string() + ": made with numerics " + hex(head.numerics) +
                                         ", here they are " + hex(numerics) +
                                         " (model, tokenizer, KV formats, shaders, device)"});
    }
    if (head.domain != domain_fingerprint(key.domain) || head.kind != key.kind ||
        head.name != key.name)
        return refused(
            {ErrorCode::corrupt, path.string() + ": holds something else than its name"});
    const std::lock_guard lock(mutex_);
    if (const auto file = files_.find(path); file != files_.end()) file->second.used_ms = now_ms;
    return reader;
}

void SnapshotStore::refuse(const SnapshotKey& key, const Error& why) {
    const std::lock_guard lock(mutex_);
    set_aside(path_of(key), why);
}

/// Under the lock, or before there is anybody else.
void SnapshotStore::set_aside(const fs::path& path, const Error& why) {
    fs::path target = path;
    target += kRefused;
    log_warn("snapshot refused", {{"reason", why.message}, {"set_aside_as", target.string()}});
    auto file = files_.extract(path);
    if (::rename(path.c_str(), target.c_str()) != 0) return;
    if (file.empty()) return;
    file.key() = target;
    file.mapped().used_ms = 0;  // the first to go
    files_.erase(target);
    files_.insert(std::move(file));
}

std::uint64_t SnapshotStore::remove(const SnapshotKey& key) {
    const fs::path path = path_of(key);
    const std::lock_guard lock(mutex_);
    if (writing_ == key) writing_.reset();
    const auto file = files_.find(path);
    if (file == files_.end()) return 0;
    const std::uint64_t bytes = file->second.bytes;
    unlink_file(path);
    files_.erase(file);
    const auto synced = sync_directory(path.parent_path());
    if (synced.has_error()) log_warn("snapshot", {{"error", synced.error().message}});
    return bytes;
}

void SnapshotStore::unlink_file(const fs::path& path) {
    if (options_.scrub) {
        const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
        const std::array<std::byte, 65536> zeros{};
        std::uint64_t left = file ? file_bytes(path) : 0;
        while (left > 0) {
            const ssize_t n =
                ::write(file.get(), zeros.data(), std::min<std::uint64_t>(left, zeros.size()));
            if (n <= 0) break;
            left -= static_cast<std::uint64_t>(n);
        }
        if (file) (void)::fsync(file.get());
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        const Error error = io_error(path, "cannot remove", errno);
        log_warn("snapshot", {{"error", error.message}});
    }
}

std::vector<std::string> SnapshotStore::prefix_names(const std::string& domain) {
    const fs::path dir = options_.dir / hash_of(domain);
    std::vector<fs::path> paths;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [path, file] : files_) {
            const std::string name = path.filename().string();
            if (path.parent_path() == dir && name.starts_with("p-") && name.ends_with(kSuffix))
                paths.push_back(path);
        }
    }
    std::vector<std::string> names;
    for (const fs::path& path : paths) {
        const auto reader = SnapshotReader::open(path);
        if (!reader.has_error()) {
            names.push_back(reader->head().name);
            continue;
        }
        const std::lock_guard lock(mutex_);
        set_aside(path, reader.error());
    }
    std::ranges::sort(names);
    return names;
}

std::uint64_t SnapshotStore::bytes_used() const {
    const std::lock_guard lock(mutex_);
    std::uint64_t bytes = 0;
    for (const auto& [path, file] : files_) bytes += file.bytes;
    return bytes;
}

std::size_t SnapshotStore::n_snapshots() const {
    const std::lock_guard lock(mutex_);
    return files_.size();
}

}  // namespace kvasir
