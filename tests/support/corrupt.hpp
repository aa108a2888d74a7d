// Breaking files on purpose: cut at every offset, flip every bit. The reader must answer with an
// Error or with a well-formed result, and never crash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <span>
#include <string>
#include <unistd.h>
#include <vector>

#include "config/base/check.hpp"

namespace kvasir::test {

/// A file in the temporary directory, gone with the object.
class ScratchFile {
public:
    explicit ScratchFile(std::span<const std::byte> bytes) {
        std::string name = (std::filesystem::temp_directory_path() / "kvasir-test-XXXXXX").string();
        fd_ = ::mkstemp(name.data());
        KVASIR_CHECK(fd_ >= 0, "the temporary directory takes a file");
        path_ = name;
        write_at(0, bytes);
    }
    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;
    ~ScratchFile() {
        ::close(fd_);
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }

    const std::filesystem::path& path() const { return path_; }

    void write_at(std::size_t offset, std::span<const std::byte> bytes) {
        const auto written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        KVASIR_CHECK(written == static_cast<ssize_t>(bytes.size()), "the file takes the bytes");
    }

    void cut_to(std::size_t n_bytes) {
        KVASIR_CHECK(::ftruncate(fd_, static_cast<off_t>(n_bytes)) == 0, "the file can be cut");
    }

private:
    int fd_ = -1;
    std::filesystem::path path_;
};

/// Calls check(path, n_bytes) with the file cut to n_bytes = every offset below `end` that is a
/// multiple of stride.
template <class Check>
void for_each_truncation(std::span<const std::byte> bytes, std::size_t end, std::size_t stride,
                         Check check) {
    ScratchFile file(bytes);
    if (end == 0) return;
    for (std::size_t n = (end - 1) / stride * stride;; n -= stride) {
        file.cut_to(n);
        check(file.path(), n);
        if (n == 0) return;
    }
}

/// Calls check(path, offset, bit) with one bit flipped: every bit of every stride-th byte in
/// [begin, end).
template <class Check>
void for_each_flipped_bit(std::span<const std::byte> bytes, std::size_t begin, std::size_t end,
                          std::size_t stride, Check check) {
    ScratchFile file(bytes);
    for (std::size_t offset = begin; offset < end; offset += stride) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            const std::byte flipped = bytes[offset] ^ std::byte(1U << bit);
            file.write_at(offset, std::span(&flipped, 1));
            check(file.path(), offset, bit);
        }
        file.write_at(offset, bytes.subspan(offset, 1));
    }
}

/// The whole of a file.
inline std::vector<std::byte> read_file(const std::filesystem::path& path) {
    std::vector<std::byte> bytes(std::filesystem::file_size(path));
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    KVASIR_CHECK(fd >= 0, "the test's file opens");
    std::size_t done = 0;
    while (done < bytes.size()) {
        const auto n = ::read(fd, bytes.data() + done, bytes.size() - done);
        KVASIR_CHECK(n > 0, "the test's file reads");
        done += static_cast<std::size_t>(n);
    }
    ::close(fd);
    return bytes;
}

}  // namespace kvasir::test
