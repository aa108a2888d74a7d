// kvasir-eval perplexity: how well a KV format keeps the model's predictions on a text.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cmath>
#include <iostream>

#include "daemon/kvasir_eval/session.hpp"

namespace kvasir::eval {
namespace {

/// Log-probabilities of every scored position of one context, [position][vocab] as f32, freed after use.
using Rows = std::vector<std::vector<float>>;

/// Natural-log softmax in double precision.
std::vector<float> log_softmax(std::span<const float> logits) {
    const double most = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit - most);
    const double log_sum = most + std::log(sum);
    std::vector<float> out(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) out[i] = static_cast<float>(logits[i] - log_sum);
    return out;
}

/// Rows of positions first .. tokens.size() - 2: each predicts the token after it.
Result<Rows> score_context(Session& session, std::span<const TokenId> tokens, std::uint32_t first) {
    KVASIR_TRY(SequenceState sequence, session.begin(tokens, static_cast<std::uint32_t>(tokens.size()), KvCache::Lookup::refused));
    Rows rows;
    while (sequence.n_pending() > 0) {
        const std::uint32_t begin = sequence.n_computed();
        std::uint32_t n = std::min(sequence.n_pending(), session.model().limits().max_tokens);
        if (begin + n > first) n = std::min(n, std::max(first, begin) - begin + session.model().limits().max_logit_rows);
        std::vector<std::uint32_t> wanted;
        for (std::uint32_t i = 0; i < n; ++i) {
            if (begin + i >= first && begin + i + 1 < tokens.size()) wanted.push_back(i);
        }
        KVASIR_TRY(const SequenceStep step, sequence.prepare(n, wanted));
        KVASIR_TRY_VOID(session.model().step({&step, 1}));
        if (!session.model().is_finite(0)) return Error{ErrorCode::corrupt, fmt::format("a KV page near position {} holds a NaN or an infinity", begin)};
        for (std::size_t i = 0; i < wanted.size(); ++i) rows.push_back(log_softmax(session.model().logits(i)));
        sequence.complete(0);
    }
    return rows;
}

/// What is summed over all scored positions.
struct Totals {
    double nll = 0;
    double nll_reference = 0;
    std::vector<double> kld;
    std::size_t n_same_top = 0;
};

void compare(const std::vector<float>& row, const std::vector<float>& reference, TokenId next, Totals& totals) {
    totals.nll -= row[next];
    totals.nll_reference -= reference[next];
    double kld = 0;
    for (std::size_t i = 0; i < row.size(); ++i) kld += std::exp(double{reference[i]}) * (double{reference[i]} - double{row[i]});
    totals.kld.push_back(kld);
    totals.n_same_top += argmax(row) == argmax(reference) ? 1 : 0;
}

boost::json::object summary(Totals totals, const Model& model) {
    const auto n = static_cast<double>(totals.kld.size());
    double sum = 0;
    for (const double kld : totals.kld) sum += kld;
    std::sort(totals.kld.begin(), totals.kld.end());
    const gpu::KvShape& kv = model.kv().shape();
    const double elements = 2.0 * kv.n_kv_heads * kv.head_dim * shared::kPageTokens * static_cast<double>(kv.layers.size());
    return {{"tokens", totals.kld.size()},
            {"ppl", std::exp(totals.nll / n)},
            {"ppl_reference", std::exp(totals.nll_reference / n)},
            {"kld_mean", sum / n},
            {"kld_p99", totals.kld[static_cast<std::size_t>(0.99 * (n - 1))]},
            {"same_top", static_cast<double>(totals.n_same_top) / n},
            {"bits_per_element", static_cast<double>(kv.page_bytes()) * 8 / elements}};
}

void print_table(const boost::json::object& result, const std::string& kv, const std::string& reference) {
    const auto number = [&](const char* key) { return result.at(key).to_number<double>(); };
    fmt::print(stderr, "\n{:<24}{}\n{:<24}{}\n", "KV format", kv, "reference", reference);
    fmt::print(stderr, "{:<24}{}\n", "tokens scored", result.at("tokens").to_number<std::uint64_t>());
    fmt::print(stderr, "{:<24}{:.4f}  (reference {:.4f})\n", "perplexity", number("ppl"), number("ppl_reference"));
    fmt::print(stderr, "{:<24}{:.7f}  (99th percentile {:.7f})\n", "KL divergence, mean", number("kld_mean"), number("kld_p99"));
    fmt::print(stderr, "{:<24}{:.3f} %\n", "same most likely token", 100 * number("same_top"));
    fmt::print(stderr, "{:<24}{:.3f}\n", "bits an element", number("bits_per_element"));
}

}  // namespace

Result<> run_perplexity(const Arguments& arguments) {
    auto known = common_options();
    known.add_options()("text", options::value<std::string>()->required(), "text file")(
        "context", options::value<std::uint32_t>()->default_value(512), "tokens a context; the second half of each is scored")(
        "contexts", options::value<std::uint32_t>()->default_value(0), "score only the first N contexts; 0: all")(
        "reference", options::value<std::string>()->default_value("f16"), "KV format to compare with");
    KVASIR_TRY(const auto given, parse(known, arguments));
    KVASIR_TRY(const std::string text, read_text_file(given["text"].as<std::string>()));
    const auto context = given["context"].as<std::uint32_t>();
    if (context < 4) return Error{ErrorCode::invalid_argument, fmt::format("--context {}: expected at least 4", context)};
    const auto reference_kv = given["reference"].as<std::string>();
    Session::Needs needs{.context = context, .max_sequences = 1, .step_tokens = 128, .max_logit_rows = 128, .kv = {}};
    KVASIR_TRY(const auto session, Session::open(given, needs));
    needs.kv = reference_kv;
    KVASIR_TRY(const auto reference, Session::open(given, needs));
    if (session->model().context_length() < context) {
        return Error{ErrorCode::invalid_argument, fmt::format("--context {}: the model's is {}", context, session->model().context_length())};
    }
    if (session->model().tokenizer() == nullptr) return Error{ErrorCode::unsupported, "the model file has no tokenizer"};
    const auto tokens = session->model().tokenizer()->encode(text, Tokenizer::Special::ignore);
    std::size_t n_contexts = tokens.size() / context;
    if (const auto most = given["contexts"].as<std::uint32_t>(); most > 0) n_contexts = std::min<std::size_t>(n_contexts, most);
    if (n_contexts == 0) {
        return Error{ErrorCode::invalid_argument, fmt::format("the text has {} tokens, one context takes {}", tokens.size(), context)};
    }
    Totals totals;
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < n_contexts; ++i) {
        const auto part = std::span(tokens).subspan(i * context, context);
        KVASIR_TRY(const Rows rows, score_context(*session, part, context / 2));
        KVASIR_TRY(const Rows expected, score_context(*reference, part, context / 2));
        for (std::size_t k = 0; k < rows.size(); ++k) compare(rows[k], expected[k], part[context / 2 + k + 1], totals);
        const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        fmt::print(stderr, "\rcontext {} of {}, {:.0f} s left   ", i + 1, n_contexts,
                   elapsed / static_cast<double>(i + 1) * static_cast<double>(n_contexts - i - 1));
    }
    const auto result = summary(std::move(totals), session->model());
    print_table(result, to_string(session->model().kv().shape().layers[0]), reference_kv);
    std::cout << boost::json::serialize(result) << "\n";
    return {};
}

}  // namespace kvasir::eval
