// Hidden states of small models: the output matrix times them is what another implementation gave
// as logits, however the tokens are cut into steps and whoever else is in them.
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "daemon/model/open_model.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/model_run.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;

const std::vector<std::string> kModels = {
    "arch/llama",  "arch/mistral-swa", "arch/mixtral", "arch/qwen2", "arch/qwen3",
    "arch/phi3",   "arch/gpt2",        "arch/gptneox", "arch/gemma", "arch/gemma2",
    "arch/gemma3", "arch/starcoder2",  "quant/Q4_K",   "quant/Q8_0", "hf/gpt-neo"};

/// The matrix that makes logits, decoded row by row as the file has it.
class OutputMatrix {
public:
    explicit OutputMatrix(const std::filesystem::path& path) : model_(open_model(path).value()) {
        tensor_ = model_.source->find_tensor("output.weight");
        if (tensor_ == nullptr) tensor_ = model_.source->find_tensor("token_embd.weight");
        KVASIR_CHECK(tensor_ != nullptr && tensor_->format != nullptr, "logits have a matrix");
    }

    /// cap: soft bound of logits; 0: none.
    std::vector<float> logits(std::span<const float> state, double cap) const {
        const FormatInfo& format = *tensor_->format;
        const auto n_rows = static_cast<std::size_t>(tensor_->shape[0]);
        KVASIR_CHECK(tensor_->shape[1] == state.size(), "a state has the matrix's columns");
        std::vector<float> out(n_rows);
        std::vector<float> values(state.size());
        std::vector<std::byte> scratch;
        for (std::size_t r = 0; r < n_rows; ++r) {
            const auto bytes = tensor_->row(r, scratch);
            for (std::size_t b = 0; b * format.block_elements < values.size(); ++b) {
                format.decode_block(
                    bytes.subspan(b * format.block_bytes, format.block_bytes),
                    std::span(values).subspan(b * format.block_elements, format.block_elements));
            }
            double sum = 0;
            for (std::size_t k = 0; k < values.size(); ++k)
                sum += double{values[k]} * double{state[k]};
            out[r] = static_cast<float>(cap > 0 ? cap * std::tanh(sum / cap) : sum);
        }
        return out;
    }

private:
    OpenedModel model_;
    const TensorInfo* tensor_ = nullptr;
};

/// One sequence's step: its tokens, their states, and logits of the last where they are wanted.
struct Part {
    Job* job = nullptr;
    std::uint32_t n_states = 0;
    bool wants_logits = false;
};

/// Runs the parts as one step and keeps states by position.
void step(ModelRun& run, std::span<const Part> parts, std::span<Rows> states, Rows* logits) {
    std::vector<SequenceStep> steps;
    for (const Part& part : parts) {
        const std::uint32_t n = part.job->n_next();
        const std::uint32_t n_states = std::min(n, part.n_states);
        steps.push_back(
            part.job->state
                .prepare(n, part.wants_logits ? std::vector{n - 1} : std::vector<std::uint32_t>{},
                         n_states)
                .value());
    }
    run.model().step(steps).value();
    std::size_t at = 0;
    std::size_t logit_row = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        SequenceState& sequence = parts[i].job->state;
        const auto end = sequence.n_computed() + static_cast<std::uint32_t>(steps[i].tokens.size());
        for (std::uint32_t k = 0; k < steps[i].n_states; ++k, ++at) {
            const auto state = run.model().state(at);
            states[i][end - steps[i].n_states + k].assign(state.begin(), state.end());
        }
        if (parts[i].wants_logits) {
            const auto row = run.model().logits(logit_row++);
            (*logits)[end - 1].assign(row.begin(), row.end());
        }
        sequence.complete(0);
    }
}

/// The states of every position, computed cold and alone.
Rows cold_states(ModelRun& run, std::span<const TokenId> tokens, const Plan& plan) {
    run.cache().drop_all();
    Job job = run.begin(tokens, plan, 0, KvCache::Lookup::refused);
    Rows states;
    while (!job.done()) {
        const Part part{.job = &job, .n_states = job.n_next()};
        step(run, {&part, 1}, {&states, 1}, nullptr);
    }
    job.state.release(0);
    run.cache().drop_all();
    return states;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hidden_states)

BOOST_DATA_TEST_CASE(the_output_matrix_makes_the_golden_logits_of_them,
                     boost::unit_test::data::make(kModels), name) {
    const Golden golden = read_golden(name);
    const OutputMatrix output(golden.model);
    ModelRun run(golden.model, "f32");
    const Rows states = cold_states(run, golden.tokens, Plan{.chunk = 64});
    BOOST_TEST(states.size() == golden.tokens.size());
    for (std::size_t i = 0; i < golden.positions.size(); ++i) {
        const auto& state = states.at(golden.positions[i]);
        BOOST_TEST(state.size() == run.model().shape().dim);
        const double error =
            relative_l2(output.logits(state, run.model().shape().logit_cap), golden.row(i));
        BOOST_TEST(error <= 1e-3, name << ", position " << golden.positions[i] << ": " << error);
    }
    BOOST_TEST(run.model().device().n_validation_messages() == 0);
}

BOOST_DATA_TEST_CASE(they_have_the_same_bits_in_steps_of_any_size,
                     boost::unit_test::data::make(std::vector<std::string>{
                         "arch/llama", "arch/gpt2", "arch/gemma2"}),
                     name) {
    const Golden golden = read_golden(name);
    ModelRun run(golden.model, "int4");
    const Rows expected = cold_states(run, golden.tokens, Plan{.chunk = 64});
    for (const Plan& plan : {Plan{.chunk = 1}, Plan{.chunk = 7}, Plan{.chunk = 32},
                             Plan{.chunk = 64, .decode_from = 40}}) {
        BOOST_TEST(difference(cold_states(run, golden.tokens, plan), expected) == "",
                   "chunk " << plan.chunk);
    }
}

/// Three sequences in each step: all states, logits alone, the last two states.
BOOST_AUTO_TEST_CASE(each_sequence_of_a_step_gets_its_own) {
    const Golden golden = read_golden("arch/qwen3");
    ModelRun run(golden.model, "int8");
    const Tokens other = random_tokens(golden.tokens.size(), golden.n_vocab, 5);
    const Tokens third = random_tokens(golden.tokens.size(), golden.n_vocab, 6);
    const Rows expected_first = cold_states(run, golden.tokens, Plan{.chunk = 64});
    const Rows expected_third = cold_states(run, third, Plan{.chunk = 64});
    const Rows expected_logits = run.cold(other);
    Job jobs[] = {run.begin(golden.tokens, Plan{.chunk = 9}, 0, KvCache::Lookup::refused),
                  run.begin(other, Plan{.chunk = 9}, 0, KvCache::Lookup::refused),
                  run.begin(third, Plan{.chunk = 9}, 0, KvCache::Lookup::refused)};
    const Part parts[] = {{.job = &jobs[0], .n_states = 9},
                          {.job = &jobs[1], .wants_logits = true},
                          {.job = &jobs[2], .n_states = 2}};
    Rows states[3];
    Rows logits;
    while (!jobs[0].done()) step(run, parts, states, &logits);
    BOOST_TEST(states[0].size() == golden.tokens.size());
    BOOST_TEST(difference(states[0], expected_first) == "");
    BOOST_TEST(states[1].empty());
    BOOST_TEST(difference(states[2], expected_third) == "");
    BOOST_TEST(difference(logits, expected_logits) == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
