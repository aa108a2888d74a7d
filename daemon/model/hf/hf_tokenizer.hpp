// What a directory says of text: tokenizer.json, tokenizer_config.json, chat_template.jinja,
// generation_config.json.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "daemon/model/hf/hf_config.hpp"
#include "daemon/model/tokenizer.hpp"

namespace kvasir {

struct HfText {
    std::shared_ptr<const Tokenizer> tokenizer;  // nullptr: the directory has none
    std::string chat_template;                   // empty: none
    std::string tool_template;                   // in its place where there are tools
    std::optional<TokenId> eos;                  // the one that templates write
};

/// config: config.json, or its text_config. n_rows: of the embedding, where known. Errors: as
/// Tokenizer::create_from_json; corrupt (the other files).
Result<HfText> read_hf_text(const std::filesystem::path& dir, const HfConfig& config,
                            std::optional<std::uint32_t> n_rows);

}  // namespace kvasir
