#include <boost/test/unit_test.hpp>
#include <fstream>

#include "daemon/engine/kv_selection.hpp"
#include "daemon/engine/kv_tests.hpp"
#include "tests/support/temp_dir.hpp"

namespace kvasir {
namespace {

using test::TempDir;

ModelOptions tales_options(const std::filesystem::path& cache_dir) {
    ModelOptions options;
    options.path = KVASIR_TEST_DATA "/tales-5m-q8_0.gguf";
    options.device.pipeline_cache_dir = cache_dir;
    options.kv_budget_bytes = 8U << 20U;
    options.context = 160;  // as much of the text is tested: enough for the choice, and soon done
    return options;
}

gpu::KvFormats formats_of(const Model& model) {
    return model.kv().shape().layers.front();
}

// Under a sanitizer everything takes longer.
const KvSelectionRules kPatient{.limit_ms = 900'000};
const gpu::KvFormats kInt4{shared::kKvInt4, shared::kKvInt4};
const gpu::KvFormats kInt8{shared::kKvInt8, shared::kKvInt8};

std::filesystem::path file_in(const std::filesystem::path& dir, std::string_view prefix) {
    for (const auto& entry : std::filesystem::directory_iterator(dir))
        if (entry.path().filename().string().starts_with(prefix)) return entry.path();
    return {};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kv_selection)

BOOST_AUTO_TEST_CASE(auto_takes_the_smallest_format_that_is_good_enough_and_remembers_why) {
    const TempDir dir;
    ModelOptions options = tales_options(dir.path());
    const auto model = Model::load(options, {}).value();
    std::size_t n_progress = 0;
    const Model::Progress progress = [&](double fraction, std::string_view what) {
        ++n_progress;
        BOOST_TEST((fraction > 0 && fraction <= 1));
        BOOST_TEST(what.starts_with("testing KV format"));
    };
    BOOST_TEST(!select_kv_formats(*model, options, kPatient, progress).has_error());
    BOOST_TEST((options.kv == kInt4));
    BOOST_TEST((formats_of(*model) == kInt4));
    BOOST_TEST(n_progress >= 4U);  // two formats, several steps each

    const std::uint64_t key = kv_tests_key(options.path, model->device().fingerprint()).value();
    const KvTests known = read_kv_tests(dir.path(), key);
    BOOST_TEST(known.results.size() == 1U);
    BOOST_TEST(known.results.contains("int4"));
    BOOST_TEST(known.results.at("int4").kld_mean > 0);
    BOOST_TEST(known.results.at("int4").kld_mean <= KvSelectionRules{}.kld_mean);

    // The next start knows; other rules need more tests, and none may pass.
    n_progress = 0;
    BOOST_TEST(!select_kv_formats(*model, options, kPatient, progress).has_error());
    BOOST_TEST(n_progress == 0U);
    BOOST_TEST((formats_of(*model) == kInt4));
    const KvSelectionRules strict{
        .kld_mean = 1e-5, .same_top = 0.999, .limit_ms = kPatient.limit_ms};
    BOOST_TEST(!select_kv_formats(*model, options, strict, progress).has_error());
    BOOST_TEST((options.kv == kInt8));
    BOOST_TEST((formats_of(*model) == kInt8));
    BOOST_TEST(read_kv_tests(dir.path(), key).results.size() == 2U);

    // What the operator names is obeyed, good enough or not.
    options.kv = kInt4;
    BOOST_TEST(!check_kv_formats(*model, options, strict, progress).has_error());
    BOOST_TEST((formats_of(*model) == kInt4));
}

BOOST_AUTO_TEST_CASE(a_model_too_slow_to_test_takes_int8_and_is_not_tested_again) {
    const TempDir dir;
    ModelOptions options = tales_options(dir.path());
    options.step_tokens = 64;
    const auto model = Model::load(options, {}).value();
    std::size_t n_steps = 0;
    const Model::Progress count = [&](double, std::string_view) { ++n_steps; };
    const KvSelectionRules no_time{.limit_ms = 0};
    BOOST_TEST(!select_kv_formats(*model, options, no_time, count).has_error());
    BOOST_TEST((formats_of(*model) == kInt8));
    BOOST_TEST(n_steps == 1U);  // stopped inside the reference's first run
    BOOST_TEST(!select_kv_formats(*model, options, {}, count).has_error());
    BOOST_TEST((formats_of(*model) == kInt8));
    BOOST_TEST(n_steps == 1U);
}

BOOST_AUTO_TEST_CASE(a_damaged_record_counts_as_none) {
    const TempDir dir;
    const KvTests tests{.results = {{"int4", {0.001, 0.98}}, {"int8:int4", {0.0005, 0.99}}}};
    BOOST_TEST(!write_kv_tests(dir.path(), 7, tests).has_error());
    BOOST_TEST((read_kv_tests(dir.path(), 7) == tests));
    BOOST_TEST((read_kv_tests(dir.path(), 8) == KvTests{}));
    const std::filesystem::path file = file_in(dir.path(), "kv-tests-");
    for (const char* damage : {"int4 nan 0.98\n", "int4 0.1\n", "int4 0.1 2\n", "int4 0.1 0.9 x\n",
                               "\x00\xff\n", "int4 1e999 0.5\n"}) {
        std::ofstream(file, std::ios::trunc) << damage;
        BOOST_TEST((read_kv_tests(dir.path(), 7) == KvTests{}), damage);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
