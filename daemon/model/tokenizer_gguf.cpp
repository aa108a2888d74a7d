// Tokenizer::create: from a model file's metadata to tables, everything checked on the way.
#include <algorithm>
#include <cmath>
#include <deque>
#include <string>
#include <utility>

#include "daemon/model/tokenizer_byte_level.hpp"
#include "daemon/model/tokenizer_bytes.hpp"
#include "daemon/model/tokenizer_impl.hpp"
#include "daemon/model/tokenizer_scores.hpp"
#include "quant/gguf.hpp"

namespace kvasir {
namespace {

/// tokenizer.ggml.model
enum class Family {
    byte_level,  // gpt2
    scored,      // llama: characters, merged by the score of what they make
    ranked,      // gemma4: characters, merged by rank
};

Error corrupt(const GgufFile& file, const std::string& what) {
    return {ErrorCode::corrupt, file.path().string() + ": " + what};
}

/// The same error, with the file in front.
Error in_file(const GgufFile& file, const Error& error) {
    return {error.code, file.path().string() + ": " + error.message};
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

/// Phi-3's tokens take the white space after them along; the file format has no place to say so.
bool strips_right(const GgufFile& file, std::string_view text) {
    const auto name = file.find_string("general.name");
    if (name.has_error() || !*name) return false;
    std::string lower((*name)->substr(0, 64));
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (lower.find("phi-3") == lower.npos && lower.find("phi3") == lower.npos) return false;
    return text != "<unk>" && text != "<s>" && text != "<|endoftext|>";
}

}  // namespace

class Tokenizer::Loader {
public:
    Loader(const GgufFile& file, Tokenizer::Impl& impl, Family family, const PreTokenizerRule& rule)
        : file_(file), impl_(impl), family_(family), rule_(rule) {}

    Result<> load() {
        KVASIR_TRY_VOID(read_tokens());
        KVASIR_TRY_VOID(read_special_ids());
        if (family_ == Family::byte_level) return make_byte_encoder();
        return make_character_encoder();
    }

private:
    Result<> read_tokens();
    Result<> add_token(TokenId id, std::string_view text, std::int64_t type);
    Result<> read_special_ids();
    Result<BpeMerges> read_merges(const Words& words, std::uint32_t n_symbols) const;
    Result<> make_byte_encoder();
    Result<> make_character_encoder();
    Result<> read_normalizer();
    Result<std::optional<TokenId>> find_id(const char* key) const;

    const GgufFile& file_;
    Tokenizer::Impl& impl_;
    Family family_;
    const PreTokenizerRule& rule_;
    Words words_;  // what text becomes; views into the file or escaped_
    std::deque<std::string> escaped_;
    std::array<std::optional<TokenId>, 256> byte_tokens_;
    std::optional<TokenId> unknown_;
    std::optional<TokenId> first_of_type_unknown_;
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
    impl_.table.reserve(tokens->size());
    words_.reserve(tokens->size());
    for (TokenId id = 0; id < tokens->size(); ++id) {
        const std::string_view text = (*tokens)[id];
        const bool names_byte = types == nullptr && find_named_byte(text).has_value();
        const std::int64_t type = types != nullptr ? (*types)[id] : names_byte ? kTypeByte : 1;
        if (text.size() > kMaxTokenBytes) {
            return corrupt(file_, "tokenizer.ggml.tokens: token " + std::to_string(id) + " has " +
                                      std::to_string(text.size()) + " bytes, expected at most " +
                                      std::to_string(kMaxTokenBytes));
        }
        if (type < 0 || type > kTypeByte) {
            return corrupt(file_, "tokenizer.ggml.token_type: token " + std::to_string(id) +
                                      " has type " + std::to_string(type) + ", expected 0 to " +
                                      std::to_string(kTypeByte));
        }
        KVASIR_TRY_VOID(add_token(id, text, type));
    }
    return {};
}

Result<> Tokenizer::Loader::add_token(TokenId id, std::string_view text, std::int64_t type) {
    const bool has_characters = family_ != Family::byte_level;
    if (has_characters && type == kTypeByte) {
        const auto byte = find_named_byte(text);
        if (!byte) {
            return corrupt(file_, "tokenizer.ggml.tokens: token " + std::to_string(id) + " is " +
                                      printable(text) + ", expected a byte such as `<0x0A>`");
        }
        impl_.table.add(std::string(1, static_cast<char>(*byte)), TokenKind::byte, false);
        if (!byte_tokens_[*byte]) byte_tokens_[*byte] = id;
        return {};
    }
    if (type == kTypeUnknown && !first_of_type_unknown_) first_of_type_unknown_ = id;
    const TokenKind kind = kind_of(text, type);
    std::string bytes;  // an unused token stands for nothing
    if (kind == TokenKind::text && !has_characters) bytes = byte_level_decode(text);
    if (kind == TokenKind::text && has_characters) bytes = replace_all(text, kEscapedSpace, " ");
    if (kind == TokenKind::control) bytes = text;
    if (kind == TokenKind::written)
        bytes = has_characters ? replace_all(text, kEscapedSpace, " ") : std::string(text);
    impl_.table.add(bytes, kind, kind == TokenKind::control && is_end_name(text));
    if ((kind == TokenKind::control || kind == TokenKind::written) && !bytes.empty()) {
        impl_.specials.add(bytes, id, kind == TokenKind::control,
                           {.left = false, .right = has_characters && strips_right(file_, text)});
    }
    if (kind != TokenKind::text && kind != TokenKind::written) return {};
    if (has_characters && text.find(' ') != text.npos)
        text = escaped_.emplace_back(replace_all(text, " ", kEscapedSpace));
    words_.emplace(text, id);
    return {};
}

Result<std::optional<TokenId>> Tokenizer::Loader::find_id(const char* key) const {
    KVASIR_TRY(const auto id, file_.find_u32(key));
    if (id && *id >= impl_.table.size()) {
        return corrupt(file_, std::string(key) + ": " + std::to_string(*id) + ", expected below " +
                                  std::to_string(impl_.table.size()));
    }
    return id;
}

Result<> Tokenizer::Loader::read_special_ids() {
    for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                            "tokenizer.ggml.eom_token_id"}) {
        KVASIR_TRY(const auto id, find_id(key));
        if (id) impl_.table.set_end(*id);
    }
    KVASIR_TRY(unknown_, find_id("tokenizer.ggml.unknown_token_id"));
    KVASIR_TRY(impl_.bos, find_id("tokenizer.ggml.bos_token_id"));
    KVASIR_TRY(const auto add_bos, file_.find_bool("tokenizer.ggml.add_bos_token"));
    const bool adds_bos = family_ == Family::scored || rule_.adds_bos;
    impl_.add_bos = impl_.bos && add_bos.value_or(adds_bos);
    KVASIR_TRY(const auto add_eos, file_.find_bool("tokenizer.ggml.add_eos_token"));
    if (add_eos.value_or(false)) {
        KVASIR_TRY(impl_.text_end, find_id("tokenizer.ggml.eos_token_id"));
    }
    return {};
}

Result<BpeMerges> Tokenizer::Loader::read_merges(const Words& words,
                                                 std::uint32_t n_symbols) const {
    KVASIR_TRY(const auto* lines,
               find_array<std::string_view>(file_, "tokenizer.ggml.merges", kMaxMerges));
    if (lines == nullptr) return corrupt(file_, "tokenizer.ggml.merges: absent, but required");
    MergeList merges(words);
    for (const std::string_view line : *lines) {
        const auto added = merges.add(line);
        if (added.has_error())
            return corrupt(file_, "tokenizer.ggml.merges: " + added.error().message);
    }
    return merges.build(n_symbols);
}

Result<> Tokenizer::Loader::make_byte_encoder() {
    KVASIR_TRY(BpeMerges merges, read_merges(words_, impl_.table.size()));
    auto bytes = map_bytes(words_, unknown_);
    if (bytes.has_error()) return in_file(file_, bytes.error());
    KVASIR_TRY(PreTokenizer pre_tokenizer, PreTokenizer::create(std::span(rule_.steps)));
    Words whole;
    for (TokenId id = 0; rule_.whole_piece_first && id < impl_.table.size(); ++id) {
        if (impl_.table.kind(id) == TokenKind::text && !impl_.table.bytes(id).empty())
            whole.emplace(impl_.table.bytes(id), id);
    }
    impl_.encoder = std::make_unique<ByteEncoder>(ByteEncoder::Parts{
        std::move(pre_tokenizer), std::move(*bytes), std::move(merges), std::move(whole)});
    return {};
}

/// Spaces are escaped, and one comes first where the vocabulary was made so.
Result<> Tokenizer::Loader::read_normalizer() {
    KVASIR_TRY(const auto prefix, file_.find_bool("tokenizer.ggml.add_space_prefix"));
    KVASIR_TRY(const auto collapses, file_.find_bool("tokenizer.ggml.remove_extra_whitespaces"));
    using Kind = TextNormalizer::Kind;
    if (collapses.value_or(false)) impl_.normalizer.add({Kind::collapse, "", ""});
    if (prefix.value_or(family_ == Family::scored)) {
        impl_.normalizer.add({Kind::prepend, "", " "});
        impl_.leading_space = LeadingSpace::each;
    }
    impl_.normalizer.add({Kind::replace, " ", std::string(kEscapedSpace)});
    return {};
}

Result<> Tokenizer::Loader::make_character_encoder() {
    KVASIR_TRY_VOID(read_normalizer());
    if (!unknown_) unknown_ = first_of_type_unknown_;
    CharacterEncoder::Parts parts;
    parts.byte_tokens = byte_tokens_;
    parts.unknown = unknown_;
    const auto missing = std::find(byte_tokens_.begin(), byte_tokens_.end(), std::nullopt);
    if (missing != byte_tokens_.end() && !unknown_) {
        return corrupt(file_, "tokenizer.ggml.tokens: no token for byte " +
                                  std::to_string(missing - byte_tokens_.begin()) +
                                  ", and no unknown token to stand in");
    }
    if (family_ == Family::scored) {
        KVASIR_TRY(const auto* scores,
                   find_array<double>(file_, "tokenizer.ggml.scores", kMaxVocab));
        if (scores == nullptr) return corrupt(file_, "tokenizer.ggml.scores: absent, but required");
        auto made = merge_by_score(words_, *scores, impl_.table.size());
        if (made.has_error()) return in_file(file_, made.error());
        parts.symbols = std::move(made->symbols);
        parts.merges = std::move(made->merges);
    } else {
        parts.symbols = character_symbols(words_, impl_.table.size());
        KVASIR_TRY(parts.merges, read_merges(words_, parts.symbols.size()));
        KVASIR_TRY(parts.pre_tokenizer, PreTokenizer::create(std::span(rule_.steps)));
        parts.whole = CharacterEncoder::WholePieces::line_ends;
        for (TokenId id = 0; id < impl_.table.size(); ++id) {
            const std::string_view bytes = impl_.table.bytes(id);
            const bool is_line_ends = !bytes.empty() && bytes.find_first_not_of('\n') == bytes.npos;
            if (is_line_ends && impl_.table.kind(id) == TokenKind::text)
                parts.whole_pieces.emplace(bytes, id);
        }
    }
    impl_.encoder = std::make_unique<CharacterEncoder>(std::move(parts));
    return {};
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create(const GgufFile& file) {
    KVASIR_TRY(const auto model, file.get_string("tokenizer.ggml.model"));
    if (model != "gpt2" && model != "llama" && model != "gemma4") {
        return Error{ErrorCode::unsupported,
                     file.path().string() + ": tokenizer.ggml.model: " + printable(model) +
                         ", expected `gpt2` (byte-level BPE), `llama` (SentencePiece) or `gemma4`"};
    }
    KVASIR_TRY(const auto pre, file.find_string("tokenizer.ggml.pre"));
    const std::string_view name = model == "llama"    ? "default"
                                  : model == "gemma4" ? model
                                                      : pre.value_or("default");
    KVASIR_TRY(const PreTokenizerRule* rule, find_pre_tokenizer_rule(name));
    const Family family = model == "llama"   ? Family::scored
                          : rule->characters ? Family::ranked
                                             : Family::byte_level;
    auto impl = std::make_unique<Impl>();
    KVASIR_TRY_VOID(Loader(file, *impl, family, *rule).load());
    return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

}  // namespace kvasir
