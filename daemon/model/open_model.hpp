// What --model names: a GGUF file or a Hugging Face directory.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "config/base/error.hpp"
#include "daemon/model/tokenizer.hpp"
#include "quant/model_source.hpp"

namespace kvasir {

struct OpenedModel {
    std::unique_ptr<ModelSource> source;
    std::shared_ptr<const Tokenizer> tokenizer;  // nullptr: the model has none
};

/// Errors: as GgufFile::open, HfDirectory::open, Tokenizer::create.
Result<OpenedModel> open_model(const std::filesystem::path& path);
/// Weights are not needed. Errors: as above; not_found, corrupt (no tokenizer).
Result<std::shared_ptr<const Tokenizer>> open_tokenizer(const std::filesystem::path& path);

/// The files whose bytes decide what a model computes, in an order that stays. Errors: as
/// open_model.
Result<std::vector<std::filesystem::path>> find_model_files(const std::filesystem::path& path);
/// Has a config.json, and weights beside it.
bool is_hf_directory(const std::filesystem::path& path);
bool has_hf_config(const std::filesystem::path& path);

}  // namespace kvasir
