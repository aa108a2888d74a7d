// kvasir-eval called wrongly, or with files that are not what they should be: exit status, one
// clear line, nothing on stdout.
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>

#include "tests/eval/run_eval.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;
namespace data = boost::unit_test::data;

struct Call {
    std::vector<std::string> arguments;  // MODEL, TOKENS, TEXT, OUT stand for files that are there
    int status;
    std::vector<std::string> says;
};

std::ostream& operator<<(std::ostream& out, const Call& call) {
    for (const std::string& argument : call.arguments) out << argument << ' ';
    return out;
}

const std::vector<std::string> kLogits = {"logits", "--model", "MODEL", "--tokens",
                                          "TOKENS", "--out",   "OUT"};
std::vector<std::string> with(std::vector<std::string> arguments,
                              const std::vector<std::string>& more) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
}

const std::vector<Call> kWrong = {
    {{}, 2, {"usage", "logits", "generate", "perplexity", "tokenize", "bench"}},
    {{"logit"}, 2, {"usage"}},
    {{"logits"}, 2, {"--model"}},
    {{"generate", "--model", "MODEL"}, 2, {"--tokens"}},
    {with(kLogits, {"--positions", "0", "--chunks", "3"}), 2, {"--chunks"}},
    {with(kLogits, {"--positions", "0", "--chunk"}), 2, {"--chunk"}},
    {with(kLogits, {"--positions", "0", "--chunk", "many"}), 2, {"--chunk"}},
    {with(kLogits, {"--positions", "0", "--chunk", "0"}), 2, {"--chunk 0"}},
    {with(kLogits, {"--positions", "0,x"}), 2, {"--positions 0,x"}},
    {with(kLogits, {"--positions", ""}), 2, {"--positions"}},
    {with(kLogits, {"--positions", "99999999999"}), 2, {"--positions"}},
    {with(kLogits, {"--positions", "4"}), 2, {"--positions 4", "4 tokens"}},
    {with(kLogits, {"--positions", "0", "--kv", "int5"}), 2, {"int5", "int8"}},
    {with(kLogits, {"--positions", "0", "--tier", "tape"}), 2, {"tape", "host"}},
    {with(kLogits, {"--positions", "0", "--kv", "int8:"}), 2, {"KV format"}},
    {with(kLogits, {"--positions", "0", "--kv", "f32:int4"}), 2, {"f32"}},
    {with(kLogits, {"--positions", "0", "--device", "no such device"}), 1, {"no such device"}},
    {with(kLogits, {"--positions", "0", "--batch-with", "/nonexistent"}), 1, {"/nonexistent"}},
    {{"logits", "--model", "MODEL", "--tokens", "TOKENS", "--positions", "0", "--out",
      "/nonexistent/out.f32"},
     1,
     {"/nonexistent/out.f32"}},
    {{"generate", "--model", "/nonexistent.gguf", "--tokens", "TOKENS"}, 1, {"/nonexistent.gguf"}},
    {{"generate", "--model", "TEXT", "--tokens", "TOKENS"}, 1, {"GGUF"}},
    {{"generate", "--model", "MODEL", "--tokens", "TEXT"}, 1, {"not JSON"}},
    {{"generate", "--model", "MODEL", "--tokens", "/nonexistent"}, 1, {"/nonexistent"}},
    {{"generate", "--model", "MODEL", "--tokens", "TOKENS", "-n", "509"}, 1, {"513", "512"}},
    {{"generate", "--model", "MODEL", "--tokens", "TOKENS", "-n", "4294967295"}, 2, {"tokens"}},
    {{"tokenize", "--model", "MODEL"}, 2, {"--texts"}},
    {{"tokenize", "--model", "MODEL", "--texts", "TOKENS"}, 1, {"strings"}},
    {{"tokenize", "--model", "MODEL", "--texts", "TEXT"}, 1, {"JSON"}},
    {{"perplexity", "--model", "MODEL", "--text", "TEXT"}, 2, {"tokens", "512"}},
    {{"perplexity", "--model", "MODEL", "--text", "TEXT", "--context", "1024"}, 2, {"1024", "512"}},
    {{"perplexity", "--model", "MODEL", "--text", "TEXT", "--context", "3"}, 2, {"--context 3"}},
    {{"perplexity", "--model", "MODEL", "--text", "/nonexistent"}, 1, {"/nonexistent"}},
    {{"bench", "--model", "MODEL", "--prompt", "0"}, 2, {"--prompt"}},
    {{"cache-sim", "--pages", "10"}, 2, {"--trace"}},
    {{"cache-sim", "--trace", "TEXT"}, 2, {"--pages"}},
    {{"cache-sim", "--trace", "TEXT", "--pages", "0"}, 2, {"--pages 0"}},
    {{"cache-sim", "--trace", "TEXT", "--pages", "10", "--policy", "mru"}, 2, {"mru", "lru"}},
    {{"cache-sim", "--trace", "TEXT", "--pages", "10"}, 1, {"line 1"}},
    {{"cache-sim", "--trace", "/nonexistent", "--pages", "10"}, 1, {"/nonexistent"}},
    {{"bench", "--model", "MODEL", "--prompt", "500", "--generate", "20"}, 1, {"520", "512"}},
    {{"bench", "--model", "MODEL", "--prompt", "4294967295"}, 1, {"512"}},
    {{"bench", "--model", "MODEL", "--batch", "1000000000"}, 1, {"max_sequences", "1000000000"}}};

Outcome call(std::vector<std::string> arguments, const std::string& tokens_text) {
    const TextFile tokens(tokens_text);
    const TextFile text("A text, and no JSON.");
    const TextFile out("");
    for (std::string& argument : arguments) {
        if (argument == "MODEL") argument = data_file("golden/arch/llama.gguf");
        if (argument == "TOKENS") argument = tokens.name();
        if (argument == "TEXT") argument = text.name();
        if (argument == "OUT") argument = out.name();
    }
    return run_eval(arguments);
}

void check_said(const Outcome& outcome, int status, const std::vector<std::string>& says) {
    BOOST_TEST(outcome.status == status, outcome.err);
    BOOST_TEST(outcome.out == "");
    for (const std::string& part : says) {
        BOOST_TEST(outcome.err.find(part) != std::string::npos,
                   "\"" << outcome.err << "\" names " << part);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(usage)

BOOST_DATA_TEST_CASE(a_wrong_call_says_what_is_wrong, data::make(kWrong), c) {
    check_said(call(c.arguments, "[1, 2, 3, 4]"), c.status, c.says);
}

BOOST_AUTO_TEST_CASE(token_files_are_checked) {
    const auto arguments = with(kLogits, {"--positions", "0"});
    for (const char* wrong : {"[]", "{}", "7", "null", "{\"tokens\": 3}", "[1, \"2\"]", "[1, -1]",
                              "[1.5]", "[4294967296]", "[1,", ""}) {
        check_said(call(arguments, wrong), 1, {});
    }
    check_said(call(arguments, "[1, 512]"), 2, {"token 512", "512"});
    std::string deep(100000, '[');
    check_said(call(arguments, deep), 1, {"JSON"});
    std::string longer = "[1";
    for (int i = 0; i < 512; ++i) longer += ", 1";
    check_said(call(arguments, longer + "]"), 1, {"513", "512"});
}

BOOST_AUTO_TEST_CASE(a_cut_model_is_refused_by_every_command) {
    auto bytes = read_file(data_file("golden/arch/llama.gguf"));
    bytes.resize(bytes.size() / 2);
    const ScratchFile model(bytes);
    const TextFile tokens("[1, 2, 3]");
    const TextFile texts("[\"a\"]");
    const std::string name = model.path().string();
    for (const auto& arguments : std::vector<std::vector<std::string>>{
             {"generate", "--model", name, "--tokens", tokens.name()},
             {"tokenize", "--model", name, "--texts", texts.name()},
             {"perplexity", "--model", name, "--text", texts.name()},
             {"bench", "--model", name}}) {
        check_said(run_eval(arguments), 1, {name, "bytes"});
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
