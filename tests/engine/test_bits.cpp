// Promise 1: the same tokens give the same bits, under any chunking, in any company, after any
// reuse, in every KV format.
#include <array>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/support/corrupt.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/gpu_fixture.hpp"
#include "tests/support/model_run.hpp"
#include "tests/support/tiny_model.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;
using gpu::GpuRun;
namespace data = boost::unit_test::data;

BOOST_TEST_GLOBAL_FIXTURE(GpuRun);

const std::array<std::string, 5> kKvFormats = {"f32", "f16", "int8", "int4", "int8:int4"};
constexpr std::array kPlans = {Plan{.chunk = 1},
                               Plan{.chunk = 5},
                               Plan{.chunk = 7},
                               Plan{.chunk = 32},
                               Plan{.chunk = 33},
                               Plan{.chunk = 96},
                               Plan{.chunk = 64, .decode_from = 40}};

std::string name_of(const Plan& plan) {
    if (plan.decode_from == UINT32_MAX) return fmt::format("chunk {}", plan.chunk);
    return fmt::format("chunk {}, decode from {}", plan.chunk, plan.decode_from);
}

void check_chunks(ModelRun& run, const Tokens& tokens, std::span<const Plan> plans) {
    const Rows expected = run.cold(tokens, plans.front());
    BOOST_TEST(expected.size() == tokens.size());
    for (const Plan& plan : plans.subspan(1)) {
        BOOST_TEST(difference(run.cold(tokens, plan), expected) == "", name_of(plan));
    }
}

void check_silent(ModelRun& run) {
    BOOST_TEST(run.model().device().n_validation_messages() == 0);
    run.cache().check_invariants();
    BOOST_TEST(run.cache().stats().n_leased == 0);
    BOOST_TEST(run.slots().n_free() == run.model().n_open_slots());
}

/// Head shapes that take different paths: heads a workgroup shares, tokens a tile has, channels
/// that fill no lane.
struct Shape {
    const char* name;
    TinyShape shape;
};
const std::array kShapes = {
    Shape{"8 heads on 1", {.n_heads = 8, .n_kv_heads = 1, .head_dim = 24}},
    Shape{"5 heads on 1, 72 channels", {.n_heads = 5, .n_kv_heads = 1, .head_dim = 72}},
    Shape{"3 heads on 3, 40 channels", {.n_heads = 3, .n_kv_heads = 3, .head_dim = 40}},
    Shape{"4 heads on 2, 96 channels", {.n_heads = 4, .n_kv_heads = 2, .head_dim = 96}},
    Shape{"128 channels", {.n_layers = 1, .n_heads = 2, .n_kv_heads = 1, .head_dim = 128}},
    Shape{"no width a multiple of 32",
          {.dim = 72, .ffn_dim = 104, .n_heads = 6, .n_kv_heads = 2, .head_dim = 8, .n_vocab = 77}},
    Shape{"wider than a segment", {.n_layers = 1, .dim = 264, .ffn_dim = 392, .n_heads = 4}}};

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    return out << shape.name;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bits)

BOOST_DATA_TEST_CASE(do_not_depend_on_chunks, data::make(kKvFormats), kv) {
    const Golden golden = read_golden("arch/llama");
    ModelRun run(golden.model, kv);
    check_chunks(run, golden.tokens, kPlans);
    check_silent(run);
}

BOOST_DATA_TEST_CASE(do_not_depend_on_chunks_in_any_weight_format,
                     data::make(std::array<std::string, 15>{
                         "quant/F16", "quant/BF16", "quant/Q8_0", "quant/Q4_0", "quant/Q4_1",
                         "quant/Q5_0", "quant/Q5_1", "quant/Q2_K", "quant/Q3_K", "quant/Q4_K",
                         "quant/Q5_K", "quant/Q6_K", "quant/IQ4_NL", "quant/IQ4_XS",
                         "quant/MXFP4"}),
                     name) {
    const Golden golden = read_golden(name);
    ModelRun run(golden.model, "int8");
    check_chunks(run, golden.tokens, kPlans);
    check_silent(run);
}

// Experts chosen, windows that end anywhere, parallel halves, learned positions: alone in chunks,
// and in a batch that changes from step to step.
BOOST_DATA_TEST_CASE(do_not_depend_on_chunks_or_company_in_any_architecture,
                     data::make(std::array<std::string, 11>{
                         "qwen3", "qwen3moe", "phi3", "mixtral", "mistral-swa", "gpt2", "gptneox",
                         "starcoder2", "gemma", "gemma2", "gemma3"}),
                     name) {
    const Golden golden = read_golden("arch/" + name);
    ModelRun run(golden.model, "int8:int4");
    check_chunks(run, golden.tokens, kPlans);
    const Tokens other = random_tokens(70, golden.n_vocab, 1);
    const Rows expected = run.cold(golden.tokens);
    const Rows expected_other = run.cold(other);
    Job first = run.begin(golden.tokens, Plan{.chunk = 5}, 0, KvCache::Lookup::refused);
    Job second = run.begin(other, Plan{.chunk = 33}, 0, KvCache::Lookup::refused);
    run.finish({&second, &first});
    BOOST_TEST(difference(first.rows, expected) == "");
    BOOST_TEST(difference(second.rows, expected_other) == "");
    first.state.release(0);
    second.state.release(0);
    check_silent(run);
}

BOOST_DATA_TEST_CASE(do_not_depend_on_chunks_with_sinks_and_a_window, data::make(kKvFormats), kv) {
    const Golden golden = read_golden("arch/llama");
    for (const auto& [sinks, recent] : {std::pair{4U, 41U}, {40U, 7U}}) {
        ModelRun run(golden.model, kv, {.sinks = sinks, .recent = recent});
        check_chunks(run, golden.tokens, kPlans);
        check_silent(run);
    }
}

// Until tokens fall out of the window, what sinks are read with are the queries themselves.
BOOST_AUTO_TEST_CASE(do_not_depend_on_sinks_before_the_window_is_full) {
    const Golden golden = read_golden("arch/llama");
    ModelRun all(golden.model, "int8");
    ModelRun run(golden.model, "int8", {.sinks = 5, .recent = 60});
    const Tokens tokens(golden.tokens.begin(), golden.tokens.begin() + 65);
    BOOST_TEST(difference(run.cold(tokens), all.cold(tokens)) == "");
}

BOOST_DATA_TEST_CASE(do_not_depend_on_chunks_with_any_head_shape, data::make(kShapes), shape) {
    const ScratchFile file(TinyModel(shape.shape).file());
    ModelRun run(file.path(), "int4");
    check_chunks(run, random_tokens(100, shape.shape.n_vocab, 3), kPlans);
    check_silent(run);
}

BOOST_AUTO_TEST_CASE(do_not_depend_on_chunks_where_layers_have_their_own_formats) {
    const ScratchFile file(TinyModel({.n_layers = 4}).file());
    ModelRun run(file.path(), "int4", {.kv_overrides = "0=f16,2=int8:int4,3=int8"});
    const Tokens tokens = random_tokens(100, 96, 4);
    check_chunks(run, tokens, kPlans);
    const Rows expected = run.cold(tokens);
    Job first = run.begin(tokens, Plan{.chunk = 9});
    run.finish({&first});
    first.state.release(0);
    Job second = run.begin(tokens, Plan{.chunk = 50});
    BOOST_TEST(second.state.n_cached() == 96);
    run.finish({&second});
    BOOST_TEST(difference(second.rows, expected) == "");
    second.state.release(0);
    check_silent(run);
}

BOOST_AUTO_TEST_CASE(do_not_depend_on_which_rows_are_wanted) {
    const Golden golden = read_golden("arch/llama");
    ModelRun run(golden.model, "int8");
    const Rows expected = run.cold(golden.tokens);
    for (const std::uint32_t chunk : {1U, 13U, 96U}) {
        Job job = run.begin(golden.tokens, Plan{.chunk = chunk}, 0, KvCache::Lookup::refused);
        job.last_row_only = true;
        run.finish({&job});
        BOOST_TEST(difference(job.rows, expected) == "", "chunk " << chunk);
    }
    check_silent(run);
}

// Four sequences of different lengths and chunks share the steps; their order in the batch is
// turned step by step.
BOOST_DATA_TEST_CASE(do_not_depend_on_company, data::make(kKvFormats), kv) {
    constexpr std::array<std::array<Plan, 4>, 3> kCuts = {
        {{{{.chunk = 96}, {.chunk = 5}, {.chunk = 33}, {.chunk = 1}}},
         {{{.chunk = 7}, {.chunk = 32, .decode_from = 40}, {.chunk = 64}, {.chunk = 31}}},
         {{{.chunk = 1}, {.chunk = 1}, {.chunk = 1}, {.chunk = 1}}}}};
    const Golden golden = read_golden("arch/llama");
    const std::array<Tokens, 4> tokens = {golden.tokens, random_tokens(70, golden.n_vocab, 1),
                                          random_tokens(131, golden.n_vocab, 2),
                                          random_tokens(33, golden.n_vocab, 3)};
    ModelRun run(golden.model, kv);
    std::vector<Rows> expected;
    for (const Tokens& each : tokens) expected.push_back(run.cold(each));
    for (const auto& plans : kCuts) {
        std::vector<Job> jobs;
        jobs.reserve(4);
        for (std::size_t i = 0; i < 4; ++i) {
            jobs.push_back(run.begin(tokens[i], plans[i], 0, KvCache::Lookup::refused));
        }
        std::vector<Job*> order = {&jobs[0], &jobs[1], &jobs[2], &jobs[3]};
        while (std::any_of(jobs.begin(), jobs.end(), [](const Job& job) { return !job.done(); })) {
            run.step(order);
            std::rotate(order.begin(), order.begin() + 1, order.end());
        }
        for (std::size_t i = 0; i < 4; ++i) {
            BOOST_TEST(jobs[i].rows.size() == tokens[i].size());
            BOOST_TEST(difference(jobs[i].rows, expected[i]) == "", "sequence " << i);
        }
    }
    check_silent(run);
}

// A first sequence has n tokens in common with the second and then goes another way, or ends.
BOOST_DATA_TEST_CASE(do_not_depend_on_a_reused_prefix_of_any_length, data::make(kKvFormats), kv) {
    const Golden golden = read_golden("arch/llama");
    ModelRun run(golden.model, kv);
    Tokens tokens = golden.tokens;  // 96, and a tail that is never cached
    const Tokens tail = random_tokens(9, golden.n_vocab, 8);
    const Rows whole_prompt = run.cold(tokens);
    tokens.insert(tokens.end(), tail.begin(), tail.end());
    const Rows expected = run.cold(tokens);
    for (std::uint32_t n = 1; n <= 96; ++n) {
        run.cache().drop_all();
        Tokens earlier(tokens.begin(), tokens.begin() + n);
        if (n % 3 != 0) earlier.push_back((tokens[n] + 1) % golden.n_vocab);
        Job first = run.begin(earlier, Plan{.chunk = 1 + n % 50, .decode_from = n / 2});
        run.finish({&first});
        first.state.release(0);
        Job second = run.begin(tokens, Plan{.chunk = 1 + n % 37});
        BOOST_TEST(second.state.n_cached() == n / 32 * 32, "prefix " << n);
        run.finish({&second});
        BOOST_TEST(second.rows.size() == tokens.size() - n / 32 * 32);
        BOOST_TEST(difference(second.rows, expected) == "", "prefix " << n);
        second.state.release(0);
        // The match is the whole prompt, on a border: the last query's own page is computed again.
        Job third = run.begin(golden.tokens, Plan{});
        BOOST_TEST(third.state.n_cached() == 64);
        run.finish({&third});
        BOOST_TEST(difference(third.rows, whole_prompt) == "");
    }
    check_silent(run);
}

BOOST_DATA_TEST_CASE(do_not_depend_on_a_running_neighbours_pages, data::make(kKvFormats), kv) {
    const Golden golden = read_golden("arch/llama");
    ModelRun run(golden.model, kv);
    Tokens other(golden.tokens.begin(), golden.tokens.begin() + 64);
    const Tokens tail = random_tokens(60, golden.n_vocab, 5);
    other.insert(other.end(), tail.begin(), tail.end());
    const Rows expected = run.cold(golden.tokens);
    const Rows expected_other = run.cold(other);
    Job neighbour = run.begin(golden.tokens, Plan{.chunk = 11, .decode_from = 33});
    while (neighbour.state.n_computed() < 70) {
        Job* const alone = &neighbour;
        run.step({&alone, 1});
    }
    Job job = run.begin(other, Plan{.chunk = 3});  // decoded pages of a sequence that still runs
    BOOST_TEST(job.state.n_cached() == 64);
    run.finish({&job, &neighbour});
    BOOST_TEST(difference(job.rows, expected_other) == "");
    BOOST_TEST(difference(neighbour.rows, expected) == "");
    neighbour.state.release(0);
    job.state.release(0);
    check_silent(run);
}

// Two sequences that compute the same page at once change over to one copy; one that trails takes
// pages over midway.
BOOST_DATA_TEST_CASE(do_not_depend_on_pages_taken_over_midway, data::make(kKvFormats), kv) {
    const Golden golden = read_golden("arch/llama");
    ModelRun run(golden.model, kv);
    const Rows expected = run.cold(golden.tokens);
    Job first = run.begin(golden.tokens, Plan{.chunk = 16});
    Job second = run.begin(golden.tokens, Plan{.chunk = 48});
    Job trailing = run.begin(golden.tokens, Plan{.chunk = 32});
    const auto n_duplicates = run.cache().stats().n_duplicates;
    run.finish({&first, &second});
    BOOST_TEST(run.cache().stats().n_duplicates > n_duplicates);
    BOOST_TEST(trailing.state.extend_match(0) == 64);
    run.finish({&trailing});
    BOOST_TEST(trailing.rows.begin()->first == 64);
    for (Job* job : {&first, &second, &trailing}) {
        BOOST_TEST(difference(job->rows, expected) == "");
        job->state.release(0);
    }
    check_silent(run);
}

// Pages and open slots are used again and again by sequences of other content.
BOOST_DATA_TEST_CASE(do_not_depend_on_what_memory_held_before, data::make(kKvFormats), kv) {
    const Golden golden = read_golden("arch/llama");
    ModelRun run(golden.model, kv,
                 {.max_sequences = 2, .step_tokens = 64, .kv_budget_bytes = 1U << 19U});
    const Rows expected = run.cold(golden.tokens);
    for (std::uint64_t round = 0; round < 12; ++round) {
        const auto n = static_cast<std::size_t>(40 + 13 * round);
        Job filler = run.begin(random_tokens(n, golden.n_vocab, round), Plan{.chunk = 50});
        run.finish({&filler});
        filler.state.release(0);
        Job job = run.begin(golden.tokens, Plan{.chunk = 29}, 0, KvCache::Lookup::refused);
        run.finish({&job});
        BOOST_TEST(difference(job.rows, expected) == "", "round " << round);
    }
    check_silent(run);
}

// Attention splits at 512, 1024, 1536 tokens: chunks end on, before and after a border, decode
// crosses one.
BOOST_DATA_TEST_CASE(do_not_depend_on_chunks_over_several_splits, data::make(kKvFormats), kv) {
    const TinyShape shape{.n_vocab = 64, .context = 2048};
    const ScratchFile file(TinyModel(shape).file());
    ModelRun run(file.path(), kv, {.max_sequences = 4, .step_tokens = 1024});
    const Tokens tokens = random_tokens(1600, shape.n_vocab, 11);
    const std::array plans = {Plan{.chunk = 512}, Plan{.chunk = 97}, Plan{.chunk = 600},
                              Plan{.chunk = 1000, .decode_from = 1510}};
    const Rows expected = run.cold(tokens, plans.front());
    for (const Plan& plan : std::span(plans).subspan(1)) {
        BOOST_TEST(difference(run.cold(tokens, plan), expected) == "", name_of(plan));
    }
    // In company that begins on its pages, and alone again after a hit behind the last border.
    Job job = run.begin(tokens, Plan{.chunk = 400});
    Job* const alone = &job;
    run.step({&alone, 1});
    run.step({&alone, 1});
    const Tokens half(tokens.begin(), tokens.begin() + 805);
    Job guest = run.begin(half, Plan{.chunk = 1});
    BOOST_TEST(guest.state.n_cached() == 800);
    run.finish({&guest, &job});
    BOOST_TEST(difference(job.rows, expected) == "");
    BOOST_TEST(difference(guest.rows, expected) == "");
    job.state.release(0);
    Job again = run.begin(tokens, Plan{.chunk = 256});
    BOOST_TEST(again.state.n_cached() == 1568);
    run.finish({&again});
    BOOST_TEST(difference(again.rows, expected) == "");
    again.state.release(0);
    guest.state.release(0);
    check_silent(run);
}

/// Sequences that decode behind one prefix of two splits, one that leaves it after one, and one
/// that has nothing to do with it.
BOOST_DATA_TEST_CASE(do_not_depend_on_who_reads_the_prefix_together, data::make({"int8", "int4"}),
                     kv) {
    const TinyShape shape{.n_vocab = 64, .context = 2048};
    const ScratchFile file(TinyModel(shape).file());
    constexpr std::uint32_t kPrompt = 1040;
    constexpr std::uint32_t kEnd = 1066;  // over a page border
    std::vector<Tokens> texts(5, random_tokens(kEnd, shape.n_vocab, 21));
    for (std::size_t i = 1; i < texts.size(); ++i) {
        const std::array<std::size_t, 5> parts_at = {kEnd, 1030, 1030, 600, 0};
        const Tokens own = random_tokens(kEnd, shape.n_vocab, 30 + i);
        std::copy(own.begin() + static_cast<std::ptrdiff_t>(parts_at[i]), own.end(),
                  texts[i].begin() + static_cast<std::ptrdiff_t>(parts_at[i]));
    }
    ModelRun alone(file.path(), kv, {.max_sequences = 5, .step_tokens = 512, .min_sharers = 0});
    ModelRun together(file.path(), kv, {.max_sequences = 5, .step_tokens = 512, .min_sharers = 2});
    BOOST_TEST(together.model().limits().min_sharers == 2U);
    std::vector<Job> jobs;
    for (const Tokens& text : texts) {
        jobs.push_back(together.begin(text, Plan{.chunk = 512, .decode_from = kPrompt}));
        while (jobs.back().state.n_computed() < kPrompt) {
            Job* const next = &jobs.back();
            together.step({&next, 1});
        }
    }
    together.finish({&jobs[0], &jobs[1], &jobs[2], &jobs[3], &jobs[4]});
    BOOST_TEST(together.model().n_shared_splits() == 2U * 3 + 1);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        BOOST_TEST(difference(jobs[i].rows, alone.cold(texts[i], Plan{.chunk = 512})) == "",
                   "sequence " << i);
        jobs[i].state.release(0);
    }
    BOOST_TEST(alone.model().n_shared_splits() == 0U);
    check_silent(together);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
