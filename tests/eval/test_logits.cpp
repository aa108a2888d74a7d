// kvasir-eval logits, generate and tokenize: what scripts outside the repository call.
#include <boost/test/unit_test.hpp>

#include "tests/eval/run_eval.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/temp_dir.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;

const std::string kLlama = "golden/arch/llama";
const std::string kModel = data_file(kLlama + ".gguf");
const std::string kTokens = data_file(kLlama + ".golden.json");  // an object with "tokens"

std::string join(std::span<const std::uint32_t> numbers) {
    std::string text;
    for (const std::uint32_t number : numbers)
        text += (text.empty() ? "" : ",") + std::to_string(number);
    return text;
}

struct LogitsRun {
    std::int64_t n_cached = -1;
    std::vector<float> rows;
};

/// The golden's tokens and positions, and more arguments.
LogitsRun run_logits(const std::string& positions, std::vector<std::string> more,
                     const std::string& golden = kLlama) {
    const TextFile out("");
    std::vector<std::string> arguments = {"logits",
                                          "--model",
                                          data_file(golden + ".gguf"),
                                          "--tokens",
                                          data_file(golden + ".golden.json"),
                                          "--positions",
                                          positions,
                                          "--out",
                                          out.name()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run_eval(arguments);
    const auto printed = outcome.json();
    BOOST_TEST_REQUIRE(printed.is_object());
    BOOST_TEST(printed.as_object().size() == 1U);
    return {printed.at("cached_tokens").as_int64(), read_floats(out.path())};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(logits)

BOOST_AUTO_TEST_CASE(are_written_for_the_positions_asked_for) {
    const Golden golden = read_golden("arch/llama");
    const auto run = run_logits(join(golden.positions), {"--kv", "f32", "--validation"});
    BOOST_TEST(run.n_cached == 0);
    BOOST_TEST_REQUIRE(run.rows.size() == golden.logits.size());
    for (std::size_t i = 0; i < golden.positions.size(); ++i) {
        const auto row = std::span(run.rows).subspan(i * golden.n_vocab, golden.n_vocab);
        BOOST_TEST(relative_l2(row, golden.row(i)) <= 1e-3, "position " << golden.positions[i]);
    }
}

BOOST_AUTO_TEST_CASE(come_in_the_order_asked_for_also_twice) {
    const auto ascending = run_logits("0,1,95", {});
    const auto mixed = run_logits("95,1,0,1", {"--chunk", "2"});
    const std::size_t n = ascending.rows.size() / 3;
    BOOST_TEST_REQUIRE(mixed.rows.size() == 4 * n);
    const std::array<std::size_t, 4> order = {2, 1, 0, 1};
    for (std::size_t i = 0; i < order.size(); ++i) {
        BOOST_TEST(std::equal(mixed.rows.begin() + static_cast<std::ptrdiff_t>(i * n),
                              mixed.rows.begin() + static_cast<std::ptrdiff_t>((i + 1) * n),
                              ascending.rows.begin() + static_cast<std::ptrdiff_t>(order[i] * n)),
                   "row " << i);
    }
}

BOOST_AUTO_TEST_CASE(are_the_same_bits_chunked_decoded_batched_and_reused) {
    const TextFile short_company("[3, 1, 4, 1, 5, 9, 2, 6]");
    const TextFile long_company("[" + join(std::vector<std::uint32_t>(150, 7)) + "]");
    const std::string company = short_company.name() + "," + long_company.name() + "," + kTokens;
    for (const std::string kv : {"f16", "int8", "int4", "int8:int4"}) {
        const auto expected = run_logits("0,63,64,95", {"--kv", kv});
        const std::vector<std::vector<std::string>> ways = {
            {"--chunk", "1"},
            {"--chunk", "4294967295"},
            {"--chunk", "33", "--decode-from", "40"},
            {"--batch-with", company},
            {"--batch-with", company, "--chunk", "5"}};
        for (std::vector<std::string> way : ways) {
            way.insert(way.end(), {"--kv", kv});
            const auto run = run_logits("0,63,64,95", way);
            BOOST_TEST(run.n_cached == 0);
            BOOST_TEST((run.rows == expected.rows), kv << " " << way[0] << " " << way[1]);
        }
        // The last query's own page is never reused; rows inside the reused prefix are computed
        // apart.
        const auto reused = run_logits("0,63,64,95", {"--kv", kv, "--reuse-from", kTokens});
        BOOST_TEST(reused.n_cached == 64);
        BOOST_TEST((reused.rows == expected.rows), kv << " reused");
        const auto fetched =
            run_logits("0,63,64,95", {"--kv", kv, "--reuse-from", kTokens, "--tier", "host"});
        BOOST_TEST(fetched.n_cached == 64);
        BOOST_TEST((fetched.rows == expected.rows), kv << " fetched from host memory");
        const TempDir state;
        const auto restored =
            run_logits("0,63,64,95", {"--kv", kv, "--reuse-from", kTokens, "--tier", "disk",
                                      "--state", state.path().string(), "--decode-from", "10"});
        BOOST_TEST(restored.n_cached == 64);
        BOOST_TEST((restored.rows == expected.rows), kv << " restored from disk");
    }
}

BOOST_AUTO_TEST_CASE(reuse_is_invisible_where_attention_has_a_window) {
    struct Case {
        const char* model;
        std::vector<std::string> more;
    };
    for (const Case& one : {Case{"golden/arch/mistral-swa", {}}, Case{"golden/arch/gemma3", {}},
                            Case{kLlama.c_str(), {"--sinks", "4", "--recent", "41"}}}) {
        const std::string tokens = data_file(std::string(one.model) + ".golden.json");
        const auto run = [&](std::vector<std::string> way) {
            way.insert(way.end(), one.more.begin(), one.more.end());
            way.insert(way.end(), {"--kv", "int4"});
            return run_logits("63,95", way, one.model);
        };
        const TempDir state;
        const auto expected = run({});
        for (const std::vector<std::string>& tier :
             {std::vector<std::string>{"device"}, std::vector<std::string>{"host"},
              std::vector<std::string>{"disk", "--state", state.path().string()}}) {
            std::vector<std::string> way = {"--reuse-from", tokens, "--decode-from", "50",
                                            "--tier"};
            way.insert(way.end(), tier.begin(), tier.end());
            const auto reused = run(way);
            BOOST_TEST(reused.n_cached == 64);
            BOOST_TEST((reused.rows == expected.rows), one.model << " " << tier[0]);
        }
    }
}

BOOST_AUTO_TEST_CASE(sinks_and_a_window_change_nothing_before_they_have_to) {
    for (const std::string kv : {"f16", "int4"}) {
        // Of 96 tokens, 45 see all before them; later ones do not.
        const std::vector<std::string> limited = {"--kv", kv, "--sinks", "4", "--recent", "41"};
        const auto run = [&](const char* positions, std::vector<std::string> way) {
            way.insert(way.end(), limited.begin(), limited.end());
            return run_logits(positions, way).rows;
        };
        BOOST_TEST((run("0,31,32,44", {}) == run_logits("0,31,32,44", {"--kv", kv}).rows));
        BOOST_TEST((run("45,95", {}) != run_logits("45,95", {"--kv", kv}).rows));
        const auto expected = run("44,45,46,95", {});
        for (const std::vector<std::string>& way :
             {std::vector<std::string>{"--chunk", "1"}, std::vector<std::string>{"--chunk", "45"},
              std::vector<std::string>{"--decode-from", "40"}}) {
            BOOST_TEST((run("44,45,46,95", way) == expected), kv << " " << way[0] << " " << way[1]);
        }
        // A neighbour that is not as far sees no sinks.
        const TextFile neighbour("[1, 2, 3, 4, 5, 6, 7, 8]");
        BOOST_TEST((run("44,45,46,95", {"--batch-with", neighbour.name()}) == expected));
    }
}

BOOST_AUTO_TEST_CASE(reuse_stops_where_the_tokens_part) {
    const Golden golden = read_golden("arch/llama");
    auto other = golden.tokens;
    other[40] += 1;
    const TextFile earlier("[" + join(other) + "]");
    const auto run = run_logits("95", {"--reuse-from", earlier.name()});
    BOOST_TEST(run.n_cached == 32);
    BOOST_TEST((run.rows == run_logits("95", {}).rows));
}

BOOST_AUTO_TEST_CASE(generate_prints_the_greedy_ids) {
    const Golden golden = read_golden("arch/llama");
    const auto ids =
        run_eval({"generate", "--model", kModel, "--tokens", kTokens, "-n", "24", "--kv", "f32"})
            .json();
    BOOST_TEST_REQUIRE(ids.is_array());
    std::vector<TokenId> generated;
    for (const auto& id : ids.as_array()) generated.push_back(id.to_number<TokenId>());
    BOOST_TEST(generated == golden.greedy, boost::test_tools::per_element());
    BOOST_TEST(run_eval({"generate", "--model", kModel, "--tokens", kTokens, "-n", "0"})
                   .json()
                   .as_array()
                   .empty());
}

BOOST_AUTO_TEST_CASE(tokenize_prints_an_array_of_ids_a_text) {
    const std::string model = data_file("tales-5m-q8_0.gguf");
    const TextFile texts(R"(["Once upon a time", "", "<|im_start|>x", "\u00e9\ud83d\ude00"])");
    const auto plain = run_eval({"tokenize", "--model", model, "--texts", texts.name()}).json();
    const auto special =
        run_eval({"tokenize", "--model", model, "--texts", texts.name(), "--special"}).json();
    BOOST_TEST_REQUIRE(plain.as_array().size() == 4U);
    BOOST_TEST_REQUIRE(special.as_array().size() == 4U);
    BOOST_TEST(plain.at(0) == special.at(0));
    BOOST_TEST(!plain.at(0).as_array().empty());
    BOOST_TEST(plain.at(0).as_array().size() <= 5U);  // common words are one token each
    BOOST_TEST(plain.at(1).as_array().empty());
    BOOST_TEST(special.at(2).as_array().size() == 2U);
    BOOST_TEST(plain.at(2).as_array().size() > 4U);
    BOOST_TEST(plain.at(3) == special.at(3));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
