#include "quant/mapped_file.hpp"

#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <limits>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <utility>

#include "config/base/file_descriptor.hpp"

namespace kvasir {
namespace {

Error io_error(const std::filesystem::path& path, const char* what) {
    return {ErrorCode::io,
            path.string() + ": " + what + ": " + std::generic_category().message(errno)};
}

void unmap(std::span<const std::byte> bytes) {
    if (!bytes.empty()) ::munmap(const_cast<std::byte*>(bytes.data()), bytes.size());  // NOLINT
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
    // O_NONBLOCK: opening a pipe that nobody writes would hang; regular files ignore it.
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0) return io_error(path, "cannot open");
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return io_error(path, "cannot stat");
    if (!S_ISREG(status.st_mode))
        return Error{ErrorCode::io, path.string() + ": not a regular file"};
    if (status.st_size <= 0) return Error{ErrorCode::corrupt, path.string() + ": empty file"};
    const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
    if (file_bytes > std::numeric_limits<std::size_t>::max())
        return Error{ErrorCode::io, path.string() + ": too large for this address space"};
    const auto n_bytes = static_cast<std::size_t>(file_bytes);
    // Private: a later writer's changes may still show, and a file cut short while mapped raises
    // SIGBUS.
    void* address = ::mmap(nullptr, n_bytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address == MAP_FAILED) return io_error(path, "cannot map");
    return MappedFile(std::span(static_cast<const std::byte*>(address), n_bytes));
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    if (this != &other) {
        unmap(bytes_);
        bytes_ = std::exchange(other.bytes_, {});
    }
    return *this;
}

MappedFile::~MappedFile() {
    unmap(bytes_);
}

}  // namespace kvasir
