#include "daemon/model/hf/hf_directory.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "daemon/model/hf/hf_tensor.hpp"
#include "quant/shared/quant_format.h"

namespace kvasir {
namespace {

/// config.json and what is asked of it.
struct ParsedConfig {
    std::unique_ptr<const boost::json::value> document;
    std::unique_ptr<const HfConfig> config;  // the language model's: text_config where there is one
};

Result<ParsedConfig> read_config(const std::filesystem::path& dir) {
    ParsedConfig parsed;
    const std::filesystem::path path = dir / "config.json";
    KVASIR_TRY(auto document, read_json_file(path));
    parsed.document = std::make_unique<const boost::json::value>(std::move(document));
    KVASIR_TRY(JsonMembers fields, JsonMembers::create(*parsed.document, path.string()));
    const HfConfig whole(std::move(fields));
    KVASIR_TRY(const auto text, whole.find_object("text_config"));
    parsed.config = std::make_unique<const HfConfig>(text ? *text : whole);
    return parsed;
}

Result<HfMapping> map_config(const HfConfig& config) {
    if (config.has("quantization_config")) {
        return config.fields().unsupported(
            "`quantization_config`: expected weights in F32, F16 or BF16");
    }
    KVASIR_TRY(const std::string_view model_type, config.fields().get_string("model_type"));
    const auto family = find_hf_family(model_type);
    if (family.has_error()) return config.fields().unsupported(family.error().message);
    HfMapping mapping;
    KVASIR_TRY_VOID((*family)->map(config, mapping));
    return mapping;
}

Error in_directory(const std::filesystem::path& dir, const Error& error) {
    return {error.code, fmt::format("{}: {}", dir.string(), error.message)};
}

}  // namespace

Result<std::unique_ptr<HfDirectory>> HfDirectory::open(const std::filesystem::path& dir) {
    KVASIR_TRY(const ParsedConfig parsed, read_config(dir));
    KVASIR_TRY(const HfMapping mapping, map_config(*parsed.config));
    KVASIR_TRY(HfWeights weights, HfWeights::open(dir));
    std::unique_ptr<HfDirectory> opened(new HfDirectory(dir, std::move(weights)));
    opened->add_key("general.architecture", mapping.architecture);
    for (const auto& [key, found] : mapping.keys) {
        opened->add_key(key, found.value);
        opened->labels_.emplace(key, "config.json: " + found.label);
    }
    const auto added = opened->add_tensors(mapping);
    if (added.has_error()) return in_directory(dir, added.error());
    for (const auto& [name, values] : mapping.made) opened->add_made(name, values);
    std::optional<std::uint32_t> n_rows;
    if (const TensorInfo* embedding = opened->find_tensor("token_embd.weight"))
        n_rows =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(embedding->shape[0], UINT32_MAX));
    KVASIR_TRY(HfText text, read_hf_text(dir, *parsed.config, n_rows));
    opened->add_text(std::move(text));
    return opened;
}

void HfDirectory::add_key(const std::string& key, const HfMapping::Value& value) {
    struct Visitor {
        std::deque<std::string>& texts;
        GgufValue operator()(std::uint32_t v) const { return std::uint64_t{v}; }
        GgufValue operator()(double v) const { return v; }
        GgufValue operator()(bool v) const { return v; }
        GgufValue operator()(const std::string& v) const {
            return std::string_view(texts.emplace_back(v));
        }
        GgufValue operator()(const std::vector<std::int64_t>& v) const { return GgufArray(v); }
    };
    keys_.insert_or_assign(key, std::visit(Visitor{texts_}, value));
}

/// By its name, or without the prefix it may lack, or behind one that it may have.
const SafetensorsEntry* HfDirectory::find_entry(const std::string& name, const HfMapping& mapping) {
    std::vector<std::string> names{name};
    for (const std::string& prefix : mapping.prefixes)
        names.push_back(name.starts_with(prefix) ? name.substr(prefix.size()) : prefix + name);
    for (const std::string& candidate : names) {
        const auto found = weights_.entries().find(candidate);
        if (found == weights_.entries().end()) continue;
        used_.insert(candidate);
        return &found->second;
    }
    return nullptr;
}

Result<> HfDirectory::add_tensors(const HfMapping& mapping) {
    for (const HfTensor& wanted : mapping.tensors) {
        std::vector<const SafetensorsEntry*> parts;
        for (const std::string& part : wanted.parts) {
            const SafetensorsEntry* entry = find_entry(part, mapping);
            if (entry == nullptr)
                return Error{ErrorCode::corrupt, fmt::format("{}: tensor missing", part)};
            parts.push_back(entry);
        }
        KVASIR_TRY(TensorInfo tensor, make_tensor(wanted, parts));
        labels_.emplace(wanted.name, wanted.is_stack
                                         ? fmt::format("{} and its like", parts.front()->name)
                                         : parts.front()->name);
        tensor_index_.emplace(wanted.name, tensors_.size());
        tensors_.push_back(std::move(tensor));
    }
    return check_unused(mapping);
}

/// A bias or a norm that no op order reads: the model would compute something else.
Result<> HfDirectory::check_unused(const HfMapping& mapping) const {
    for (const auto& [name, entry] : weights_.entries()) {
        const auto is_in_name = [&, subject = std::string_view(name)](const std::string& part) {
            return subject.find(part) != std::string_view::npos;
        };
        if (used_.contains(name) || std::ranges::any_of(mapping.ignored, is_in_name)) continue;
        return Error{ErrorCode::unsupported,
                     fmt::format("{}: expected no such tensor in a model of architecture {}",
                                 printable(name), mapping.architecture)};
    }
    return {};
}

void HfDirectory::add_made(const std::string& name, std::vector<float> values) {
    const std::vector<float>& kept = made_.emplace_back(std::move(values));
    tensor_index_.emplace(name, tensors_.size());
    tensors_.push_back({.name = name,
                        .type = shared::kFormatF32,
                        .shape = {kept.size()},
                        .data = std::as_bytes(std::span(kept)),
                        .format = find_format(FormatId{shared::kFormatF32})});
    labels_.emplace(name, "config.json: rope_scaling");
}

void HfDirectory::add_text(HfText text) {
    tokenizer_ = std::move(text.tokenizer);
    if (!text.chat_template.empty()) add_key("tokenizer.chat_template", text.chat_template);
    if (!text.tool_template.empty())
        add_key("tokenizer.chat_template.tool_use", text.tool_template);
    if (text.eos) add_key("tokenizer.ggml.eos_token_id", *text.eos);
}

const TensorInfo* HfDirectory::find_tensor(std::string_view name) const {
    const auto found = tensor_index_.find(name);
    return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

const GgufValue* HfDirectory::find(std::string_view key) const {
    const auto found = keys_.find(key);
    return found == keys_.end() ? nullptr : &found->second;
}

std::string HfDirectory::label(std::string_view name) const {
    const auto found = labels_.find(name);
    return found == labels_.end() ? std::string(name) : found->second;
}

Result<std::shared_ptr<const Tokenizer>> open_hf_tokenizer(const std::filesystem::path& dir) {
    KVASIR_TRY(const ParsedConfig parsed, read_config(dir));
    KVASIR_TRY(HfText text, read_hf_text(dir, *parsed.config, std::nullopt));
    if (text.tokenizer) return std::move(text.tokenizer);
    return Error{ErrorCode::not_found, fmt::format("{}: no tokenizer.json", dir.string())};
}

}  // namespace kvasir
