// HfWeights: the tensors of a directory, in model.safetensors or in the shards that
// model.safetensors.index.json names.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "config/base/error.hpp"
#include "daemon/model/hf/safetensors.hpp"
#include "quant/mapped_file.hpp"

namespace kvasir {

/// Owns the mappings; entries point into them.
class HfWeights {
public:
    /// Errors: not_found (no weights), io, corrupt (also: a tensor twice, a shard outside of the
    /// directory, an index that says otherwise than its shards), too_large, unsupported.
    static Result<HfWeights> open(const std::filesystem::path& dir);

    const std::map<std::string, SafetensorsEntry>& entries() const { return entries_; }

private:
    Result<> add_file(const std::filesystem::path& path);
    std::vector<MappedFile> files_;
    std::map<std::string, SafetensorsEntry> entries_;
};

/// The names of the files that hold the weights, in order. Errors: as open.
Result<std::vector<std::string>> find_hf_weight_files(const std::filesystem::path& dir);

}  // namespace kvasir
