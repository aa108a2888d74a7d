#include "daemon/model/hf/hf_tokenizer.hpp"

#include <fmt/format.h>
#include <limits>

#include "quant/mapped_file.hpp"

namespace kvasir {
namespace {

/// eos_token_id: one id or several.
Result<std::vector<TokenId>> read_ids(const HfConfig& config, std::string_view key) {
    constexpr std::size_t kMost = 64;
    const auto* value = config.fields().find(key);
    std::vector<TokenId> ids;
    if (value == nullptr) return ids;
    boost::json::array one;
    const auto* array = value->if_array();
    if (array == nullptr) {
        one.push_back(*value);
        array = &one;
    }
    for (const boost::json::value& element : *array) {
        const auto id = as_id(element, std::numeric_limits<TokenId>::max());
        if (!id || ids.size() == kMost)
            return config.fields().corrupt(
                fmt::format("`{}`: expected a token id or at most {} of them", key, kMost));
        ids.push_back(*id);
    }
    return ids;
}

/// "</s>" or {"content": "</s>", ...}
Result<std::optional<std::string>> read_token(const HfConfig& config, std::string_view key) {
    const auto* value = config.fields().find(key);
    if (value == nullptr) return std::optional<std::string>();
    if (const auto* text = value->if_string()) return std::optional(std::string(*text));
    KVASIR_TRY(const auto object, config.find_object(key));
    KVASIR_TRY(const std::string_view content, object->fields().get_string("content"));
    return std::optional(std::string(content));
}

/// A template, or several by name: "default" is the one, "tool_use" where there are tools.
Result<> read_templates(const HfConfig& config, HfText& out) {
    const auto* value = config.fields().find("chat_template");
    if (value == nullptr) return {};
    if (const auto* text = value->if_string()) {
        out.chat_template = *text;
        return {};
    }
    KVASIR_TRY(const auto* templates, config.fields().get_array("chat_template", 64));
    for (const boost::json::value& one : *templates) {
        KVASIR_TRY(const JsonMembers fields,
                   JsonMembers::create(one, config.fields().where() + ": chat_template"));
        KVASIR_TRY(const std::string_view name, fields.get_string("name"));
        KVASIR_TRY(const std::string_view text, fields.get_string("template"));
        if (name == "default") out.chat_template = text;
        if (name == "tool_use") out.tool_template = text;
    }
    return {};
}

Result<std::string> read_template_file(const std::filesystem::path& path) {
    constexpr std::size_t kMaxBytes = 1U << 20U;
    KVASIR_TRY(const MappedFile file, MappedFile::open(path));
    if (file.bytes().size() > kMaxBytes) {
        return Error{ErrorCode::too_large,
                     fmt::format("{}: {} bytes, expected at most {}", path.string(),
                                 file.bytes().size(), kMaxBytes)};
    }
    return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

Result<> read_tokenizer_config(const std::filesystem::path& path, TokenizerConfig& out,
                               HfText& text) {
    KVASIR_TRY(const auto document, read_json_file(path));
    KVASIR_TRY(JsonMembers fields, JsonMembers::create(document, path.string()));
    const HfConfig config(std::move(fields));
    KVASIR_TRY(out.bos_text, read_token(config, "bos_token"));
    KVASIR_TRY(out.end_text, read_token(config, "eos_token"));
    out.has_no_bos = !out.bos_text && config.fields().object().contains("bos_token");
    if (config.has("add_bos_token")) {
        KVASIR_TRY(out.add_bos, config.bool_or("add_bos_token", false));
    }
    return read_templates(config, text);
}

Result<> read_generation_config(const std::filesystem::path& path, TokenizerConfig& out) {
    KVASIR_TRY(const auto document, read_json_file(path));
    KVASIR_TRY(JsonMembers fields, JsonMembers::create(document, path.string()));
    KVASIR_TRY(const auto ends, read_ids(HfConfig(std::move(fields)), "eos_token_id"));
    out.ends.insert(out.ends.end(), ends.begin(), ends.end());
    return {};
}

}  // namespace

Result<HfText> read_hf_text(const std::filesystem::path& dir, const HfConfig& config,
                            std::optional<std::uint32_t> n_rows) {
    HfText text;
    TokenizerConfig out;
    out.n_rows = n_rows;
    KVASIR_TRY(out.bos, config.find_u32("bos_token_id"));
    KVASIR_TRY(out.ends, read_ids(config, "eos_token_id"));
    if (has_file(dir / "generation_config.json")) {
        KVASIR_TRY_VOID(read_generation_config(dir / "generation_config.json", out));
    }
    if (has_file(dir / "tokenizer_config.json")) {
        KVASIR_TRY_VOID(read_tokenizer_config(dir / "tokenizer_config.json", out, text));
    }
    if (has_file(dir / "chat_template.jinja")) {
        KVASIR_TRY(text.chat_template, read_template_file(dir / "chat_template.jinja"));
        text.tool_template.clear();  // of another file's
    }
    const auto tool_file = dir / "additional_chat_templates" / "tool_use.jinja";
    if (has_file(tool_file)) {
        KVASIR_TRY(text.tool_template, read_template_file(tool_file));
    }
    if (!has_file(dir / "tokenizer.json")) return text;
    KVASIR_TRY(text.tokenizer, Tokenizer::create_from_json(dir / "tokenizer.json", out));
    if (out.end_text) {
        text.eos = text.tokenizer->find_special(*out.end_text);
    } else if (!out.ends.empty()) {
        text.eos = out.ends.front();
    }
    return text;
}

}  // namespace kvasir
