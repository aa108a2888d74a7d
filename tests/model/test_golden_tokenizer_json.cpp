// The golden vocabularies written as tokenizer.json, as Hugging Face publishes these families.
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <map>

#include "tests/model/golden_tokenizer_fixture.hpp"

namespace kvasir {
namespace {

using namespace test;
namespace json = boost::json;

template <class T>
const std::vector<T>& array_of(const GgufFile& file, const char* key) {
    return std::get<std::vector<T>>(std::get<GgufArray>(*file.find(key)));
}

/// Everything of a file but its model's merges.
json::object with_vocab(const GgufFile& file, const std::string& around) {
    json::object document = json::parse(around).as_object();
    const auto& tokens = array_of<std::string_view>(file, "tokenizer.ggml.tokens");
    const auto& types = array_of<std::int64_t>(file, "tokenizer.ggml.token_type");
    json::object vocab;
    json::array added;
    for (std::size_t id = 0; id < tokens.size(); ++id) {
        vocab[tokens[id]] = id;
        if (types[id] != 1 && types[id] != 6)
            added.push_back({{"id", id}, {"content", tokens[id]}, {"special", types[id] != 4}});
    }
    document["model"].as_object()["vocab"] = std::move(vocab);
    document["added_tokens"] = std::move(added);
    return document;
}

json::object byte_level(const GgufFile& file, const std::string& pre_tokenizer, bool ignore) {
    json::object document =
        with_vocab(file, R"({"pre_tokenizer": )" + pre_tokenizer +
                             R"(, "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE"}})");
    json::array merges;
    for (const auto line : array_of<std::string_view>(file, "tokenizer.ggml.merges"))
        merges.emplace_back(line);
    document["model"].as_object()["merges"] = std::move(merges);
    document["model"].as_object()["ignore_merges"] = ignore;
    return document;
}

std::string split(const std::string& expression) {
    return R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": )" +
           json::serialize(json::value(expression)) +
           R"(}, "behavior": "Isolated", "invert": false},
              {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})";
}

std::size_t n_bytes_of_character(char lead) {
    const auto byte = static_cast<unsigned char>(lead);
    return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// The merges of a scored vocabulary: every way to make a token of two, by its score.
json::object scored(const GgufFile& file) {
    json::object document = with_vocab(file, R"({
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "byte_fallback": true, "fuse_unk": true, "unk_token": "<unk>"}})");
    const auto& tokens = array_of<std::string_view>(file, "tokenizer.ggml.tokens");
    const auto& scores = array_of<double>(file, "tokenizer.ggml.scores");
    std::map<std::string_view, std::size_t> ids;
    for (std::size_t id = 0; id < tokens.size(); ++id) ids.emplace(tokens[id], id);
    std::vector<std::tuple<double, std::size_t, std::size_t>> found;
    for (std::size_t id = 0; id < tokens.size(); ++id) {
        const std::string_view text = tokens[id];
        for (std::size_t at = 0; at < text.size();) {
            at += n_bytes_of_character(text[at]);
            const auto left = ids.find(text.substr(0, at));
            const auto right = ids.find(text.substr(at));
            if (left != ids.end() && right != ids.end())
                found.emplace_back(-scores[id], left->second, right->second);
        }
    }
    std::sort(found.begin(), found.end());
    json::array merges;
    for (const auto& [score, left, right] : found)
        merges.push_back(json::array{tokens[left], tokens[right]});
    document["model"].as_object()["merges"] = std::move(merges);
    return document;
}

json::object as_json(const std::string& name, const GgufFile& file) {
    const std::string words = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})";
    const std::string rest = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    if (name == "gpt-2") {
        return byte_level(file, R"({"type": "ByteLevel", "add_prefix_space": false})", false);
    }
    if (name == "llama-bpe") return byte_level(file, split(words + "{1,3}" + rest), true);
    if (name == "qwen2") return byte_level(file, split(words + rest), false);
    return scored(file);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(golden_tokenizer_json)

BOOST_DATA_TEST_CASE(the_same_vocabulary_as_json_gives_the_golden_ids,
                     boost::unit_test::data::make({"gpt-2", "llama-bpe", "qwen2", "llama-spm",
                                                   "phi-3"}),
                     name) {
    if (!have_golden_tokenizers()) return;
    const GgufFile file = GgufFile::open(kGoldenTokenizers + std::string(name) + ".gguf").value();
    const std::string bytes = json::serialize(as_json(name, file));
    const std::shared_ptr<const Tokenizer> tokenizer =
        Tokenizer::create_from_json(std::as_bytes(std::span(bytes)), {}).value();
    const std::vector<std::string> texts = golden_texts();
    const std::vector<Ids> goldens = golden_ids(name);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        BOOST_TEST_CONTEXT("text " << i) {
            const Ids ids = tokenizer->encode(texts[i], Special::ignore);
            BOOST_TEST(ids == goldens[i], boost::test_tools::per_element());
            const bool is_scored = file.find("tokenizer.ggml.scores") != nullptr;
            BOOST_TEST(tokenizer->decode(ids) == as_decoded(texts[i], is_scored));
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
