// kvasir-eval perplexity and bench: figures that people decide by. The bars are those the bundled
// models are held to.
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <ostream>

#include "tests/eval/run_eval.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;
namespace data = boost::unit_test::data;

struct Bar {
    const char* kv;
    double kld_mean;
    double same_top;
    double bits;
};
constexpr std::array kBars = {Bar{"int8", 1e-5, 0.995, 9.0}, Bar{"int4", 1e-3, 0.975, 5.0}};

std::ostream& operator<<(std::ostream& out, const Bar& bar) {
    return out << bar.kv;
}

double number(const boost::json::value& object, const char* key) {
    BOOST_TEST_REQUIRE(object.as_object().contains(key), key);
    return object.at(key).to_number<double>();
}

void check_bar(const std::string& model, const std::string& text, const Bar& bar,
               unsigned n_contexts) {
    const auto outcome =
        run_eval({"perplexity", "--model", model, "--text", text, "--context", "512", "--contexts",
                  std::to_string(n_contexts), "--kv", bar.kv});
    const auto result = outcome.json();
    BOOST_TEST_MESSAGE(model << " " << bar.kv << ": " << outcome.out);
    BOOST_TEST(number(result, "tokens") == n_contexts * 255.0);
    BOOST_TEST(number(result, "kld_mean") <= bar.kld_mean);
    BOOST_TEST(number(result, "kld_mean") > 0);  // a format that changes nothing was not used
    BOOST_TEST(number(result, "kld_p99") >= number(result, "kld_mean"));
    BOOST_TEST(number(result, "same_top") >= bar.same_top);
    BOOST_TEST(number(result, "same_top") <= 1);
    BOOST_TEST(number(result, "bits_per_element") <= bar.bits);
    const double reference = number(result, "ppl_reference");
    BOOST_TEST(std::abs(number(result, "ppl") / reference - 1) < 0.01);
    BOOST_TEST(reference > 20);
    BOOST_TEST(reference < 60);
    BOOST_TEST(outcome.err.find("KL divergence") != std::string::npos);  // the table for people
}

}  // namespace

BOOST_AUTO_TEST_SUITE(perplexity)

BOOST_DATA_TEST_CASE(quantized_pages_keep_the_bundled_models_predictions, data::make(kBars), bar) {
    check_bar(data_file("tales-5m-q8_0.gguf"), data_file("grey-fairy-opening.txt"), bar, 3);
}

BOOST_DATA_TEST_CASE(quantized_pages_keep_predictions_of_ordinary_and_outlier_keys,
                     data::make({"tales-5m-f32", "tales-5m-outlier-f32"}) * data::make(kBars), name,
                     bar) {
    const std::string shared = KVASIR_SHARED_DIR;
    if (!std::filesystem::exists(shared + "/models")) {
        BOOST_TEST_MESSAGE("skipped: " << shared << "/models is not there");
        return;
    }
    check_bar(shared + "/models/" + name + ".gguf", shared + "/text/grey-fairy.txt", bar, 8);
}

BOOST_AUTO_TEST_CASE(a_format_compared_with_itself_differs_in_nothing) {
    const auto result = run_eval({"perplexity", "--model", data_file("tales-5m-q8_0.gguf"),
                                  "--text", data_file("grey-fairy-opening.txt"), "--context", "128",
                                  "--contexts", "2", "--kv", "int4", "--reference", "int4"})
                            .json();
    BOOST_TEST(number(result, "tokens") == 2 * 63);
    BOOST_TEST(number(result, "kld_mean") == 0);
    BOOST_TEST(number(result, "same_top") == 1);
    BOOST_TEST(number(result, "ppl") == number(result, "ppl_reference"));
}

BOOST_AUTO_TEST_CASE(bench_prints_rates_and_what_a_token_costs) {
    const auto bench = [](const std::string& kv) {
        return run_eval({"bench", "--model", data_file("tales-5m-q8_0.gguf"), "--prompt", "64",
                         "--generate", "8", "--batch", "2", "--repeat", "1", "--kv", kv})
            .json();
    };
    const auto f16 = bench("f16");
    const auto int4 = bench("int4");
    for (const char* key : {"prompt_tokens_per_second", "generate_tokens_per_second",
                            "time_to_first_token_ms", "weight_bytes", "device_bytes_allocated"}) {
        BOOST_TEST(number(f16, key) > 0, key);
    }
    BOOST_TEST(f16.at("device").as_string().size() > 0U);
    BOOST_TEST(number(f16, "kv_bytes_per_token") ==
               6 * 2 * 2 * 64 * 2);  // layers, K and V, KV heads, channels, bytes
    BOOST_TEST(number(int4, "kv_bytes_per_token") <= 0.32 * number(f16, "kv_bytes_per_token"));
    BOOST_TEST(number(f16, "dispatches_per_decode_step") <= 8 * number(f16, "n_layers") + 4);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
