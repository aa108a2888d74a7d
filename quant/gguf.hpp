// GGUF v2 and v3: header, metadata, tensor directory. Refuses whatever contradicts itself.
// Source: the GGUF specification, ggml/docs/gguf.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/base/error.hpp"
#include "quant/format.hpp"
#include "quant/mapped_file.hpp"

namespace kvasir {

/// A tensor of the directory; data points into the mapping, which GgufFile keeps.
struct TensorInfo {
    std::string name;
    std::uint32_t type;                // GGUF type number
    std::vector<std::uint64_t> shape;  // outermost first (the file stores it innermost first)
    std::span<const std::byte> data;   // whole tensor, length checked against shape and format
    const FormatInfo*
        format;  // nullptr: a type number this build cannot decode; data is then empty
    std::uint64_t n_elements() const;
};

/// Arrays keep the element kind they were written with, widened: every integer array -> int64,
/// floats -> double.
using GgufArray =
    std::variant<std::vector<std::int64_t>, std::vector<double>, std::vector<std::string_view>>;
using GgufValue =
    std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view, GgufArray>;

/// A name out of a file, fit for a message: printable ASCII in quotes, and not too long.
std::string printable(std::string_view text);

/// Owns the mapping; every view points into it. Immutable: const members may be called from any
/// thread.
class GgufFile {
public:
    /// Errors: io, corrupt (subject, offset, expected and found), unsupported (version), too_large
    /// (counts over our limits). Arrays of arrays are checked but not kept: find() does not see
    /// them.
    static Result<GgufFile> open(const std::filesystem::path& path);

    const std::filesystem::path& path() const { return path_; }
    std::span<const TensorInfo> tensors() const { return tensors_; }
    const TensorInfo* find_tensor(std::string_view name) const;
    const GgufValue* find(std::string_view key) const;

    // Typed getters: absent -> nullopt; present with another type, negative or out of range ->
    // Error corrupt naming the key.
    Result<std::optional<std::uint32_t>> find_u32(std::string_view key) const;
    Result<std::optional<float>> find_f32(std::string_view key) const;
    Result<std::optional<bool>> find_bool(std::string_view key) const;
    Result<std::optional<std::string_view>> find_string(std::string_view key) const;
    // Required: absent -> Error corrupt naming the key.
    Result<std::uint32_t> get_u32(std::string_view key) const;
    Result<float> get_f32(std::string_view key) const;
    Result<std::string_view> get_string(std::string_view key) const;

private:
    GgufFile(std::filesystem::path path, MappedFile file)
        : path_(std::move(path)), file_(std::move(file)) {}
    std::filesystem::path path_;
    MappedFile file_;
    std::map<std::string, GgufValue, std::less<>> metadata_;
    std::vector<TensorInfo> tensors_;
    std::map<std::string_view, std::size_t> tensor_index_;
};

}  // namespace kvasir
