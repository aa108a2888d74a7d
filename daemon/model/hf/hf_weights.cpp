#include "daemon/model/hf/hf_weights.hpp"

#include <fmt/format.h>
#include <set>

#include "daemon/model/hf/hf_config.hpp"
#include "quant/model_source.hpp"

namespace kvasir {
namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr std::size_t kMaxShards = 4096;

/// A file beside the index and nothing else.
bool is_plain_name(std::string_view name) {
    constexpr std::string_view kEnding = ".safetensors";
    return name.size() <= 255 && name.ends_with(kEnding) && name.size() > kEnding.size() &&
           name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

/// tensor -> shard
Result<std::map<std::string, std::string>> read_index(const std::filesystem::path& path) {
    KVASIR_TRY(const auto document, read_json_file(path));
    KVASIR_TRY(const JsonMembers index, JsonMembers::create(document, path.string()));
    KVASIR_TRY(const auto* value, index.get("weight_map"));
    KVASIR_TRY(const JsonMembers weights,
               JsonMembers::create(*value, path.string() + ": weight_map"));
    std::map<std::string, std::string> shards;
    for (const auto& member : weights.object()) {
        const auto* name = member.value().if_string();
        if (name == nullptr || !is_plain_name(*name)) {
            return weights.corrupt(fmt::format(
                "the file of {} is {}, expected the name of a .safetensors file in this directory",
                printable(member.key()), name == nullptr ? "no string" : printable(*name)));
        }
        shards.emplace(member.key(), *name);
    }
    if (shards.empty()) return weights.corrupt("no tensors, expected at least one");
    return shards;
}

}  // namespace

Result<std::vector<std::string>> find_hf_weight_files(const std::filesystem::path& dir) {
    if (has_file(dir / kSingle)) return std::vector<std::string>{kSingle};
    if (!has_file(dir / kIndex)) {
        return Error{ErrorCode::not_found, fmt::format("{}: no weights: expected {} or {}",
                                                       dir.string(), kSingle, kIndex)};
    }
    KVASIR_TRY(const auto index, read_index(dir / kIndex));
    std::set<std::string> names;
    for (const auto& [tensor, shard] : index) names.insert(shard);
    if (names.size() > kMaxShards) {
        return Error{ErrorCode::too_large,
                     fmt::format("{}: {} shards, expected at most {}", (dir / kIndex).string(),
                                 names.size(), kMaxShards)};
    }
    return std::vector<std::string>(names.begin(), names.end());
}

Result<> HfWeights::add_file(const std::filesystem::path& path) {
    KVASIR_TRY(MappedFile file, MappedFile::open(path));
    KVASIR_TRY(auto entries, read_safetensors(file.bytes(), path.string()));
    files_.push_back(std::move(file));
    for (SafetensorsEntry& entry : entries) {
        const std::string name = entry.name;
        if (!entries_.try_emplace(name, std::move(entry)).second) {
            return Error{ErrorCode::corrupt, fmt::format("{}: {}: in another shard too",
                                                         path.string(), printable(name))};
        }
    }
    return {};
}

Result<HfWeights> HfWeights::open(const std::filesystem::path& dir) {
    KVASIR_TRY(const auto files, find_hf_weight_files(dir));
    HfWeights weights;
    for (const std::string& file : files) KVASIR_TRY_VOID(weights.add_file(dir / file));
    if (files.front() == kSingle) return weights;
    KVASIR_TRY(const auto index, read_index(dir / kIndex));
    for (const auto& [tensor, shard] : index) {
        if (weights.entries_.contains(tensor)) continue;
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: {}: in none of the shards, expected it in {}",
                                 (dir / kIndex).string(), printable(tensor), shard)};
    }
    return weights;
}

}  // namespace kvasir
