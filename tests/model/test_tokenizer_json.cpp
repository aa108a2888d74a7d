#include <boost/json.hpp>
#include <fstream>
#include <iostream>
#include <sstream>

#include "tests/model/tokenizer_fixture.hpp"

namespace kvasir {
namespace {

using namespace test;
namespace json = boost::json;

const std::string kGoldens = KVASIR_SHARED_DIR "/golden/";

Result<std::shared_ptr<const Tokenizer>> create(std::string_view text,
                                                const TokenizerConfig& config = {}) {
    return Tokenizer::create_from_json(std::as_bytes(std::span(text)), config);
}

Result<std::shared_ptr<const Tokenizer>> create(const json::value& document,
                                                const TokenizerConfig& config = {}) {
    return create(json::serialize(document), config);
}

/// 256 byte tokens and two merges.
json::object byte_level() {
    const Vocabulary bytes;
    json::object vocab;
    for (std::size_t id = 0; id < bytes.tokens.size(); ++id) vocab[bytes.tokens[id]] = id;
    vocab["ab"] = 256;
    vocab["\u0120ab"] = 257;
    return json::parse(R"({"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [
            {"id": 258, "content": "<|end|>", "special": true, "single_word": false,
             "lstrip": false, "rstrip": true, "normalized": false},
            {"id": 260, "content": "<tool>", "special": false, "single_word": false,
             "lstrip": true, "rstrip": false, "normalized": false}],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "decoder": {"type": "ByteLevel"}, "post_processor": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
                  "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false,
                  "byte_fallback": false, "ignore_merges": false, "vocab": )" +
                       json::serialize(vocab) + R"(, "merges": ["a b", ["\u0120", "ab"]]}})")
        .as_object();
}

/// As Llama 2's: characters, bytes for the rest, a space in front.
json::object characters() {
    json::object vocab{{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
    for (unsigned byte = 0; byte < 256; ++byte) {
        const char digits[] = "0123456789ABCDEF";
        vocab[std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">"] = 3 + byte;
    }
    std::int64_t id = 259;
    for (const char* text : {"\u2581", "a", "b", "ä", "ab", "\u2581ab"}) vocab[text] = id++;
    return json::parse(R"({"version": "1.0", "added_tokens": [
            {"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": null,
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                  "vocab": )" +
                       json::serialize(vocab) + R"(, "merges": ["a b", "\u2581 ab"]}})")
        .as_object();
}

json::value parse(std::string_view text) {
    return json::parse(std::string(text));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tokenizer_json)

BOOST_AUTO_TEST_CASE(bytes_merge_and_added_tokens_are_found) {
    const auto tokenizer = create(byte_level(), {.bos = {}, .ends = {260}, .add_bos = {}}).value();
    BOOST_TEST(tokenizer->n_vocab() == 261U);  // 259 is a hole
    BOOST_TEST(tokenizer->encode("ab ab", Special::ignore) == (Ids{256, 257}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->encode("a<|end|> \n b <tool>b", Special::parse) ==
                   (Ids{'a', 258, 'b', 260, 'b'}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->encode("<|end|>", Special::ignore).size() == 7U);
    BOOST_TEST(tokenizer->encode("a<tool>", Special::ignore) == (Ids{'a', 260}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->is_end_of_generation(258));  // by name
    BOOST_TEST(tokenizer->is_end_of_generation(260));  // by the configuration
    BOOST_TEST(!tokenizer->add_bos());
    BOOST_TEST(tokenizer->token_bytes(259, true).empty());
    std::mt19937 random(31);
    for (int n = 0; n < 300; ++n) {
        const std::string text = random_bytes(random, random() % 100);
        BOOST_TEST_REQUIRE(tokenizer->decode(tokenizer->encode(text, Special::ignore)) == text);
    }
    exercise(tokenizer);
}

BOOST_AUTO_TEST_CASE(characters_merge_and_the_rest_falls_back_to_bytes) {
    const auto tokenizer = create(characters()).value();
    BOOST_TEST(tokenizer->encode("ab ba", Special::ignore) == (Ids{264, 259, 261, 260}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->encode("ä€\xff", Special::ignore) ==
                   (Ids{259, 262, 3 + 0xe2, 3 + 0x82, 3 + 0xac, 3 + 0xff}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->encode("<s>ab</s>", Special::parse) == (Ids{1, 264, 2}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->decode(Ids{1, 264, 2}) == "ab");
    BOOST_TEST(tokenizer->bos().value() == 1U);
    BOOST_TEST(tokenizer->add_bos());
    BOOST_TEST(!create(characters(), {.bos = {}, .ends = {}, .add_bos = false}).value()->add_bos());
    BOOST_TEST(!tokenizer->text_end().has_value());
    json::object ending = characters();
    ending["post_processor"] = parse(R"({"type": "TemplateProcessing", "single": [
            {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}]})");
    BOOST_TEST(create(ending).value()->text_end().value() == 2U);
    BOOST_TEST(!create(ending).value()->add_bos());
    std::mt19937 random(32);
    for (int n = 0; n < 300; ++n) {
        const std::string text = random_bytes(random, random() % 100);
        BOOST_TEST_REQUIRE(tokenizer->decode(tokenizer->encode(text, Special::ignore)) == text);
    }
    exercise(tokenizer);
}

BOOST_AUTO_TEST_CASE(without_byte_tokens_unknown_characters_are_one_token_or_one_each) {
    json::object document = characters();
    json::object& model = document["model"].as_object();
    model["byte_fallback"] = false;
    const auto fused = create(document).value();
    BOOST_TEST(fused->encode("a€€b", Special::ignore) == (Ids{259, 260, 0, 261}),
               boost::test_tools::per_element());
    model["fuse_unk"] = false;
    BOOST_TEST(
        create(document).value()->encode("a€€b", Special::ignore) == (Ids{259, 260, 0, 0, 261}),
        boost::test_tools::per_element());
    model["unk_token"] = nullptr;
    check_error(create(document), ErrorCode::corrupt, "unk_token");
}

BOOST_AUTO_TEST_CASE(metaspace_puts_a_space_first_always_or_once) {
    json::object document = characters();
    document["normalizer"] = nullptr;
    document["decoder"] = parse(R"({"type": "Metaspace", "replacement": "▁"})");
    const auto with = [&](const char* more) {
        document["pre_tokenizer"] =
            parse(std::string(R"({"type": "Metaspace", "replacement": "▁", "split": false)") +
                  more + "}");
        return create(document).value();
    };
    const char* text = "ab</s>ab";
    BOOST_TEST(
        with(R"(, "prepend_scheme": "always")")->encode(text, Special::parse) == (Ids{264, 2, 264}),
        boost::test_tools::per_element());
    BOOST_TEST(
        with(R"(, "prepend_scheme": "first")")->encode(text, Special::parse) == (Ids{264, 2, 263}),
        boost::test_tools::per_element());
    BOOST_TEST(
        with(R"(, "prepend_scheme": "never")")->encode(text, Special::parse) == (Ids{263, 2, 263}),
        boost::test_tools::per_element());
    const auto once = with("");
    BOOST_TEST(once->encode(" ab", Special::parse) == Ids{264}, boost::test_tools::per_element());
    BOOST_TEST(with(R"(, "prepend_scheme": "first")")->decode(Ids{264, 2, 264}) == "ab ab");
}

BOOST_AUTO_TEST_CASE(normal_forms_compose_and_decompose) {
    json::object document = byte_level();
    document["normalizer"] = parse(R"({"type": "NFC"})");
    const auto composed = create(document).value();
    const auto text_of = [](const auto& tokenizer, std::string_view text) {
        return tokenizer->decode(tokenizer->encode(text, Special::ignore));
    };
    BOOST_TEST(text_of(composed, "e\u0301\xff\xe2\x82 a\u0301") == "é\xff\xe2\x82 á");
    BOOST_TEST(text_of(composed, "\uAC00\u11A8") == "\uAC01");
    document["normalizer"] = parse(R"({"type": "NFD"})");
    BOOST_TEST(text_of(create(document).value(), "é") == "e\u0301");
    document["normalizer"] = parse(R"({"type": "NFKC"})");
    BOOST_TEST(text_of(create(document).value(), "ﬁ²") == "fi2");
    std::string marks = "a";
    for (int n = 0; n < 200'000; ++n) marks += n % 2 == 0 ? "\u0301" : "\u0323";
    BOOST_TEST(!text_of(composed, marks).empty());  // in order of classes this would take hours
}

BOOST_AUTO_TEST_CASE(splits_cut_as_their_behavior_says) {
    json::object document = byte_level();
    const auto pieces = [&](const char* stages, std::string_view text) {
        document["pre_tokenizer"] =
            parse(std::string(R"({"type": "Sequence", "pretokenizers": [)") + stages +
                  R"(, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
        return create(document).value()->encode(text, Special::ignore).size();
    };
    // Two letters merge where no cut is between them.
    const std::string split = R"({"type": "Split", "pattern": )";
    const auto with = [&](const char* pattern, const char* behavior, const char* invert = "false") {
        return split + pattern + R"(, "behavior": ")" + behavior + R"(", "invert": )" + invert +
               "}";
    };
    BOOST_TEST(pieces(with(R"({"String": "x"})", "Isolated").c_str(), "abxab") == 3U);
    BOOST_TEST(pieces(with(R"({"String": "a"})", "Isolated").c_str(), "abab") == 4U);
    BOOST_TEST(pieces(with(R"({"String": "a"})", "MergedWithPrevious").c_str(), "abab") == 4U);
    BOOST_TEST(pieces(with(R"({"String": "a"})", "MergedWithNext").c_str(), "abab") == 2U);
    BOOST_TEST(pieces(with(R"({"String": "b"})", "MergedWithPrevious").c_str(), "abab") == 2U);
    BOOST_TEST(pieces(with(R"({"Regex": "[ab]"})", "Contiguous").c_str(), "abab") == 2U);
    BOOST_TEST(pieces(with(R"({"Regex": "ab|x"})", "Removed", "true").c_str(), "abxab") == 3U);
    BOOST_TEST(pieces(R"({"type": "Digits", "individual_digits": true})", "ab1ab") == 3U);
    BOOST_TEST(pieces(R"({"type": "Punctuation", "behavior": "Contiguous"})", "ab!!ab") == 4U);
}

BOOST_AUTO_TEST_CASE(a_prefix_space_of_byte_level_comes_once) {
    json::object document = byte_level();
    document["pre_tokenizer"].as_object()["add_prefix_space"] = true;
    const auto tokenizer = create(document).value();
    BOOST_TEST(tokenizer->encode("ab", Special::ignore) == Ids{257},
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->encode(" ab", Special::ignore) == Ids{257},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_golden_hugging_face_directory_loads) {
    const std::string path = kGoldens + "hf/gpt-neo/tokenizer.json";
    if (!std::filesystem::exists(path)) {
        std::cerr << "skipped: no " << path << "\n";
        return;
    }
    const auto tokenizer =
        Tokenizer::create_from_json(path, {.bos = 509, .ends = {509}, .add_bos = {}}).value();
    BOOST_TEST(tokenizer->n_vocab() == 512U);
    BOOST_TEST(tokenizer->find_special("<|im_end|>").value() == 511U);
    BOOST_TEST(tokenizer->is_end_of_generation(509));
    std::mt19937 random(33);
    for (int n = 0; n < 100; ++n) {
        const std::string text = random_text(random, 30);
        BOOST_TEST_REQUIRE(tokenizer->decode(tokenizer->encode(text, Special::ignore)) == text);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
