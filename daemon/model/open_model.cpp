#include "daemon/model/open_model.hpp"

#include "daemon/model/hf/hf_directory.hpp"
#include "quant/gguf.hpp"

namespace kvasir {
namespace {

bool leads_to_directory(const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::is_directory(path, ignored);
}

}  // namespace

bool has_hf_config(const std::filesystem::path& path) {
    return has_file(path / "config.json");
}

bool is_hf_directory(const std::filesystem::path& path) {
    return has_hf_config(path) && !find_hf_weight_files(path).has_error();
}

Result<OpenedModel> open_model(const std::filesystem::path& path) {
    OpenedModel opened;
    if (leads_to_directory(path)) {
        KVASIR_TRY(auto directory, HfDirectory::open(path));
        opened.tokenizer = directory->tokenizer();
        opened.source = std::move(directory);
        return opened;
    }
    KVASIR_TRY(GgufFile file, GgufFile::open(path));
    if (file.find("tokenizer.ggml.tokens") != nullptr) {
        KVASIR_TRY(opened.tokenizer, Tokenizer::create(file));
    }
    opened.source = std::make_unique<GgufFile>(std::move(file));
    return opened;
}

Result<std::shared_ptr<const Tokenizer>> open_tokenizer(const std::filesystem::path& path) {
    if (leads_to_directory(path)) return open_hf_tokenizer(path);
    KVASIR_TRY(const GgufFile file, GgufFile::open(path));
    return Tokenizer::create(file);
}

Result<std::vector<std::filesystem::path>> find_model_files(const std::filesystem::path& path) {
    if (!leads_to_directory(path)) return std::vector{path};
    std::vector<std::filesystem::path> files{path / "config.json"};
    KVASIR_TRY(const auto weights, find_hf_weight_files(path));
    for (const std::string& file : weights) files.push_back(path / file);
    return files;
}

}  // namespace kvasir
