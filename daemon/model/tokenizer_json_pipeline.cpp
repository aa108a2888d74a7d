#include "daemon/model/tokenizer_json_pipeline.hpp"

#include <algorithm>

#include "daemon/model/pre_tokenizer_dialect.hpp"
#include "quant/gguf.hpp"

namespace kvasir {
namespace {

constexpr std::size_t kMaxStages = 32;
constexpr std::size_t kMaxGrowth = 64;  // of a text, in bytes
constexpr std::string_view kPunctuation = R"([\p{P}!-/:-@\[-`{-~])";

/// Calls read(stage) for the value itself or, where it is a Sequence, for each of its members.
template <class Read>
Result<> for_each_stage(const boost::json::value& value, const std::string& where,
                        std::string_view members, Read read) {
    KVASIR_TRY(const JsonMembers fields, JsonMembers::create(value, where));
    KVASIR_TRY(const std::string_view type, fields.get_string("type"));
    if (type != "Sequence") return read(fields, type, true);
    KVASIR_TRY_VOID(fields.expect_only({"type", members}));
    KVASIR_TRY(const auto* stages, fields.get_array(members, kMaxStages));
    for (std::size_t i = 0; i < stages->size(); ++i) {
        KVASIR_TRY(const JsonMembers stage,
                   JsonMembers::create((*stages)[i], where + "[" + std::to_string(i) + "]"));
        KVASIR_TRY(const std::string_view stage_type, stage.get_string("type"));
        KVASIR_TRY_VOID(read(stage, stage_type, stages->size() == 1));
    }
    return {};
}

Error unknown_type(const JsonMembers& fields, std::string_view type) {
    return fields.unsupported("type " + printable(type) + " is unknown here");
}

/// {"String": s} or {"Regex": r}, as an expression.
Result<std::string> read_pattern(const JsonMembers& fields) {
    KVASIR_TRY(const auto* value, fields.get("pattern"));
    KVASIR_TRY(const JsonMembers pattern, JsonMembers::create(*value, fields.where() + ".pattern"));
    KVASIR_TRY_VOID(pattern.expect_only({"String", "Regex"}));
    KVASIR_TRY(const std::string_view expression, pattern.find_string("Regex"));
    if (!expression.empty()) return std::string(expression);
    KVASIR_TRY(const std::string_view text, pattern.get_string("String"));
    if (text.empty()) return pattern.corrupt("an empty string");
    return literal_pattern(text);
}

class Reader {
public:
    explicit Reader(JsonPipeline& pipeline) : out_(pipeline) {}

    Result<> normalizer(const JsonMembers& fields, std::string_view type);
    Result<> pre_tokenizer(const JsonMembers& fields, std::string_view type, bool is_alone);
    Result<> decoder(const JsonMembers& fields, std::string_view type);
    Result<> post_processor(const JsonMembers& fields, std::string_view type);

private:
    using Kind = TextNormalizer::Kind;

    Result<> replace(const JsonMembers& fields);
    Result<> split(const JsonMembers& fields);
    Result<> byte_level(const JsonMembers& fields, bool is_alone);
    Result<> metaspace(const JsonMembers& fields, bool is_alone);
    Result<LeadingSpace> metaspace_prefix(const JsonMembers& fields) const;
    void cut(std::string pattern, PreTokenizerCut how = PreTokenizerCut::isolate) {
        out_.steps.push_back({out_.patterns.emplace_back(std::move(pattern)), how});
    }

    JsonPipeline& out_;
    std::size_t growth_ = 1;
};

Result<> Reader::normalizer(const JsonMembers& fields, std::string_view type) {
    constexpr std::pair<std::string_view, Kind> kForms[] = {
        {"NFC", Kind::nfc}, {"NFD", Kind::nfd}, {"NFKC", Kind::nfkc}, {"NFKD", Kind::nfkd}};
    for (const auto& [name, kind] : kForms) {
        if (type != name) continue;
        out_.normalizer.add({kind, "", ""});
        return fields.expect_only({"type"});
    }
    if (type == "Prepend") {
        KVASIR_TRY_VOID(fields.expect_only({"type", "prepend"}));
        KVASIR_TRY(const std::string_view prefix, fields.get_string("prepend"));
        if (prefix.size() > kMaxTokenBytes) return fields.corrupt("more than 4096 bytes");
        out_.normalizer.add({Kind::prepend, "", std::string(prefix)});
        if (prefix == kEscapedSpace || prefix == " ") out_.prefix = LeadingSpace::each;
        return {};
    }
    if (type == "Replace") return replace(fields);
    return unknown_type(fields, type);
}

Result<> Reader::replace(const JsonMembers& fields) {
    KVASIR_TRY_VOID(fields.expect_only({"type", "pattern", "content"}));
    KVASIR_TRY(const auto* value, fields.get("pattern"));
    KVASIR_TRY(const JsonMembers pattern, JsonMembers::create(*value, fields.where() + ".pattern"));
    if (pattern.find("Regex") != nullptr)
        return fields.unsupported("a replacement by regular expression");
    KVASIR_TRY(const std::string_view from, pattern.get_string("String"));
    KVASIR_TRY(const std::string_view to, fields.get_string("content"));
    if (from.empty()) return fields.corrupt("an empty pattern");
    // Stages multiply: a file of a few lines could ask for more memory than there is.
    growth_ *= std::max<std::size_t>(1, (to.size() + from.size() - 1) / from.size());
    if (growth_ > kMaxGrowth)
        return fields.unsupported("replacements that make a text more than 64 times as long");
    out_.normalizer.add({Kind::replace, std::string(from), std::string(to)});
    return {};
}

Result<> Reader::pre_tokenizer(const JsonMembers& fields, std::string_view type, bool is_alone) {
    if (out_.is_byte_level) return fields.unsupported("a stage after `ByteLevel`");
    if (type == "ByteLevel") return byte_level(fields, is_alone);
    if (type == "Metaspace") return metaspace(fields, is_alone);
    if (type == "Split") return split(fields);
    if (type == "Digits") {
        KVASIR_TRY_VOID(fields.expect_only({"type", "individual_digits"}));
        KVASIR_TRY(const bool each, fields.get_bool("individual_digits", false));
        cut(each ? R"(\p{N})" : R"(\p{N}+)");
        return {};
    }
    if (type == "Punctuation") {
        KVASIR_TRY_VOID(fields.expect_only({"type", "behavior"}));
        KVASIR_TRY(const std::string_view behavior, fields.get_string("behavior"));
        if (behavior != "Isolated" && behavior != "Contiguous")
            return fields.unsupported("behavior " + printable(behavior));
        cut(std::string(kPunctuation) + (behavior == "Contiguous" ? "+" : ""));
        return {};
    }
    return unknown_type(fields, type);
}

Result<> Reader::split(const JsonMembers& fields) {
    KVASIR_TRY_VOID(fields.expect_only({"type", "pattern", "behavior", "invert"}));
    KVASIR_TRY(const std::string pattern, read_pattern(fields));
    KVASIR_TRY(const std::string_view behavior, fields.get_string("behavior"));
    KVASIR_TRY(const bool inverted, fields.get_bool("invert", false));
    if (behavior == "Isolated" || (behavior == "Removed" && inverted)) {
        cut(pattern);
    } else if (behavior == "Contiguous" && !inverted) {
        cut("(?:" + pattern + ")+");
    } else if (behavior == "MergedWithPrevious" && !inverted) {
        cut(pattern, PreTokenizerCut::with_previous);
    } else if (behavior == "MergedWithNext" && !inverted) {
        cut(pattern, PreTokenizerCut::with_next);
    } else {
        return fields.unsupported("behavior " + printable(behavior) +
                                  (inverted ? ", inverted" : ""));
    }
    return {};
}

Result<> Reader::byte_level(const JsonMembers& fields, bool is_alone) {
    KVASIR_TRY_VOID(fields.expect_only({"type", "add_prefix_space", "trim_offsets", "use_regex"}));
    KVASIR_TRY(const bool prefix, fields.get_bool("add_prefix_space", true));
    KVASIR_TRY(const bool use_regex, fields.get_bool("use_regex", true));
    if (prefix && !is_alone) return fields.unsupported("`add_prefix_space` beside other stages");
    if (prefix) out_.normalizer.add({Kind::prepend_once, "", " "});
    if (use_regex) {
        KVASIR_TRY(const PreTokenizerRule* rule, find_pre_tokenizer_rule("gpt-2"));
        out_.steps.push_back(rule->steps.front());
    }
    out_.is_byte_level = true;
    return {};
}

/// prepend_scheme or, in older files, add_prefix_space.
Result<LeadingSpace> Reader::metaspace_prefix(const JsonMembers& fields) const {
    KVASIR_TRY_VOID(fields.expect_only(
        {"type", "replacement", "str_rep", "add_prefix_space", "prepend_scheme", "split"}));
    KVASIR_TRY(const std::string_view replacement, fields.get_string("replacement"));
    if (replacement != kEscapedSpace)
        return fields.unsupported("replacement " + printable(replacement) + ", expected U+2581");
    KVASIR_TRY(const bool adds, fields.get_bool("add_prefix_space", true));
    KVASIR_TRY(const std::string_view scheme, fields.find_string("prepend_scheme"));
    if (scheme == "first") return LeadingSpace::first;
    if (scheme == "always" || (scheme.empty() && adds)) return LeadingSpace::each;
    if (scheme == "never" || scheme.empty()) return LeadingSpace::none;
    return fields.unsupported("prepend_scheme " + printable(scheme));
}

Result<> Reader::metaspace(const JsonMembers& fields, bool is_alone) {
    if (!is_alone) return fields.unsupported("`Metaspace` beside other stages");
    KVASIR_TRY(const LeadingSpace prefix, metaspace_prefix(fields));
    const std::string space(kEscapedSpace);
    out_.normalizer.add({Kind::replace, " ", space});
    if (prefix == LeadingSpace::each) out_.normalizer.add({Kind::prepend_once, "", space});
    if (prefix == LeadingSpace::first) out_.normalizer.add({Kind::prepend_first, "", space});
    if (prefix != LeadingSpace::none) out_.prefix = prefix;
    KVASIR_TRY(const bool splits, fields.get_bool("split", true));
    if (splits) cut(space, PreTokenizerCut::with_next);
    return {};
}

Result<> Reader::decoder(const JsonMembers& fields, std::string_view type) {
    if (type == "ByteLevel" || type == "ByteFallback" || type == "Fuse") return {};
    if (type == "Metaspace") {
        KVASIR_TRY(const LeadingSpace prefix, metaspace_prefix(fields));
        out_.unescapes_space = true;
        out_.drops_first_space = prefix != LeadingSpace::none;
        return {};
    }
    if (type == "Replace") {
        KVASIR_TRY_VOID(fields.expect_only({"type", "pattern", "content"}));
        KVASIR_TRY(const std::string pattern, read_pattern(fields));
        KVASIR_TRY(const std::string_view content, fields.get_string("content"));
        if (pattern != kEscapedSpace || content != " ")
            return fields.unsupported("a replacement other than U+2581 by a space");
        out_.unescapes_space = true;
        return {};
    }
    if (type == "Strip") {
        KVASIR_TRY_VOID(fields.expect_only({"type", "content", "start", "stop"}));
        KVASIR_TRY(const std::string_view content, fields.get_string("content"));
        KVASIR_TRY(const std::uint32_t start, fields.get_id("start", 1024));
        KVASIR_TRY(const std::uint32_t stop, fields.get_id("stop", 1024));
        if (content != " " || start > 1 || stop != 0)
            return fields.unsupported("what strips more than one space at the start");
        out_.drops_first_space = start == 1;
        return {};
    }
    return unknown_type(fields, type);
}

Result<> Reader::post_processor(const JsonMembers& fields, std::string_view type) {
    if (type == "ByteLevel") return {};
    if (type != "TemplateProcessing") return unknown_type(fields, type);
    KVASIR_TRY(const auto* single, fields.get_array("single", kMaxStages));
    const auto token_at = [&](std::size_t i) -> Result<std::optional<std::string>> {
        KVASIR_TRY(const JsonMembers part,
                   JsonMembers::create((*single)[i],
                                       fields.where() + ".single[" + std::to_string(i) + "]"));
        const auto* special = part.find("SpecialToken");
        if (special == nullptr) return std::optional<std::string>();
        KVASIR_TRY(const JsonMembers token,
                   JsonMembers::create(*special, part.where() + ".SpecialToken"));
        KVASIR_TRY(const std::string_view text, token.get_string("id"));
        return std::optional(std::string(text));
    };
    if (single->empty()) return {};
    KVASIR_TRY(out_.first_token, token_at(0));
    if (single->size() > 1) {
        KVASIR_TRY(out_.last_token, token_at(single->size() - 1));
    }
    return {};
}

}  // namespace

Result<JsonPipeline> read_pipeline(const JsonMembers& file) {
    JsonPipeline pipeline;
    Reader reader(pipeline);
    if (const auto* value = file.find("normalizer")) {
        const auto read = [&](const JsonMembers& stage, std::string_view type, bool) {
            return reader.normalizer(stage, type);
        };
        KVASIR_TRY_VOID(for_each_stage(*value, "normalizer", "normalizers", read));
    }
    if (const auto* value = file.find("pre_tokenizer")) {
        const auto read = [&](const JsonMembers& stage, std::string_view type, bool is_alone) {
            return reader.pre_tokenizer(stage, type, is_alone);
        };
        KVASIR_TRY_VOID(for_each_stage(*value, "pre_tokenizer", "pretokenizers", read));
    }
    if (const auto* value = file.find("decoder")) {
        const auto read = [&](const JsonMembers& stage, std::string_view type, bool) {
            return reader.decoder(stage, type);
        };
        KVASIR_TRY_VOID(for_each_stage(*value, "decoder", "decoders", read));
    }
    if (const auto* value = file.find("post_processor")) {
        const auto read = [&](const JsonMembers& stage, std::string_view type, bool) {
            return reader.post_processor(stage, type);
        };
        KVASIR_TRY_VOID(for_each_stage(*value, "post_processor", "processors", read));
    }
    return pipeline;
}

}  // namespace kvasir
