// Tokenizer::create: from a model file's metadata to tables, everything checked on the way.
#include <algorithm>
#include <string>
#include <utility>

#include "daemon/model/tokenizer_byte_level.hpp"
#include "daemon/model/tokenizer_impl.hpp"
#include "daemon/model/utf8.hpp"
#include "quant/gguf.hpp"

namespace kvasir {
namespace {

constexpr std::size_t kMaxVocab = std::size_t{1} << 21;
constexpr std::size_t kMaxMerges = std::size_t{1} << 23;
constexpr std::size_t kMaxTokenBytes = 4096;  // of a token's text

// Source: llama_token_type, as tokenizer.ggml.token_type stores it. 0 (undefined) and 6 (byte)
// do not occur in byte-level vocabularies and are read as normal.
constexpr std::int64_t kTypeUnknown = 2;
constexpr std::int64_t kTypeControl = 3;
constexpr std::int64_t kTypeUserDefined = 4;
constexpr std::int64_t kTypeUnused = 5;
constexpr std::int64_t kMaxType = 6;

enum class Kind : std::uint8_t {
    text,
    written,
    control,
    unused
};  // written: user-defined text, matched as it stands

/// Tokens that end a turn or a text, as model families name them.
constexpr std::string_view kEndNames[] = {
    "<|endoftext|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<|eot|>",
    "<|return|>",
    "<end_of_turn>",
    "<|end_of_turn|>",
    "<|endofturn|>",
    "<|END_OF_TURN_TOKEN|>",
    "</s>",
    "<EOT>",
    "<｜end▁of▁sentence｜>",
};

Error corrupt(const GgufFile& file, const std::string& what) {
    return {ErrorCode::corrupt, file.path().string() + ": " + what};
}

/// nullptr: absent.
template <class T>
Result<const std::vector<T>*> find_array(const GgufFile& file, const char* key,
                                         std::size_t max_size) {
    const GgufValue* value = file.find(key);
    if (value == nullptr) return static_cast<const std::vector<T>*>(nullptr);
    const auto* array = std::get_if<GgufArray>(value);
    const auto* elements = array == nullptr ? nullptr : std::get_if<std::vector<T>>(array);
    if (elements == nullptr) return corrupt(file, std::string(key) + ": not an array of its type");
    if (elements->size() > max_size) {
        return corrupt(file, std::string(key) + ": " + std::to_string(elements->size()) +
                                 " elements, expected at most " + std::to_string(max_size));
    }
    return elements;
}

bool is_end_name(std::string_view text) {
    return std::find(std::begin(kEndNames), std::end(kEndNames), text) != std::end(kEndNames);
}

/// Some files mark their control tokens as user-defined or even as normal ones. Taking those at
/// their word would let any message end a turn or begin one.
Kind kind_of(std::string_view text, std::int64_t type) {
    const bool bracketed = text.size() > 4 && text.starts_with("<|") && text.ends_with("|>");
    switch (type) {
        case kTypeUnknown:
        case kTypeControl: return Kind::control;
        case kTypeUserDefined:
            return bracketed || is_end_name(text) ? Kind::control : Kind::written;
        case kTypeUnused: return Kind::unused;
        default: return bracketed && is_end_name(text) ? Kind::control : Kind::text;
    }
}

}  // namespace

class Tokenizer::Loader {
public:
    Loader(const GgufFile& file, Tokenizer::Impl& impl) : file_(file), impl_(impl) {}

    Result<> load() {
        KVASIR_TRY_VOID(read_tokens());
        KVASIR_TRY_VOID(read_special_ids());
        KVASIR_TRY_VOID(read_merges());
        return map_bytes();
    }

private:
    Result<> read_tokens();
    Result<> read_special_ids();
    Result<> read_merges();
    Result<> map_bytes();
    Result<std::optional<TokenId>> find_id(const char* key) const;

    const GgufFile& file_;
    Tokenizer::Impl& impl_;
    std::unordered_map<std::string_view, TokenId>
        by_text_;  // what text becomes; views into the file
    std::optional<TokenId> unknown_;
};

Result<> Tokenizer::Loader::read_tokens() {
    KVASIR_TRY(const auto* tokens,
               find_array<std::string_view>(file_, "tokenizer.ggml.tokens", kMaxVocab));
    if (tokens == nullptr || tokens->empty())
        return corrupt(file_, "tokenizer.ggml.tokens: absent or empty");
    KVASIR_TRY(const auto* types,
               find_array<std::int64_t>(file_, "tokenizer.ggml.token_type", kMaxVocab));
    if (types != nullptr && types->size() != tokens->size()) {
        return corrupt(file_, "tokenizer.ggml.token_type: " + std::to_string(types->size()) +
                                  " types, expected " + std::to_string(tokens->size()) +
                                  ", one a token");
    }
    impl_.n_vocab = static_cast<std::uint32_t>(tokens->size());
    impl_.is_control.assign(tokens->size(), false);
    impl_.is_end.assign(tokens->size(), false);
    impl_.byte_begins.reserve(tokens->size() + 1);
    impl_.byte_begins.push_back(0);
    by_text_.reserve(tokens->size());
    std::vector<TokenId> whole;
    for (TokenId id = 0; id < impl_.n_vocab; ++id) {
        const std::string_view text = (*tokens)[id];
        const std::int64_t type = types == nullptr ? 1 : (*types)[id];
        if (text.size() > kMaxTokenBytes) {
            return corrupt(file_, "tokenizer.ggml.tokens: token " + std::to_string(id) + " has " +
                                      std::to_string(text.size()) + " bytes, expected at most " +
                                      std::to_string(kMaxTokenBytes));
        }
        if (type < 0 || type > kMaxType) {
            return corrupt(file_, "tokenizer.ggml.token_type: token " + std::to_string(id) +
                                      " has type " + std::to_string(type) + ", expected 0 to " +
                                      std::to_string(kMaxType));
        }
        const Kind kind = kind_of(text, type);
        if (kind == Kind::text) {
            impl_.bytes += byte_level_decode(text);
            whole.push_back(id);
        } else if (kind != Kind::unused) {
            impl_.bytes += text;
            if (!text.empty()) impl_.specials.add(text, id, kind == Kind::control);
        }
        impl_.byte_begins.push_back(impl_.bytes.size());
        impl_.is_control[id] = kind == Kind::control;
        impl_.is_end[id] = kind == Kind::control && is_end_name(text);
        if (kind == Kind::text || kind == Kind::written) by_text_.emplace(text, id);
    }
    if (!impl_.pre_tokenizer.rule().whole_piece_first) return {};
    for (const TokenId id : whole)
        if (!impl_.bytes_of(id).empty()) impl_.whole_pieces.emplace(impl_.bytes_of(id), id);
    return {};
}

Result<std::optional<TokenId>> Tokenizer::Loader::find_id(const char* key) const {
    KVASIR_TRY(const auto id, file_.find_u32(key));
    if (id && *id >= impl_.n_vocab) {
        return corrupt(file_, std::string(key) + ": " + std::to_string(*id) + ", expected below " +
                                  std::to_string(impl_.n_vocab));
    }
    return id;
}

Result<> Tokenizer::Loader::read_special_ids() {
    for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                            "tokenizer.ggml.eom_token_id"}) {
        KVASIR_TRY(const auto id, find_id(key));
        if (id) impl_.is_end[*id] = true;
    }
    KVASIR_TRY(unknown_, find_id("tokenizer.ggml.unknown_token_id"));
    KVASIR_TRY(impl_.bos, find_id("tokenizer.ggml.bos_token_id"));
    KVASIR_TRY(const auto add_bos, file_.find_bool("tokenizer.ggml.add_bos_token"));
    impl_.add_bos = impl_.bos && add_bos.value_or(impl_.pre_tokenizer.rule().adds_bos);
    return {};
}

/// A merge that names no token, or makes none, is skipped: vocabularies that were cut down keep the
/// merges of what is gone. One that is not two words is refused.
Result<> Tokenizer::Loader::read_merges() {
    KVASIR_TRY(const auto* lines,
               find_array<std::string_view>(file_, "tokenizer.ggml.merges", kMaxMerges));
    if (lines == nullptr) return corrupt(file_, "tokenizer.ggml.merges: absent, but required");
    std::vector<BpeMerge> merges;
    merges.reserve(lines->size());
    std::string joined;
    for (std::size_t i = 0; i < lines->size(); ++i) {
        const std::string_view line = (*lines)[i];
        const std::size_t space = line.find(' ', 1);
        if (line.empty() || space == std::string_view::npos || space + 1 == line.size()) {
            return corrupt(file_, "tokenizer.ggml.merges: merge " + std::to_string(i) +
                                      " is not two words with a space between");
        }
        if (line.size() > kMaxTokenBytes + 1) continue;  // longer than any token
        const auto left = by_text_.find(line.substr(0, space));
        if (left == by_text_.end()) continue;
        const auto right = by_text_.find(line.substr(space + 1));
        if (right == by_text_.end()) continue;
        (joined = line.substr(0, space)) += line.substr(space + 1);
        const auto merged = by_text_.find(joined);
        if (merged == by_text_.end()) continue;
        merges.push_back({left->second, right->second, merged->second});
    }
    impl_.merges = BpeMerges(impl_.n_vocab, merges);
    return {};
}

/// Real vocabularies lack some bytes (Falcon's: control characters). Those become the unknown
/// token or, without one, U+FFFD: replaced, never dropped.
Result<> Tokenizer::Loader::map_bytes() {
    const auto find_byte = [this](std::uint8_t byte) {
        const auto found = by_text_.find(byte_level_text(byte));
        return found == by_text_.end() ? std::nullopt : std::optional(found->second);
    };
    std::vector<TokenId> substitute;
    if (unknown_) {
        substitute = {*unknown_};
    } else {
        for (const char byte : kReplacementCharacter) {
            if (const auto id = find_byte(static_cast<std::uint8_t>(byte)))
                substitute.push_back(*id);
        }
        if (substitute.size() != kReplacementCharacter.size()) substitute.clear();
    }
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        const auto id = find_byte(static_cast<std::uint8_t>(byte));
        impl_.byte_tokens[byte] = id ? std::vector{*id} : substitute;
        if (impl_.byte_tokens[byte].empty()) {
            return corrupt(file_, "tokenizer.ggml.tokens: no token for byte " +
                                      std::to_string(byte) +
                                      ", and neither an unknown token nor U+FFFD to stand in");
        }
    }
    return {};
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create(const GgufFile& file) {
    KVASIR_TRY(const auto model, file.get_string("tokenizer.ggml.model"));
    if (model != "gpt2") {
        return Error{ErrorCode::unsupported, file.path().string() + ": tokenizer.ggml.model: `" +
                                                 std::string(model.substr(0, 64)) +
                                                 "`, expected `gpt2` (byte-level BPE)"};
    }
    KVASIR_TRY(const auto pre, file.find_string("tokenizer.ggml.pre"));
    KVASIR_TRY(auto pre_tokenizer, PreTokenizer::create(pre.value_or("default")));
    auto impl = std::make_unique<Impl>(std::move(pre_tokenizer));
    KVASIR_TRY_VOID(Loader(file, *impl).load());
    return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

}  // namespace kvasir
