// tokenizer.json files that lie: every one is refused with the reason, or works.
#include <boost/json.hpp>

#include "tests/model/tokenizer_fixture.hpp"

namespace kvasir {
namespace {

using namespace test;
namespace json = boost::json;

Result<std::shared_ptr<const Tokenizer>> create(std::string_view text) {
    return Tokenizer::create_from_json(std::as_bytes(std::span(text)), {});
}

json::object smallest() {
    const Vocabulary bytes;
    json::object vocab;
    for (std::size_t id = 0; id < bytes.tokens.size(); ++id) vocab[bytes.tokens[id]] = id;
    vocab["ab"] = 256;
    json::object document = json::parse(R"({"added_tokens": [{"id": 257, "content": "<|end|>"}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
        "model": {"type": "BPE", "merges": ["a b"]}})")
                                .as_object();
    document["model"].as_object()["vocab"] = vocab;
    return document;
}

/// The document with the value at a path such as "model.vocab" set.
void set(json::value& value, std::string_view path, const json::value& to) {
    const std::size_t dot = path.find('.');
    json::value& member = value.as_object()[path.substr(0, dot)];
    if (dot == std::string_view::npos) {
        member = to;
    } else {
        set(member, path.substr(dot + 1), to);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tokenizer_json_hostile)

BOOST_AUTO_TEST_CASE(what_is_unknown_or_wrong_is_refused_by_name) {
    BOOST_TEST(create(json::serialize(smallest())).has_value());
    const struct {
        const char* path;
        const char* value;
        ErrorCode code;
        const char* named;
    } cases[] = {
        {"surprise", "1", ErrorCode::unsupported, "surprise"},
        {"model", "null", ErrorCode::corrupt, "no `model`"},
        {"model", "[]", ErrorCode::corrupt, "model: not an object"},
        {"model.type", "\"Unigram\"", ErrorCode::unsupported, "Unigram"},
        {"model.type", "\"WordPiece\"", ErrorCode::unsupported, "WordPiece"},
        {"model.surprise", "true", ErrorCode::unsupported, "surprise"},
        {"model.dropout", "0.1", ErrorCode::unsupported, "dropout"},
        {"model.byte_fallback", "1", ErrorCode::corrupt, "byte_fallback"},
        {"model.end_of_word_suffix", "\"</w>\"", ErrorCode::unsupported, "</w>"},
        {"model.continuing_subword_prefix", "\"##\"", ErrorCode::unsupported, "##"},
        {"model.vocab", "{}", ErrorCode::corrupt, "0 tokens"},
        {"model.vocab", "[]", ErrorCode::corrupt, "model.vocab"},
        {"model.vocab.ab", "-1", ErrorCode::corrupt, "`ab`"},
        {"model.vocab.ab", "1.5", ErrorCode::corrupt, "`ab`"},
        {"model.vocab.ab", "4294967296", ErrorCode::corrupt, "`ab`"},
        {"model.vocab.ab", "18446744073709551615", ErrorCode::corrupt, "`ab`"},
        {"model.vocab.ab", "2097152", ErrorCode::corrupt, "`ab`"},
        {"model.vocab.ab", "97", ErrorCode::corrupt, "id 97"},
        {"model.vocab.ab", "257", ErrorCode::corrupt, "`<|end|>`"},
        {"model.merges", "null", ErrorCode::corrupt, "merges"},
        {"model.merges", "[\"ab\"]", ErrorCode::corrupt, "merge 0"},
        {"model.merges", "[[\"a\"]]", ErrorCode::corrupt, "merge 0"},
        {"model.merges", "[[\"a\", 1]]", ErrorCode::corrupt, "merge 0"},
        {"model.merges", "[7]", ErrorCode::corrupt, "merge 0"},
        {"added_tokens", "{}", ErrorCode::corrupt, "added_tokens"},
        {"added_tokens", "[1]", ErrorCode::corrupt, "added_tokens[0]"},
        {"added_tokens", R"([{"content": "x"}])", ErrorCode::corrupt, "no `id`"},
        {"added_tokens", R"([{"id": 257, "content": ""}])", ErrorCode::corrupt, "0 bytes"},
        {"added_tokens", R"([{"id": 97, "content": "<x>"}])", ErrorCode::corrupt, "97"},
        {"added_tokens", R"([{"id": 300, "content": "ab"}])", ErrorCode::corrupt, "300"},
        {"added_tokens", R"([{"id": 9999999, "content": "<x>"}])", ErrorCode::corrupt, "`id`"},
        {"added_tokens", R"([{"id": 257, "content": "x", "single_word": true}])",
         ErrorCode::unsupported, "single_word"},
        {"normalizer", R"({"type": "Lowercase"})", ErrorCode::unsupported, "Lowercase"},
        {"normalizer", R"({"type": "Sequence", "normalizers": [{"type": "Precompiled"}]})",
         ErrorCode::unsupported, "Precompiled"},
        {"normalizer", R"({"type": "Replace", "pattern": {"Regex": "a"}, "content": ""})",
         ErrorCode::unsupported, "regular expression"},
        {"normalizer", R"({"type": "Replace", "pattern": {"String": ""}, "content": "x"})",
         ErrorCode::corrupt, "empty"},
        {"normalizer",
         R"({"type": "Sequence", "normalizers": [
             {"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaa"},
             {"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaa"}]})",
         ErrorCode::unsupported, "64 times"},
        {"pre_tokenizer", R"({"type": "Whitespace"})", ErrorCode::unsupported, "Whitespace"},
        {"pre_tokenizer", R"({"type": "ByteLevel", "trim": 1})", ErrorCode::unsupported, "trim"},
        {"pre_tokenizer",
         R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": false}, {"type": "Digits"}]})",
         ErrorCode::unsupported, "after `ByteLevel`"},
        {"pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"})",
         ErrorCode::unsupported, "PCRE2"},
        {"pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Removed"})",
         ErrorCode::unsupported, "Removed"},
        {"decoder", R"({"type": "WordPiece"})", ErrorCode::unsupported, "WordPiece"},
        {"post_processor", R"({"type": "BertProcessing"})", ErrorCode::unsupported,
         "BertProcessing"},
    };
    for (const auto& c : cases) {
        json::value document = smallest();
        set(document, c.path, json::parse(c.value));
        // A split alone is over characters, which need more of the vocabulary than this has.
        if (std::string_view(c.value).find("Split") != std::string_view::npos)
            set(document, "model.unk_token", "ab");
        BOOST_TEST_CONTEXT(c.path << " = " << c.value) {
            check_error(create(json::serialize(document)), c.code, c.named);
        }
    }
}

BOOST_AUTO_TEST_CASE(depth_and_broken_text_are_refused) {
    std::string deep = R"({"model": )";
    for (int n = 0; n < 100'000; ++n) deep += "[";
    check_error(create(deep), ErrorCode::corrupt, "deep");
    check_error(create("{\"model\": \"\xff\"}"), ErrorCode::corrupt, "tokenizer.json");
    check_error(create(""), ErrorCode::corrupt, "tokenizer.json");
    check_error(create("[]"), ErrorCode::corrupt, "not an object");
    const auto absent = Tokenizer::create_from_json("/nowhere/tokenizer.json", {});
    check_error(absent, ErrorCode::io, "/nowhere/tokenizer.json");
}

BOOST_AUTO_TEST_CASE(a_configuration_beyond_the_vocabulary_is_refused) {
    const std::string text = json::serialize(smallest());
    const auto bytes = std::as_bytes(std::span(text));
    check_error(Tokenizer::create_from_json(bytes, {.bos = 258, .ends = {}, .add_bos = {}}),
                ErrorCode::corrupt, "bos_token_id");
    check_error(Tokenizer::create_from_json(bytes, {.bos = {}, .ends = {258}, .add_bos = {}}),
                ErrorCode::corrupt, "eos_token_id");
}

BOOST_AUTO_TEST_CASE(a_damaged_file_is_refused_or_works) {
    const std::string text = json::serialize(smallest());
    for (std::size_t n = 0; n < text.size(); n += 7)
        BOOST_TEST_REQUIRE(create(text.substr(0, n)).has_error());
    std::mt19937 random(40);
    std::size_t n_working = 0;
    for (int n = 0; n < 1500; ++n) {
        std::string damaged = text;
        for (std::size_t i = 1 + random() % 3; i > 0; --i)
            damaged[random() % damaged.size()] = static_cast<char>(random() & 0x7f);
        const auto made = create(damaged);
        if (made.has_error()) {
            BOOST_TEST_REQUIRE(!made.error().message.empty());
            continue;
        }
        ++n_working;
        exercise(*made);
    }
    BOOST_TEST(n_working > 0U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
