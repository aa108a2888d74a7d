// ByteReader and ByteWriter: little-endian; reads of untrusted bytes are bounds-checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir {

/// Reads forward; never past the end. Errors: corrupt, naming the subject, the offset and the bytes
/// missing.
class ByteReader {
public:
    ByteReader(std::span<const std::byte> bytes, std::string_view subject)
        : bytes_(bytes), subject_(subject) {}

    std::size_t offset() const { return offset_; }
    std::size_t remaining() const { return bytes_.size() - offset_; }

    template <class T>
    requires std::is_arithmetic_v<T> Result<T> read(const char* what) {
        if (remaining() < sizeof(T)) return short_read(what, sizeof(T));
        T value{};
        std::memcpy(&value, bytes_.data() + offset_, sizeof(T));
        offset_ += sizeof(T);
        return value;
    }

    /// A view into the underlying bytes.
    Result<std::span<const std::byte>> read_bytes(std::uint64_t n, const char* what) {
        if (remaining() < n) return short_read(what, n);
        const auto view = bytes_.subspan(offset_, static_cast<std::size_t>(n));
        offset_ += static_cast<std::size_t>(n);
        return view;
    }

private:
    Error short_read(const char* what, std::uint64_t wanted) const {
        return {ErrorCode::corrupt, subject_ + ": " + what + " at byte " + std::to_string(offset_) +
                                        ": " + std::to_string(wanted) + " bytes expected, " +
                                        std::to_string(remaining()) + " left"};
    }

    std::span<const std::byte> bytes_;
    std::string subject_;
    std::size_t offset_ = 0;
};

/// Appends to a buffer of its own.
class ByteWriter {
public:
    template <class T>
    requires std::is_arithmetic_v<T>
    void write(T value) { write_bytes(std::as_bytes(std::span(&value, 1))); }
    void write_bytes(std::span<const std::byte> bytes) {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }

    const std::vector<std::byte>& bytes() const { return bytes_; }

private:
    std::vector<std::byte> bytes_;
};

}  // namespace kvasir
