#include "cache/snapshot.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <limits>
#include <malloc.h>
#include <memory>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <xxhash.h>
// For contexts with an allocator of ours: exported by the shared library all the same.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "cache/snapshot_head.hpp"
#include "config/base/bytes.hpp"
#include "config/base/check.hpp"
#include "config/base/wipe.hpp"

namespace kvasir {
namespace {

constexpr int kLevel = 1;  // codes of quantized pages hardly compress: more effort finds nothing
constexpr std::uint64_t kSmallestFrame = 8;

Error io_error(const std::filesystem::path& path, const char* what, int error) {
    return {error == ENOENT ? ErrorCode::not_found : ErrorCode::io,
            path.string() + ": " + what + ": " + std::generic_category().message(error)};
}

Error corrupt(const std::filesystem::path& path, const std::string& what) {
    return {ErrorCode::corrupt, path.string() + ": " + what};
}

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed = 0) {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Result<> read_at(const FileDescriptor& file, const std::filesystem::path& path,
                 std::uint64_t offset, std::span<std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t n =
            ::pread(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return io_error(path, "cannot read", errno);
        if (n == 0) return corrupt(path, "shorter than it was when opened");
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return {};
}

/// zstd's workspaces hold parts of what went through them: zeroed before the heap has them back.
void* allocate(void*, std::size_t n) {
    return std::malloc(n);  // NOLINT: C's own, as zstd expects
}
void wipe_and_free(void*, void* address) {
    if (address == nullptr) return;
    wipe(std::span(static_cast<std::byte*>(address), ::malloc_usable_size(address)));
    std::free(address);  // NOLINT
}
constexpr ZSTD_customMem kWipingMemory{allocate, wipe_and_free, nullptr};

using Compressor = std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)>;
using Decompressor = std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)>;

Result<std::vector<std::byte>> compress(std::span<const std::byte> bytes) {
    std::vector<std::byte> frame(ZSTD_compressBound(bytes.size()));
    const Compressor context(ZSTD_createCCtx_advanced(kWipingMemory), ZSTD_freeCCtx);
    if (!context) return Error{ErrorCode::exhausted, "zstd: no memory"};
    const std::size_t n = ZSTD_compressCCtx(context.get(), frame.data(), frame.size(), bytes.data(),
                                            bytes.size(), kLevel);
    if (ZSTD_isError(n) != 0)
        return Error{ErrorCode::exhausted, std::string("zstd: ") + ZSTD_getErrorName(n)};
    frame.resize(n);
    return frame;
}

/// False: the frame does not hold exactly these many bytes.
bool decompress(std::span<const std::byte> frame, std::span<std::byte> bytes) {
    const Decompressor context(ZSTD_createDCtx_advanced(kWipingMemory), ZSTD_freeDCtx);
    if (!context) return false;
    const std::size_t n =
        ZSTD_decompressDCtx(context.get(), bytes.data(), bytes.size(), frame.data(), frame.size());
    return ZSTD_isError(n) == 0 && n == bytes.size();
}

std::vector<std::byte> start_bytes() {
    ByteWriter out;
    out.write_bytes(std::as_bytes(std::span(kSnapshotMagic)));
    out.write(kSnapshotVersion);
    out.write(std::uint32_t{0});
    return out.bytes();
}

std::uint64_t end_checksum(std::span<const std::byte> start, std::span<const std::byte> end) {
    return checksum(end, checksum(start));
}

std::vector<std::byte> end_bytes(const SnapshotEnd& end) {
    ByteWriter out;
    out.write(end.head_offset);
    out.write(end.head_stored_bytes);
    out.write(end.head_bytes);
    out.write(end.head_checksum);
    out.write(end.n_pages);
    out.write(kSnapshotVersion);
    out.write(end.expires_at_ms);
    out.write(end.head_offset + end.head_stored_bytes + kSnapshotEndBytes);
    out.write(end_checksum(start_bytes(), out.bytes()));
    out.write_bytes(std::as_bytes(std::span(kSnapshotEnd)));
    return out.bytes();
}

Result<SnapshotEnd> parse_end(const std::filesystem::path& path, std::uint64_t file_bytes,
                              std::span<const std::byte> start, std::span<const std::byte> bytes) {
    const auto magic = std::as_bytes(std::span(kSnapshotMagic));
    const auto end_magic = std::as_bytes(std::span(kSnapshotEnd));
    if (!std::ranges::equal(start.first(magic.size()), magic))
        return corrupt(path, "not a snapshot of kvasird");
    ByteReader reader(bytes, path.string());
    SnapshotEnd end;
    KVASIR_TRY(end.head_offset, reader.read<std::uint64_t>("head offset"));
    KVASIR_TRY(end.head_stored_bytes, reader.read<std::uint32_t>("stored bytes of the head"));
    KVASIR_TRY(end.head_bytes, reader.read<std::uint32_t>("bytes of the head"));
    KVASIR_TRY(end.head_checksum, reader.read<std::uint64_t>("checksum of the head"));
    KVASIR_TRY(end.n_pages, reader.read<std::uint32_t>("number of pages"));
    KVASIR_TRY(const auto version, reader.read<std::uint32_t>("version"));
    KVASIR_TRY(end.expires_at_ms, reader.read<std::uint64_t>("expiry"));
    KVASIR_TRY(const auto said_bytes, reader.read<std::uint64_t>("bytes of the file"));
    const std::size_t checked = reader.offset();
    KVASIR_TRY(const auto sum, reader.read<std::uint64_t>("checksum of the end"));
    if (!std::ranges::equal(bytes.last(end_magic.size()), end_magic))
        return corrupt(path, "its end is not that of a finished snapshot");
    if (sum != end_checksum(start, bytes.first(checked)))
        return corrupt(path, "checksum of its start and end differs");
    if (version != kSnapshotVersion) {
        return Error{ErrorCode::unsupported, path.string() + ": version " +
                                                 std::to_string(version) + ", expected " +
                                                 std::to_string(kSnapshotVersion)};
    }
    const std::uint64_t body = file_bytes - kSnapshotEndBytes;
    if (said_bytes != file_bytes || end.head_offset < kSnapshotStartBytes ||
        end.head_offset > body || end.head_stored_bytes != body - end.head_offset ||
        end.n_pages > (end.head_offset - kSnapshotStartBytes) / kSmallestFrame + kMostAbsentPages)
        return corrupt(path, "its end does not fit its " + std::to_string(file_bytes) + " bytes");
    return end;
}

struct Opened {
    FileDescriptor file;
    SnapshotEnd end;
};

Result<Opened> open_checked(const std::filesystem::path& path) {
    Opened opened;
    opened.file =
        FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!opened.file) return io_error(path, "cannot open", errno);
    struct stat status {};
    if (::fstat(opened.file.get(), &status) != 0) return io_error(path, "cannot stat", errno);
    if (!S_ISREG(status.st_mode)) return corrupt(path, "not a regular file");
    const auto file_bytes = static_cast<std::uint64_t>(std::max<off_t>(status.st_size, 0));
    if (file_bytes < kSnapshotStartBytes + kSnapshotEndBytes) {
        return corrupt(path, std::to_string(file_bytes) + " bytes, expected at least " +
                                 std::to_string(kSnapshotStartBytes + kSnapshotEndBytes));
    }
    std::array<std::byte, kSnapshotStartBytes> start{};
    std::array<std::byte, kSnapshotEndBytes> bytes{};
    KVASIR_TRY_VOID(read_at(opened.file, path, 0, start));
    KVASIR_TRY_VOID(read_at(opened.file, path, file_bytes - kSnapshotEndBytes, bytes));
    KVASIR_TRY(opened.end, parse_end(path, file_bytes, start, bytes));
    return opened;
}

}  // namespace

Result<> sync_directory(const std::filesystem::path& dir) {
    const FileDescriptor fd(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return io_error(dir, "cannot open", errno);
    if (::fsync(fd.get()) != 0) return io_error(dir, "cannot sync", errno);
    return {};
}

Result<SnapshotWriter> SnapshotWriter::create(std::filesystem::path target) {
    std::filesystem::path temporary = target;
    temporary += ".tmp";
    (void)::unlink(temporary.c_str());  // an earlier attempt's
    FileDescriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return io_error(temporary, "cannot create", errno);
    SnapshotWriter writer(std::move(target), std::move(temporary), std::move(file));
    KVASIR_TRY_VOID(writer.write(start_bytes()));
    return writer;
}

SnapshotWriter::~SnapshotWriter() {
    wipe(buffer_);
    if (file_) (void)::unlink(temporary_.c_str());
}

Result<> SnapshotWriter::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(file_.get(), bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return io_error(temporary_, "cannot write", errno);
        at_ += static_cast<std::uint64_t>(n);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
}

Result<> SnapshotWriter::add_page(std::span<const std::byte> bytes) {
    KVASIR_TRY(buffer_, compress(bytes));
    places_.push_back({.offset = at_,
                       .stored_bytes = static_cast<std::uint32_t>(buffer_.size()),
                       .checksum = checksum(buffer_, places_.size())});
    const auto written = write(buffer_);
    wipe(buffer_);
    return written;
}

Result<> SnapshotWriter::add_absent_page() {
    if (++n_absent_ > kMostAbsentPages)
        return Error{ErrorCode::too_large, temporary_.string() + ": too many absent pages"};
    places_.push_back({.offset = at_});
    return {};
}

Result<> SnapshotWriter::finish(const SnapshotHead& head) {
    KVASIR_CHECK(
        std::ranges::equal(head.pages, places_, std::equal_to<>{}, &SnapshotPage::is_absent,
                           [](const SnapshotPlace& p) { return p.stored_bytes == 0; }),
        "a snapshot's head names its pages");
    std::vector<std::byte> bytes = to_bytes(head, places_);
    if (bytes.size() > std::numeric_limits<std::uint32_t>::max())
        return Error{ErrorCode::too_large, temporary_.string() + ": too many pages"};
    KVASIR_TRY(const std::vector<std::byte> stored, compress(bytes));
    const auto head_bytes = static_cast<std::uint32_t>(bytes.size());
    wipe(bytes);
    const SnapshotEnd end{.head_offset = at_,
                          .head_stored_bytes = static_cast<std::uint32_t>(stored.size()),
                          .head_bytes = head_bytes,
                          .head_checksum = checksum(stored),
                          .n_pages = n_pages(),
                          .expires_at_ms = head.expires_at_ms()};
    KVASIR_TRY_VOID(write(stored));
    KVASIR_TRY_VOID(write(end_bytes(end)));
    if (::fsync(file_.get()) != 0) return io_error(temporary_, "cannot sync", errno);
    return {};
}

Result<> SnapshotWriter::publish() {
    if (::rename(temporary_.c_str(), target_.c_str()) != 0)
        return io_error(target_, "cannot rename", errno);
    file_ = {};
    return sync_directory(target_.parent_path());
}

Result<SnapshotEnd> SnapshotReader::read_end(const std::filesystem::path& path) {
    KVASIR_TRY(const Opened opened, open_checked(path));
    return opened.end;
}

Result<SnapshotReader> SnapshotReader::open(const std::filesystem::path& path) {
    KVASIR_TRY(Opened opened, open_checked(path));
    const SnapshotEnd& end = opened.end;
    // A head is mostly tokens: bound it by its pages before memory is taken for it.
    constexpr std::uint64_t kMostBesidesPages = 1U << 20U;
    if (end.head_bytes > end.n_pages * kHeadBytesPerPage + kMostBesidesPages)
        return corrupt(path, "head: " + std::to_string(end.head_bytes) + " bytes for " +
                                 std::to_string(end.n_pages) + " pages");
    SnapshotReader reader(path, std::move(opened.file));
    std::vector<std::byte> stored(end.head_stored_bytes);
    KVASIR_TRY_VOID(read_at(reader.file_, path, end.head_offset, stored));
    if (checksum(stored) != end.head_checksum) return corrupt(path, "head: checksum differs");
    std::vector<std::byte> bytes(end.head_bytes);
    if (!decompress(stored, bytes)) return corrupt(path, "head: cannot be decompressed");
    KVASIR_TRY_VOID(parse_head(bytes, path.string(), end, reader.head_, reader.places_));
    return reader;
}

Result<> SnapshotReader::read_page(std::uint32_t index, std::span<std::byte> bytes) {
    KVASIR_CHECK(
        index < places_.size() && !head_.pages[index].is_absent && bytes.size() == head_.page_bytes,
        "a page of this snapshot, and room for it");
    const SnapshotPlace& place = places_[index];
    buffer_.resize(place.stored_bytes);
    KVASIR_TRY_VOID(read_at(file_, path_, place.offset, buffer_));
    const std::string page = "page " + std::to_string(index);
    if (checksum(buffer_, index) != place.checksum)
        return corrupt(path_, page + ": checksum differs");
    const bool is_sound = decompress(buffer_, bytes);
    wipe(buffer_);
    if (!is_sound) return corrupt(path_, page + ": cannot be decompressed");
    return {};
}

}  // namespace kvasir
