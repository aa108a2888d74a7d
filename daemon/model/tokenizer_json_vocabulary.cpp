#include "daemon/model/tokenizer_json_vocabulary.hpp"

#include <string>

#include "quant/gguf.hpp"

namespace kvasir {
namespace {

class Reader {
public:
    Reader(const JsonMembers& file, JsonVocabulary& out) : file_(file), out_(out) {}
    Result<> read_vocab(const JsonMembers& model);
    Result<> read_added_tokens();

private:
    Result<> read_added_token(const boost::json::value& value, const std::string& where);

    const JsonMembers& file_;
    JsonVocabulary& out_;
};

Result<> Reader::read_vocab(const JsonMembers& model) {
    KVASIR_TRY(const auto* value, model.get("vocab"));
    KVASIR_TRY(const JsonMembers vocab, JsonMembers::create(*value, "model.vocab"));
    if (vocab.object().empty() || vocab.object().size() > kMaxVocab) {
        return vocab.corrupt(std::to_string(vocab.object().size()) + " tokens, expected 1 to " +
                             std::to_string(kMaxVocab));
    }
    out_.vocab.reserve(vocab.object().size());
    for (const auto& member : vocab.object()) {
        const std::string_view text = member.key();
        const auto id = as_id(member.value(), kMaxVocab);
        if (!id) {
            return vocab.corrupt("the id of " + printable(text) + " is not a whole number below " +
                                 std::to_string(kMaxVocab));
        }
        if (text.size() > kMaxTokenBytes)
            return vocab.corrupt("token " + std::to_string(*id) + " has more than 4096 bytes");
        if (*id >= out_.tokens.size()) out_.tokens.resize(std::size_t{*id} + 1);
        if (out_.tokens[*id].is_given) {
            return vocab.corrupt("id " + std::to_string(*id) + " is given to " + printable(text) +
                                 " and to " + printable(out_.tokens[*id].text));
        }
        out_.tokens[*id].text = text;
        out_.tokens[*id].is_given = true;
        out_.vocab.emplace(text, *id);
    }
    KVASIR_TRY(const std::string_view unknown, model.find_string("unk_token"));
    if (const auto found = out_.vocab.find(unknown); !unknown.empty() && found != out_.vocab.end())
        out_.unknown = found->second;
    return {};
}

Result<> Reader::read_added_tokens() {
    if (file_.find("added_tokens") == nullptr) return {};
    KVASIR_TRY(const auto* added, file_.get_array("added_tokens", kMaxVocab));
    for (std::size_t i = 0; i < added->size(); ++i) {
        KVASIR_TRY_VOID(read_added_token((*added)[i], "added_tokens[" + std::to_string(i) + "]"));
    }
    return {};
}

/// Matched as it stands in the text, whether or not `normalized`.
Result<> Reader::read_added_token(const boost::json::value& value, const std::string& where) {
    KVASIR_TRY(const JsonMembers fields, JsonMembers::create(value, where));
    KVASIR_TRY_VOID(fields.expect_only(
        {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}));
    KVASIR_TRY(const std::uint32_t id, fields.get_id("id", kMaxVocab));
    KVASIR_TRY(const std::string_view text, fields.get_string("content"));
    KVASIR_TRY(const bool is_single_word, fields.get_bool("single_word", false));
    if (is_single_word) return fields.unsupported("`single_word`");
    if (text.empty() || text.size() > kMaxTokenBytes)
        return fields.corrupt("a content of " + std::to_string(text.size()) + " bytes");
    if (id >= out_.tokens.size()) out_.tokens.resize(std::size_t{id} + 1);
    JsonToken& token = out_.tokens[id];
    const auto in_vocab = out_.vocab.find(text);
    const bool is_elsewhere = in_vocab != out_.vocab.end() && in_vocab->second != id;
    if (is_elsewhere || (token.is_given && token.text != text)) {
        return fields.corrupt(printable(text) + " has id " + std::to_string(id) +
                              ", but the vocabulary says otherwise");
    }
    token.text = text;
    token.is_given = true;
    token.is_added = true;
    KVASIR_TRY(token.is_special, fields.get_bool("special", false));
    KVASIR_TRY(token.strip.left, fields.get_bool("lstrip", false));
    KVASIR_TRY(token.strip.right, fields.get_bool("rstrip", false));
    return {};
}

}  // namespace

Result<JsonVocabulary> read_json_vocabulary(const JsonMembers& file, const JsonMembers& model) {
    JsonVocabulary vocabulary;
    Reader reader(file, vocabulary);
    KVASIR_TRY_VOID(reader.read_vocab(model));
    KVASIR_TRY_VOID(reader.read_added_tokens());
    return vocabulary;
}

}  // namespace kvasir
