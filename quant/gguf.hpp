// GGUF v2 and v3: header, metadata, tensor directory. Refuses whatever contradicts itself.
// Source: the GGUF specification, ggml/docs/gguf.md.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"
#include "quant/mapped_file.hpp"
#include "quant/model_source.hpp"

namespace kvasir {

/// Owns the mapping; every view points into it. Immutable: const members may be called from any
/// thread.
class GgufFile : public ModelSource {
public:
    /// Errors: io, corrupt (subject, offset, expected and found), unsupported (version), too_large
    /// (counts over our limits). Arrays of arrays are checked but not kept: find() does not see
    /// them.
    static Result<GgufFile> open(const std::filesystem::path& path);

    const std::filesystem::path& path() const override { return path_; }
    std::span<const TensorInfo> tensors() const override { return tensors_; }
    const TensorInfo* find_tensor(std::string_view name) const override;
    const GgufValue* find(std::string_view key) const override;

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
