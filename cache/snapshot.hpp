// Snapshot files: written aside and renamed, so that one is there whole or not at all; refused
// unless every byte that is used is the one that was written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cache/snapshot_format.hpp"
#include "config/base/error.hpp"
#include "config/base/file_descriptor.hpp"

namespace kvasir {

/// Where a page lies in the file.
struct SnapshotPlace {
    std::uint64_t offset = 0;
    std::uint32_t stored_bytes = 0;  // 0: absent
    std::uint64_t checksum = 0;      // of the bytes as stored, seeded with the page's index
};

/// Blocks on the disk: not for the engine's thread. Unless finish returned without an error, the
/// destructor removes what was written.
class SnapshotWriter {
public:
    /// Creates `target`.tmp, mode 0600. Errors: io.
    static Result<SnapshotWriter> create(std::filesystem::path target);
    SnapshotWriter(SnapshotWriter&&) noexcept = default;
    SnapshotWriter& operator=(SnapshotWriter&&) = delete;
    ~SnapshotWriter();

    /// The next page's sealed bytes. Errors: io, exhausted.
    Result<> add_page(std::span<const std::byte> bytes);
    /// The next page is absent. Errors: too_large (more than kMostAbsentPages).
    Result<> add_absent_page();
    std::uint64_t bytes_written() const { return at_; }
    std::uint32_t n_pages() const { return static_cast<std::uint32_t>(places_.size()); }

    /// Writes head and end, syncs. REQUIRES: head.pages are those added, in order. Errors: io,
    /// exhausted.
    Result<> finish(const SnapshotHead& head);
    /// After finish: takes the target's name, and syncs the directory. Errors: io.
    Result<> publish();

private:
    SnapshotWriter(std::filesystem::path target, std::filesystem::path temporary,
                   FileDescriptor file)
        : target_(std::move(target)), temporary_(std::move(temporary)), file_(std::move(file)) {}
    Result<> write(std::span<const std::byte> bytes);

    std::filesystem::path target_;
    std::filesystem::path temporary_;
    FileDescriptor file_;
    std::uint64_t at_ = 0;
    std::vector<SnapshotPlace> places_;
    std::uint32_t n_absent_ = 0;
    std::vector<std::byte> buffer_;  // one page, compressed
};

/// What the end of a file says, without reading the rest.
struct SnapshotEnd {
    std::uint64_t head_offset = 0;
    std::uint32_t head_stored_bytes = 0;
    std::uint32_t head_bytes = 0;
    std::uint64_t head_checksum = 0;
    std::uint32_t n_pages = 0;
    std::uint64_t expires_at_ms = 0;  // wall clock
};

/// Blocks on the disk.
class SnapshotReader {
public:
    /// Reads and checks head and end. Errors: not_found, io, corrupt (what and where), unsupported
    /// (another version).
    static Result<SnapshotReader> open(const std::filesystem::path& path);
    /// The end alone: cheap. Errors: as open.
    static Result<SnapshotEnd> read_end(const std::filesystem::path& path);

    const SnapshotHead& head() const { return head_; }
    /// bytes: head().page_bytes. REQUIRES: not absent. Errors: io, corrupt.
    Result<> read_page(std::uint32_t index, std::span<std::byte> bytes);

private:
    SnapshotReader(std::filesystem::path path, FileDescriptor file)
        : path_(std::move(path)), file_(std::move(file)) {}

    std::filesystem::path path_;
    FileDescriptor file_;
    SnapshotHead head_;
    std::vector<SnapshotPlace> places_;
    std::vector<std::byte> buffer_;
};

/// So that what was renamed or removed there stays so after a power cut. Errors: io.
Result<> sync_directory(const std::filesystem::path& dir);

}  // namespace kvasir
