// ModelSource: a model's numbers and tensors, under the names that GGUF gives them, wherever they
// come from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/base/error.hpp"
#include "quant/format.hpp"

namespace kvasir {

/// A tensor of the directory; data points into a mapping, which the source keeps.
struct TensorInfo {
    /// Row i of a tensor whose rows are not in the file as they are wanted; valid until scratch
    /// changes.
    using MakeRow =
        std::function<std::span<const std::byte>(std::uint64_t i, std::vector<std::byte>& scratch)>;

    std::string name;
    std::uint32_t type;                // GGUF type number
    std::vector<std::uint64_t> shape;  // outermost first (the file stores it innermost first)
    std::span<const std::byte> data;   // whole tensor, length checked against shape and format;
                                       // empty where make_row is set
    const FormatInfo*
        format;  // nullptr: a type number this build cannot decode; data is then empty
    MakeRow make_row = {};

    std::uint64_t n_elements() const;
    // REQUIRES: format.
    std::uint64_t row_bytes() const;
    std::uint64_t n_bytes() const;
    /// Row i: shape.back() elements, the outer extents counted through.
    std::span<const std::byte> row(std::uint64_t i, std::vector<std::byte>& scratch) const;
};

/// Arrays keep the element kind they were written with, widened: every integer array -> int64,
/// floats -> double.
using GgufArray =
    std::variant<std::vector<std::int64_t>, std::vector<double>, std::vector<std::string_view>>;
using GgufValue =
    std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view, GgufArray>;

/// A name out of a file, fit for a message: printable ASCII in quotes, and not too long.
std::string printable(std::string_view text);

/// Immutable: const members may be called from any thread. Every view lives as long as the source.
class ModelSource {
public:
    virtual ~ModelSource() = default;

    virtual const std::filesystem::path& path() const = 0;
    virtual std::span<const TensorInfo> tensors() const = 0;
    virtual const TensorInfo* find_tensor(std::string_view name) const = 0;
    virtual const GgufValue* find(std::string_view key) const = 0;
    /// What the source's own files call a key or a tensor: for messages.
    virtual std::string label(std::string_view name) const { return std::string(name); }

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

protected:
    ModelSource() = default;
    ModelSource(const ModelSource&) = default;
    ModelSource(ModelSource&&) = default;
    ModelSource& operator=(const ModelSource&) = default;
    ModelSource& operator=(ModelSource&&) = default;
};

}  // namespace kvasir
