// HfDirectory: a Hugging Face model directory as a ModelSource: config.json, safetensors,
// tokenizer.
#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/model/hf/hf_mapping.hpp"
#include "daemon/model/hf/hf_tokenizer.hpp"
#include "daemon/model/hf/hf_weights.hpp"
#include "quant/model_source.hpp"

namespace kvasir {

/// Keys and tensors have GGUF's names, values and layout; label() has the directory's.
class HfDirectory : public ModelSource {
public:
    /// Errors: io, not_found (no weights), corrupt, too_large, unsupported (model_type, dtype, a
    /// tensor that no forward pass here would read), naming file and key or tensor.
    static Result<std::unique_ptr<HfDirectory>> open(const std::filesystem::path& dir);
    HfDirectory(const HfDirectory&) = delete;
    HfDirectory& operator=(const HfDirectory&) = delete;

    const std::filesystem::path& path() const override { return dir_; }
    std::span<const TensorInfo> tensors() const override { return tensors_; }
    const TensorInfo* find_tensor(std::string_view name) const override;
    const GgufValue* find(std::string_view key) const override;
    std::string label(std::string_view name) const override;

    const std::shared_ptr<const Tokenizer>& tokenizer() const { return tokenizer_; }

private:
    HfDirectory(std::filesystem::path dir, HfWeights weights)
        : dir_(std::move(dir)), weights_(std::move(weights)) {}
    void add_key(const std::string& key, const HfMapping::Value& value);
    Result<> add_tensors(const HfMapping& mapping);
    Result<> check_unused(const HfMapping& mapping) const;
    const SafetensorsEntry* find_entry(const std::string& name, const HfMapping& mapping);
    void add_made(const std::string& name, std::vector<float> values);
    void add_text(HfText text);

    std::filesystem::path dir_;
    HfWeights weights_;
    std::deque<std::string> texts_;
    std::deque<std::vector<float>> made_;
    std::map<std::string, GgufValue, std::less<>> keys_;
    std::map<std::string, std::string, std::less<>> labels_;
    std::vector<TensorInfo> tensors_;
    std::map<std::string, std::size_t, std::less<>> tensor_index_;
    std::set<std::string> used_;  // entries of the files
    std::shared_ptr<const Tokenizer> tokenizer_;
};

/// The tokenizer of a directory that need not have weights. Errors: as open; not_found (none).
Result<std::shared_ptr<const Tokenizer>> open_hf_tokenizer(const std::filesystem::path& dir);

}  // namespace kvasir
