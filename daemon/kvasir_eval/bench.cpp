// kvasir-eval bench: prefill and decode speed of a model on this device, medians of several runs.
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <fmt/format.h>
#include <iostream>

#include "daemon/kvasir_eval/session.hpp"

namespace kvasir::eval {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

struct Figures {
    double prompt_seconds = 0;
    double first_token_seconds = 0;
    double generate_seconds = 0;
    std::uint32_t dispatches_a_step = 0;  // of a step that fills no page
};

/// Computes the whole of every prompt, last token with logits.
Result<> prefill(Session& session, std::vector<SequenceState>& sequences) {
    for (SequenceState& sequence : sequences) {
        while (sequence.n_pending() > 0) {
            const std::uint32_t n =
                std::min(sequence.n_pending(), session.model().limits().max_tokens);
            const bool is_last = n == sequence.n_pending();
            KVASIR_TRY(
                const SequenceStep step,
                sequence.prepare(n, is_last ? std::vector{n - 1} : std::vector<std::uint32_t>{}));
            KVASIR_TRY_VOID(session.model().step({&step, 1}));
            sequence.complete(0);
        }
        sequence.push_token(argmax(session.model().logits(0)));
    }
    return {};
}

Result<> decode_step(Session& session, std::vector<SequenceState>& sequences) {
    std::vector<SequenceStep> steps;
    for (SequenceState& sequence : sequences) {
        KVASIR_TRY(const SequenceStep step, sequence.prepare(1, {0}));
        steps.push_back(step);
    }
    KVASIR_TRY_VOID(session.model().step(steps));
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        sequences[i].complete(0);
        sequences[i].push_token(argmax(session.model().logits(i)));
    }
    return {};
}

Result<Figures> run_once(Session& session, std::uint32_t n_prompt, std::uint32_t n_generate,
                         std::uint32_t n_batch, std::uint32_t n_context) {
    session.cache().drop_all();
    std::vector<SequenceState> sequences;
    for (std::uint32_t b = 0; b < n_batch; ++b) {
        std::vector<TokenId> tokens(n_prompt);
        for (std::uint32_t i = 0; i < n_prompt; ++i)
            tokens[i] = (i * 7919 + b * 104729 + 1) % session.model().shape().n_vocab;
        KVASIR_TRY(SequenceState sequence,
                   session.begin(tokens, n_context, KvCache::Lookup::refused));
        sequences.push_back(std::move(sequence));
    }
    Figures figures;
    const auto start = Clock::now();
    KVASIR_TRY_VOID(prefill(session, sequences));
    figures.prompt_seconds = seconds_since(start);
    figures.first_token_seconds = figures.prompt_seconds / n_batch;
    const auto decode_start = Clock::now();
    for (std::uint32_t i = 0; i + 1 < n_generate; ++i) {
        KVASIR_TRY_VOID(decode_step(session, sequences));
        const std::uint32_t n = session.model().n_dispatches();
        figures.dispatches_a_step =
            figures.dispatches_a_step == 0 ? n : std::min(figures.dispatches_a_step, n);
    }
    figures.generate_seconds = seconds_since(decode_start);
    return figures;
}

}  // namespace

Result<> run_bench(const Arguments& arguments) {
    auto known = common_options();
    known.add_options()("prompt", options::value<std::uint32_t>()->default_value(512),
                        "prompt tokens")(
        "generate", options::value<std::uint32_t>()->default_value(128), "generated tokens")(
        "batch", options::value<std::uint32_t>()->default_value(1), "sequences at once")(
        "context", options::value<std::uint32_t>()->default_value(0),
        "context length; 0: prompt and generated")(
        "repeat", options::value<std::uint32_t>()->default_value(3), "runs; the median counts")(
        "step-tokens", options::value<std::uint32_t>()->default_value(256), "prompt tokens a step");
    KVASIR_TRY(const auto given, parse(known, arguments));
    const auto n_prompt = given["prompt"].as<std::uint32_t>();
    const auto n_generate = given["generate"].as<std::uint32_t>();
    const auto n_batch = given["batch"].as<std::uint32_t>();
    const auto n_repeat = given["repeat"].as<std::uint32_t>();
    if (n_prompt == 0 || n_generate < 2 || n_batch == 0 || n_repeat == 0) {
        return Error{ErrorCode::invalid_argument,
                     "--prompt, --batch and --repeat are at least 1, --generate at least 2"};
    }
    const std::uint32_t n_context =
        std::max(given["context"].as<std::uint32_t>(), n_prompt + n_generate);
    const auto load_start = Clock::now();
    KVASIR_TRY(const auto session,
               Session::open(given, {.context = 0,
                                     .max_sequences = n_batch,
                                     .step_tokens = std::max(
                                         given["step-tokens"].as<std::uint32_t>(), n_batch),
                                     .max_logit_rows = n_batch,
                                     .kv = {}}));
    const double load_seconds = seconds_since(load_start);
    if (const std::uint64_t n = std::uint64_t{n_prompt} + n_generate;
        n > session->model().context_length()) {
        return Error{ErrorCode::too_large, fmt::format("{} tokens, the context holds {}", n,
                                                       session->model().context_length())};
    }
    std::vector<double> prompt_rates;
    std::vector<double> generate_rates;
    std::vector<double> first_token_ms;
    Figures figures;
    for (std::uint32_t i = 0; i < n_repeat; ++i) {
        KVASIR_TRY(figures, run_once(*session, n_prompt, n_generate, n_batch, n_context));
        prompt_rates.push_back(n_prompt * n_batch / figures.prompt_seconds);
        generate_rates.push_back((n_generate - 1) * n_batch / figures.generate_seconds);
        first_token_ms.push_back(figures.first_token_seconds * 1000);
    }
    const Model& model = session->model();
    const boost::json::object result = {
        {"model", model.name()},
        {"device", model.device().name()},
        {"kv", to_string(model.kv().shape().layers[0])},
        {"prompt_tokens", n_prompt},
        {"generated_tokens", n_generate},
        {"batch", n_batch},
        {"prompt_tokens_per_second", median(prompt_rates)},
        {"generate_tokens_per_second", median(generate_rates)},
        {"time_to_first_token_ms", median(first_token_ms)},
        {"kv_bytes_per_token", model.kv_bytes_per_token()},
        {"kv_bytes_allocated", model.kv().allocated_bytes()},
        {"weight_bytes", model.weight_bytes()},
        {"device_bytes_allocated", model.device().allocated_bytes()},
        {"dispatches_per_decode_step", figures.dispatches_a_step},
        {"n_layers", model.shape().n_layers},
        {"load_seconds", load_seconds},
        {"repeat", n_repeat}};
    std::cout << boost::json::serialize(result) << "\n";
    return {};
}

}  // namespace kvasir::eval
