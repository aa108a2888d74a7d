// Hugging Face directories that lack something, contradict themselves or ask for what is not there:
// a clear error, never a crash.
#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>

#include "tests/support/model_run.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/tiny_hf.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;
namespace json = boost::json;
using Path = std::filesystem::path;

struct Case {
    const char* name;
    void (*change)(HfBuilder& directory);   // before it is written
    void (*damage)(const Path& directory);  // afterwards
    ErrorCode code;
    std::vector<std::string> says;  // what the message names: subject, expected, found
    std::size_t n_shards = 0;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.name;
}

using Builder = HfBuilder&;
void nothing(Builder) {}
void nothing_more(const Path&) {}

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kQ = "model.layers.0.self_attn.q_proj.weight";

void write_index(const Path& dir, const std::string& shard) {
    write_text(
        dir / kIndex,
        json::serialize(json::object{{"weight_map", {{kQ, shard}, {"lm_head.weight", shard}}}}));
}

const std::vector<Case> kRefused = {
    {"no config.json",
     nothing,
     [](const Path& d) { std::filesystem::remove(d / "config.json"); },
     ErrorCode::io,
     {"config.json", "cannot open"}},
    {"no weights",
     nothing,
     [](const Path& d) { std::filesystem::remove(d / "model.safetensors"); },
     ErrorCode::not_found,
     {"no weights", "model.safetensors", "index.json"}},
    {"a config that is no JSON",
     nothing,
     [](const Path& d) { write_text(d / "config.json", "{,}"); },
     ErrorCode::corrupt,
     {"config.json"}},
    {"a config that is a list",
     nothing,
     [](const Path& d) { write_text(d / "config.json", "[]"); },
     ErrorCode::corrupt,
     {"config.json", "not an object"}},
    {"a config of a thousand levels",
     nothing,
     [](const Path& d) { write_text(d / "config.json", std::string(1000, '[')); },
     ErrorCode::corrupt,
     {"config.json", "deep"}},
    {"no model_type",
     [](Builder b) { b.config.erase("model_type"); },
     nothing_more,
     ErrorCode::corrupt,
     {"config.json", "model_type"}},
    {"a model_type nobody knows",
     [](Builder b) { b.config["model_type"] = "mamba"; },
     nothing_more,
     ErrorCode::unsupported,
     {"config.json", "mamba", "llama", "gpt_neo"}},
    {"quantized weights",
     [](Builder b) {
         b.config["quantization_config"] = {{"bits", 4}};
     },
     nothing_more,
     ErrorCode::unsupported,
     {"quantization_config"}},
    {"no layer count",
     [](Builder b) { b.config.erase("num_hidden_layers"); },
     nothing_more,
     ErrorCode::corrupt,
     {"config.json", "num_hidden_layers"}},
    {"2^31 layers",
     [](Builder b) { b.config["num_hidden_layers"] = 1U << 31U; },
     nothing_more,
     ErrorCode::corrupt,
     {"num_hidden_layers", "2147483648", "1 to 1024"}},
    {"minus two layers",
     [](Builder b) { b.config["num_hidden_layers"] = -2; },
     nothing_more,
     ErrorCode::corrupt,
     {"num_hidden_layers"}},
    {"layers as a string",
     [](Builder b) { b.config["num_hidden_layers"] = "2"; },
     nothing_more,
     ErrorCode::corrupt,
     {"num_hidden_layers"}},
    {"no heads",
     [](Builder b) { b.config["num_attention_heads"] = 0; },
     nothing_more,
     ErrorCode::corrupt,
     {"num_attention_heads", "0"}},
    {"heads of 3 channels",
     [](Builder b) { b.config["head_dim"] = 3; },
     nothing_more,
     ErrorCode::unsupported,
     {"head dimensions 3", "multiples of 8"}},
    {"another width than the embedding's",
     [](Builder b) { b.config["hidden_size"] = 128; },
     nothing_more,
     ErrorCode::corrupt,
     {"model.embed_tokens.weight", "(260, 64)", "128"}},
    {"relu",
     [](Builder b) { b.config["hidden_act"] = "relu"; },
     nothing_more,
     ErrorCode::unsupported,
     {"hidden_act", "relu", "silu"}},
    {"biases of attention",
     [](Builder b) { b.config["attention_bias"] = true; },
     nothing_more,
     ErrorCode::unsupported,
     {"attention_bias"}},
    {"an unknown scaling of rope",
     [](Builder b) {
         b.config["rope_scaling"] = {{"rope_type", "dynamic"}, {"factor", 2}};
     },
     nothing_more,
     ErrorCode::unsupported,
     {"rope_type", "dynamic", "yarn"}},
    {"a scaling of rope without a factor",
     [](Builder b) {
         b.config["rope_scaling"] = {{"rope_type", "linear"}};
     },
     nothing_more,
     ErrorCode::corrupt,
     {"rope_scaling", "factor"}},
    {"a missing tensor",
     [](Builder b) { b.tensors.erase(b.tensors.begin()); },
     nothing_more,
     ErrorCode::corrupt,
     {"model.embed_tokens.weight", "missing"}},
    {"a missing output",
     [](Builder b) { b.tensor("lm_head.weight").name = "score.weight"; },
     nothing_more,
     ErrorCode::corrupt,
     {"lm_head.weight", "missing"}},
    {"a tensor that nothing reads",
     [](Builder b) {
         b.tensors.push_back(
             {"model.layers.0.self_attn.sinks", "F32", {1}, std::vector<std::byte>(4)});
     },
     nothing_more,
     ErrorCode::unsupported,
     {"model.layers.0.self_attn.sinks", "llama"}},
    {"integers as weights",
     [](Builder b) { b.tensor(kQ).dtype = "I32"; },
     nothing_more,
     ErrorCode::unsupported,
     {kQ, "I32", "BF16"}},
    {"a dtype nobody knows",
     [](Builder b) { b.tensor(kQ).dtype = "F31"; },
     nothing_more,
     ErrorCode::unsupported,
     {kQ, "F31", "BF16"}},
    {"a matrix as a vector",
     [](Builder b) { b.tensor(kQ).shape = {64 * 64}; },
     nothing_more,
     ErrorCode::corrupt,
     {kQ, "(4096)", "(64, 64)"}},
    {"a matrix of another shape",
     [](Builder b) {
         b.tensor(kQ).shape = {128, 32};
     },
     nothing_more,
     ErrorCode::corrupt,
     {kQ, "(128, 32)", "(64, 64)"}},
    {"a matrix of four dimensions",
     [](Builder b) {
         b.tensor(kQ).shape = {1, 1, 64, 64};
     },
     nothing_more,
     ErrorCode::corrupt,
     {kQ, "(1, 1, 64, 64)"}},
    {"heads that do not divide the rows",
     [](Builder b) { b.config["num_attention_heads"] = 3; },
     nothing_more,
     ErrorCode::corrupt,
     {kQ, "(64, 64)", "3 heads"}},
    {"weights cut short",
     nothing,
     [](const Path& d) { std::filesystem::resize_file(d / "model.safetensors", 20000); },
     ErrorCode::corrupt,
     {"model.safetensors"}},
    {"a tokenizer with more plain tokens than rows",
     [](Builder b) {
         b.config["vocab_size"] = 100;
         b.tensor("model.embed_tokens.weight").shape = {100, 64};
         b.tensor("model.embed_tokens.weight").bytes.resize(100 * 64 * 4);
         b.tensor("lm_head.weight").shape = {100, 64};
         b.tensor("lm_head.weight").bytes.resize(100 * 64 * 4);
         b.config["bos_token_id"] = 1;
         b.config["eos_token_id"] = 2;
     },
     nothing_more,
     ErrorCode::corrupt,
     {"259 tokens", "model.embed_tokens.weight", "100 rows"}},
    {"an end beyond the vocabulary",
     [](Builder b) { b.config["eos_token_id"] = 4000; },
     nothing_more,
     ErrorCode::corrupt,
     {"eos_token_id", "4000"}},
    {"an end that is no token",
     [](Builder b) { b.tokenizer_config["eos_token"] = "<|gone|>"; },
     nothing_more,
     ErrorCode::corrupt,
     {"eos_token", "<|gone|>"}},
    // shards
    {"a shard that is not there",
     nothing,
     [](const Path& d) { std::filesystem::remove(d / HfBuilder::shard_name(1, 2)); },
     ErrorCode::io,
     {"model-2-of-2.safetensors"},
     2},
    {"an empty index",
     nothing,
     [](const Path& d) { write_text(d / kIndex, R"({"weight_map": {}})"); },
     ErrorCode::corrupt,
     {kIndex, "no tensors"},
     2},
    {"an index without a map",
     nothing,
     [](const Path& d) { write_text(d / kIndex, "{}"); },
     ErrorCode::corrupt,
     {kIndex, "weight_map"},
     2},
    {"a shard above the directory",
     nothing,
     [](const Path& d) { write_index(d, "../model.safetensors"); },
     ErrorCode::corrupt,
     {kIndex, "../model.safetensors", "in this directory"},
     2},
    {"a shard at an absolute path",
     nothing,
     [](const Path& d) { write_index(d, "/tmp/model.safetensors"); },
     ErrorCode::corrupt,
     {kIndex, "/tmp/model.safetensors"},
     2},
    {"a shard in a subdirectory",
     nothing,
     [](const Path& d) { write_index(d, "sub/model.safetensors"); },
     ErrorCode::corrupt,
     {kIndex, "sub/model.safetensors"},
     2},
    {"a shard that is another kind of file",
     nothing,
     [](const Path& d) { write_index(d, "config.json"); },
     ErrorCode::corrupt,
     {kIndex, "config.json", ".safetensors"},
     2},
    {"a shard with a zero in its name",
     nothing,
     [](const Path& d) { write_index(d, std::string("a\0.safetensors", 14)); },
     ErrorCode::corrupt,
     {kIndex},
     2},
    {"a tensor in two shards",
     nothing,
     [](const Path& d) {
         std::filesystem::copy_file(d / HfBuilder::shard_name(0, 2),
                                    d / HfBuilder::shard_name(1, 2),
                                    std::filesystem::copy_options::overwrite_existing);
     },
     ErrorCode::corrupt,
     {"another shard"},
     2},
    {"an index that names more than there is",
     nothing,
     [](const Path& d) {
         write_text(
             d / kIndex,
             R"({"weight_map": {"x": "model-1-of-2.safetensors", "y": "model-2-of-2.safetensors"}})");
     },
     ErrorCode::corrupt,
     {kIndex, "`x`", "in none of the shards"},
     2},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(hf_refusals)

BOOST_DATA_TEST_CASE(what_is_wrong_is_refused_by_name, boost::unit_test::data::make(kRefused), c) {
    const TempDir dir;
    HfBuilder directory = tiny_directory();
    c.change(directory);
    directory.write(dir.path(), c.n_shards);
    c.damage(dir.path());
    const auto model = load_model(dir.path());
    BOOST_TEST_REQUIRE(model.has_error());
    const Error& error = model.error();
    BOOST_TEST(static_cast<int>(error.code) == static_cast<int>(c.code), error.message);
    for (const std::string& part : c.says) {
        BOOST_TEST(error.message.find(part) != std::string::npos,
                   "\"" << error.message << "\" names " << part);
    }
    BOOST_TEST(std::ranges::all_of(error.message, [](char ch) { return ch >= ' ' && ch <= '~'; }));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
