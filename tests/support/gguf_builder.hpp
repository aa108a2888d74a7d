// Writes GGUF bytes by hand, well formed or not: nothing here is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace kvasir::test {

/// Little-endian bytes, appended.
class ByteSink {
public:
    template <class T>
    requires std::is_arithmetic_v<T> ByteSink& put(T value) {
        const auto* first = reinterpret_cast<const std::byte*>(&value);
        bytes.insert(bytes.end(), first, first + sizeof(T));
        return *this;
    }
    ByteSink& put_string(std::string_view text) {
        put(std::uint64_t{text.size()});
        return put_bytes(std::as_bytes(std::span(text)));
    }
    ByteSink& put_bytes(std::span<const std::byte> more) {
        bytes.insert(bytes.end(), more.begin(), more.end());
        return *this;
    }
    std::vector<std::byte> bytes;
};

template <class T>
constexpr std::uint32_t gguf_type_number() {
    if constexpr (std::is_same_v<T, std::uint8_t>) return 0;
    if constexpr (std::is_same_v<T, std::int8_t>) return 1;
    if constexpr (std::is_same_v<T, std::uint16_t>) return 2;
    if constexpr (std::is_same_v<T, std::int16_t>) return 3;
    if constexpr (std::is_same_v<T, std::uint32_t>) return 4;
    if constexpr (std::is_same_v<T, std::int32_t>) return 5;
    if constexpr (std::is_same_v<T, float>) return 6;
    if constexpr (std::is_same_v<T, bool>) return 7;
    if constexpr (std::is_same_v<T, std::uint64_t>) return 10;
    if constexpr (std::is_same_v<T, std::int64_t>) return 11;
    if constexpr (std::is_same_v<T, double>) return 12;
    return 99;
}

class GgufBuilder {
public:
    std::uint32_t magic = 0x46554747;
    std::uint32_t version = 3;
    std::uint64_t extra_keys = 0;     // added to the true count
    std::uint64_t extra_tensors = 0;  // added to the true count

    template <class T>
    requires std::is_arithmetic_v<T> GgufBuilder& key(std::string_view name, T value) {
        begin_key(name, gguf_type_number<T>()).put(value);
        return *this;
    }
    GgufBuilder& key(std::string_view name, std::string_view value) {
        begin_key(name, 8).put_string(value);
        return *this;
    }
    template <class T>
    requires std::is_arithmetic_v<T> GgufBuilder& array(std::string_view name,
                                                        const std::vector<T>& values) {
        ByteSink& sink =
            begin_key(name, 9).put(gguf_type_number<T>()).put(std::uint64_t{values.size()});
        for (const T value : values) sink.put(value);
        return *this;
    }
    GgufBuilder& array(std::string_view name, const std::vector<std::string>& values) {
        ByteSink& sink = begin_key(name, 9).put(std::uint32_t{8}).put(std::uint64_t{values.size()});
        for (const auto& value : values) sink.put_string(value);
        return *this;
    }
    /// The caller appends the value.
    ByteSink& begin_key(std::string_view name, std::uint32_t type) {
        ++n_keys_;
        return keys_.put_string(name).put(type);
    }
    /// dims innermost first, as the file has them.
    GgufBuilder& tensor(std::string_view name, const std::vector<std::uint64_t>& dims,
                        std::uint32_t type, std::uint64_t offset) {
        ++n_tensors_;
        directory_.put_string(name).put(static_cast<std::uint32_t>(dims.size()));
        for (const std::uint64_t dim : dims) directory_.put(dim);
        directory_.put(type).put(offset);
        return *this;
    }

    std::vector<std::byte> header() const {
        ByteSink sink;
        sink.put(magic).put(version).put(n_tensors_ + extra_tensors).put(n_keys_ + extra_keys);
        sink.put_bytes(keys_.bytes).put_bytes(directory_.bytes);
        return sink.bytes;
    }
    /// The header, padded, and n_data_bytes of data 0, 1, 2, ...
    std::vector<std::byte> file(std::size_t n_data_bytes, std::size_t alignment = 32) const {
        std::vector<std::byte> bytes = header();
        bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
        for (std::size_t i = 0; i < n_data_bytes; ++i) bytes.push_back(std::byte(i & 0xff));
        return bytes;
    }

private:
    ByteSink keys_;
    ByteSink directory_;
    std::uint64_t n_keys_ = 0;
    std::uint64_t n_tensors_ = 0;
};

}  // namespace kvasir::test
