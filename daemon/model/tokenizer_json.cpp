// Tokenizer::create_from_json: Hugging Face's tokenizer.json, BPE over bytes or over characters.
#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <utility>

#include "daemon/model/json_members.hpp"
#include "daemon/model/tokenizer_byte_level.hpp"
#include "daemon/model/tokenizer_bytes.hpp"
#include "daemon/model/tokenizer_impl.hpp"
#include "daemon/model/tokenizer_json_pipeline.hpp"
#include "daemon/model/tokenizer_json_vocabulary.hpp"
#include "daemon/model/tokenizer_scores.hpp"
#include "quant/gguf.hpp"
#include "quant/mapped_file.hpp"

namespace kvasir {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;
constexpr std::size_t kMaxDepth = 16;

}  // namespace

class Tokenizer::JsonLoader {
public:
    JsonLoader(const JsonMembers& file, const TokenizerConfig& config, Tokenizer::Impl& impl)
        : file_(file), config_(config), impl_(impl) {}

    Result<> load() {
        KVASIR_TRY_VOID(
            file_.expect_only({"version", "truncation", "padding", "added_tokens", "normalizer",
                               "pre_tokenizer", "post_processor", "decoder", "model"}));
        KVASIR_TRY(pipeline_, read_pipeline(file_));
        KVASIR_TRY(const auto* value, file_.get("model"));
        KVASIR_TRY(const JsonMembers model, JsonMembers::create(*value, "model"));
        KVASIR_TRY_VOID(check_model(model));
        KVASIR_TRY(vocabulary_, read_json_vocabulary(file_, model));
        leave_out_rowless();
        KVASIR_TRY_VOID(make_table());
        KVASIR_TRY_VOID(make_encoder(model));
        return read_ends();
    }

private:
    Result<> check_model(const JsonMembers& model);
    void leave_out_rowless();
    Result<> make_table();
    Result<MergeList> read_merges(const JsonMembers& model) const;
    Result<> make_encoder(const JsonMembers& model);
    Result<> make_character_encoder(BpeMerges merges);
    Result<> read_ends();
    Result<TokenId> checked(TokenId id, const char* what) const;
    Result<TokenId> named(const std::string& text, const char* what) const;

    const JsonMembers& file_;
    const TokenizerConfig& config_;
    Tokenizer::Impl& impl_;
    JsonPipeline pipeline_;
    JsonVocabulary vocabulary_;
    Words words_;  // those that text becomes
    std::array<std::optional<TokenId>, 256> byte_tokens_;
    bool byte_fallback_ = false;
    bool ignore_merges_ = false;
    bool fuse_unknown_ = false;
};

Result<> Tokenizer::JsonLoader::check_model(const JsonMembers& model) {
    KVASIR_TRY(const std::string_view type, model.find_string("type"));
    if (type != "BPE" && !(type.empty() && model.find("merges") != nullptr))
        return model.unsupported("type " + printable(type) + ", expected `BPE`");
    KVASIR_TRY_VOID(model.expect_only({"type", "dropout", "unk_token", "continuing_subword_prefix",
                                       "end_of_word_suffix", "fuse_unk", "byte_fallback",
                                       "ignore_merges", "vocab", "merges"}));
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        KVASIR_TRY(const std::string_view affix, model.find_string(key));
        if (!affix.empty()) return model.unsupported(std::string(key) + " " + printable(affix));
    }
    if (const auto* dropout = model.find("dropout")) {
        const bool is_zero = dropout->is_number() && dropout->to_number<double>() == 0;
        if (!is_zero) return model.unsupported("`dropout`, which is for training");
    }
    KVASIR_TRY(byte_fallback_, model.get_bool("byte_fallback", false));
    KVASIR_TRY(ignore_merges_, model.get_bool("ignore_merges", false));
    KVASIR_TRY(fuse_unknown_, model.get_bool("fuse_unk", false));
    return {};
}

void Tokenizer::JsonLoader::leave_out_rowless() {
    std::vector<JsonToken>& tokens = vocabulary_.tokens;
    if (!config_.n_rows || tokens.size() <= *config_.n_rows) return;
    const auto is_plain = [&](const JsonToken& token) {
        return token.is_given && vocabulary_.vocab.contains(token.text);
    };
    // A plain token without a row is a mistake, which whoever knows the model reports.
    if (std::none_of(tokens.begin() + *config_.n_rows, tokens.end(), is_plain))
        tokens.resize(*config_.n_rows);
}

Result<> Tokenizer::JsonLoader::make_table() {
    impl_.table.reserve(vocabulary_.tokens.size());
    words_.reserve(vocabulary_.tokens.size());
    for (TokenId id = 0; id < vocabulary_.tokens.size(); ++id) {
        const JsonToken& token = vocabulary_.tokens[id];
        const auto byte =
            byte_fallback_ && !token.is_added ? find_named_byte(token.text) : std::nullopt;
        if (!token.is_given) {
            impl_.table.add("", TokenKind::unused, false);
            continue;
        }
        if (byte && !pipeline_.is_byte_level) {
            impl_.table.add(std::string(1, static_cast<char>(*byte)), TokenKind::byte, false);
            byte_tokens_[*byte] = id;
            continue;
        }
        const std::int64_t type = !token.is_added    ? 1
                                  : token.is_special ? kTypeControl
                                                     : kTypeUserDefined;
        const TokenKind kind = kind_of(token.text, type);
        const bool is_text = kind == TokenKind::text;
        std::string bytes(token.text);
        if (is_text && pipeline_.is_byte_level) bytes = byte_level_decode(token.text);
        if (is_text && pipeline_.unescapes_space)
            bytes = replace_all(token.text, kEscapedSpace, " ");
        impl_.table.add(bytes, kind, kind == TokenKind::control && is_end_name(token.text));
        if (!is_text) impl_.specials.add(token.text, id, kind == TokenKind::control, token.strip);
        if (kind != TokenKind::control) words_.emplace(token.text, id);
    }
    return {};
}

/// "left right" or ["left", "right"].
Result<MergeList> Tokenizer::JsonLoader::read_merges(const JsonMembers& model) const {
    KVASIR_TRY(const auto* merges, model.get_array("merges", kMaxMerges));
    MergeList list(words_);
    for (std::size_t i = 0; i < merges->size(); ++i) {
        const boost::json::value& merge = (*merges)[i];
        if (const auto* line = merge.if_string()) {
            const auto added = list.add(std::string_view(*line));
            if (added.has_error()) return model.corrupt("merges: " + added.error().message);
            continue;
        }
        const auto* pair = merge.if_array();
        const bool are_words = pair != nullptr && pair->size() == 2 && (*pair)[0].is_string() &&
                               (*pair)[1].is_string();
        if (!are_words)
            return model.corrupt("merges: merge " + std::to_string(i) + " is not two words");
        list.add(std::string_view((*pair)[0].get_string()),
                 std::string_view((*pair)[1].get_string()));
    }
    return list;
}

Result<> Tokenizer::JsonLoader::make_encoder(const JsonMembers& model) {
    impl_.normalizer = pipeline_.normalizer;
    KVASIR_TRY(const MergeList merges, read_merges(model));
    if (!pipeline_.is_byte_level) {
        // One more symbol than characters with tokens: every other character.
        return make_character_encoder(merges.build(impl_.table.size() + 1));
    }
    auto bytes = map_bytes(words_, vocabulary_.unknown);
    if (bytes.has_error()) return model.corrupt("vocab: " + bytes.error().message);
    KVASIR_TRY(PreTokenizer pre_tokenizer, PreTokenizer::create(std::span(pipeline_.steps)));
    Words whole;
    for (TokenId id = 0; ignore_merges_ && id < impl_.table.size(); ++id) {
        if (impl_.table.kind(id) == TokenKind::text && !impl_.table.bytes(id).empty())
            whole.emplace(impl_.table.bytes(id), id);
    }
    impl_.encoder = std::make_unique<ByteEncoder>(
        ByteEncoder::Parts{std::move(pre_tokenizer), std::move(*bytes),
                           merges.build(impl_.table.size()), std::move(whole)});
    return {};
}

Result<> Tokenizer::JsonLoader::make_character_encoder(BpeMerges merges) {
    CharacterEncoder::Parts parts;
    parts.symbols = character_symbols(words_, impl_.table.size());
    parts.merges = std::move(merges);
    parts.byte_tokens = byte_tokens_;
    parts.unknown = vocabulary_.unknown;
    parts.fuse_unknown = fuse_unknown_;
    const auto missing = std::find(byte_tokens_.begin(), byte_tokens_.end(), std::nullopt);
    if (missing != byte_tokens_.end() && !vocabulary_.unknown) {
        return Error{ErrorCode::corrupt, "model.vocab: no token for byte " +
                                             std::to_string(missing - byte_tokens_.begin()) +
                                             ", and no `unk_token` to stand in"};
    }
    if (!pipeline_.steps.empty()) {
        KVASIR_TRY(parts.pre_tokenizer, PreTokenizer::create(std::span(pipeline_.steps)));
    }
    if (ignore_merges_) return file_.unsupported("`ignore_merges` over characters");
    if (pipeline_.drops_first_space) {
        impl_.leading_space =
            pipeline_.prefix == LeadingSpace::none ? LeadingSpace::first : pipeline_.prefix;
    }
    impl_.encoder = std::make_unique<CharacterEncoder>(std::move(parts));
    return {};
}

Result<TokenId> Tokenizer::JsonLoader::checked(TokenId id, const char* what) const {
    if (id < impl_.table.size()) return id;
    return Error{ErrorCode::corrupt, std::string(what) + ": " + std::to_string(id) +
                                         ", expected below " + std::to_string(impl_.table.size())};
}

Result<TokenId> Tokenizer::JsonLoader::named(const std::string& text, const char* what) const {
    const auto word = words_.find(text);
    if (const auto id = impl_.specials.find(text)) return *id;
    if (word != words_.end()) return word->second;
    return Error{ErrorCode::corrupt,
                 std::string(what) + ": " + printable(text) + ", expected a token"};
}

Result<> Tokenizer::JsonLoader::read_ends() {
    for (const TokenId id : config_.ends) {
        KVASIR_TRY(const TokenId end, checked(id, "eos_token_id"));
        impl_.table.set_end(end);
    }
    if (config_.end_text) {
        KVASIR_TRY(const TokenId end, named(*config_.end_text, "eos_token"));
        impl_.table.set_end(end);
    }
    if (config_.bos_text) {
        KVASIR_TRY(impl_.bos, named(*config_.bos_text, "bos_token"));
    } else if (config_.has_no_bos) {
        impl_.bos = std::nullopt;
    } else if (config_.bos) {
        KVASIR_TRY(impl_.bos, checked(*config_.bos, "bos_token_id"));
    } else if (pipeline_.first_token) {
        impl_.bos = impl_.specials.find(*pipeline_.first_token);
    }
    const bool puts_first = impl_.bos && pipeline_.first_token &&
                            impl_.specials.find(*pipeline_.first_token) == impl_.bos;
    impl_.add_bos = impl_.bos && config_.add_bos.value_or(puts_first);
    if (pipeline_.last_token) impl_.text_end = impl_.specials.find(*pipeline_.last_token);
    return {};
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create_from_json(
    std::span<const std::byte> bytes, const TokenizerConfig& config) {
    if (bytes.size() > kMaxFileBytes) {
        return Error{ErrorCode::too_large, "tokenizer.json: " + std::to_string(bytes.size()) +
                                               " bytes, expected at most " +
                                               std::to_string(kMaxFileBytes)};
    }
    boost::json::monotonic_resource memory;
    boost::json::parse_options options;
    options.max_depth = kMaxDepth;
    boost::system::error_code failed;
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const boost::json::value document = boost::json::parse(text, failed, &memory, options);
    if (failed) return Error{ErrorCode::corrupt, "tokenizer.json: " + failed.message()};
    KVASIR_TRY(const JsonMembers file, JsonMembers::create(document, "tokenizer.json"));
    auto impl = std::make_unique<Impl>();
    KVASIR_TRY_VOID(JsonLoader(file, config, *impl).load());
    return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create_from_json(
    const std::filesystem::path& path, const TokenizerConfig& config) {
    KVASIR_TRY(const MappedFile file, MappedFile::open(path));
    auto made = create_from_json(file.bytes(), config);
    if (made.has_error())
        return Error{made.error().code, path.string() + ": " + made.error().message};
    return made;
}

}  // namespace kvasir
