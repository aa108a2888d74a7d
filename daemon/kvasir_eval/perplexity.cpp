// kvasir-eval perplexity: how well a KV format keeps the model's predictions on a text.
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <fmt/format.h>
#include <iostream>

#include "daemon/engine/kv_quality.hpp"
#include "daemon/kvasir_eval/session.hpp"

namespace kvasir::eval {
namespace {

boost::json::object to_json(const KvQuality& quality, const Model& model) {
    return {{"tokens", quality.n_positions},
            {"ppl", quality.perplexity},
            {"ppl_reference", quality.perplexity_reference},
            {"kld_mean", quality.kld_mean},
            {"kld_p99", quality.kld_p99},
            {"same_top", quality.same_top},
            {"bits_per_element", kv_bits_per_element(model.kv().shape())}};
}

void print_table(const boost::json::object& result, const std::string& kv,
                 const std::string& reference) {
    const auto number = [&](const char* key) { return result.at(key).to_number<double>(); };
    fmt::print(stderr, "\n{:<24}{}\n{:<24}{}\n", "KV format", kv, "reference", reference);
    fmt::print(stderr, "{:<24}{}\n", "tokens scored",
               result.at("tokens").to_number<std::uint64_t>());
    fmt::print(stderr, "{:<24}{:.4f}  (reference {:.4f})\n", "perplexity", number("ppl"),
               number("ppl_reference"));
    fmt::print(stderr, "{:<24}{:.7f}  (99th percentile {:.7f})\n", "KL divergence, mean",
               number("kld_mean"), number("kld_p99"));
    fmt::print(stderr, "{:<24}{:.3f} %\n", "same most likely token", 100 * number("same_top"));
    fmt::print(stderr, "{:<24}{:.3f}\n", "bits an element", number("bits_per_element"));
}

}  // namespace

Result<> run_perplexity(const Arguments& arguments) {
    auto known = common_options();
    known.add_options()("text", options::value<std::string>()->required(), "text file")(
        "context", options::value<std::uint32_t>()->default_value(512),
        "tokens a context; the second half of each is scored")(
        "contexts", options::value<std::uint32_t>()->default_value(0),
        "score only the first N contexts; 0: all")(
        "reference", options::value<std::string>()->default_value("f16"),
        "KV format to compare with");
    KVASIR_TRY(const auto given, parse(known, arguments));
    KVASIR_TRY(const std::string text, read_text_file(given["text"].as<std::string>()));
    const auto context = given["context"].as<std::uint32_t>();
    if (context < 4)
        return Error{ErrorCode::invalid_argument,
                     fmt::format("--context {}: expected at least 4", context)};
    const auto reference_kv = given["reference"].as<std::string>();
    Session::Needs needs{.context = context,
                         .max_sequences = 1,
                         .step_tokens = 128,
                         .max_logit_rows = 128,
                         .kv = {}};
    KVASIR_TRY(const auto session, Session::open(given, needs));
    needs.kv = reference_kv;
    KVASIR_TRY(const auto reference, Session::open(given, needs));
    if (session->model().context_length() < context) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("--context {}: the model's is {}", context,
                                 session->model().context_length())};
    }
    if (session->model().tokenizer() == nullptr)
        return Error{ErrorCode::unsupported, "the model file has no tokenizer"};
    const auto tokens = session->model().tokenizer()->encode(text, Tokenizer::Special::ignore);
    std::size_t n_contexts = tokens.size() / context;
    if (const auto most = given["contexts"].as<std::uint32_t>(); most > 0)
        n_contexts = std::min<std::size_t>(n_contexts, most);
    if (n_contexts == 0) {
        return Error{
            ErrorCode::invalid_argument,
            fmt::format("the text has {} tokens, one context takes {}", tokens.size(), context)};
    }
    KvComparison comparison;
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < n_contexts; ++i) {
        const auto part = std::span(tokens).subspan(i * context, context);
        KVASIR_TRY(const auto rows, score_context(session->owner(), part, context / 2));
        KVASIR_TRY(const auto expected, score_context(reference->owner(), part, context / 2));
        for (std::size_t k = 0; k < rows->size(); ++k)
            comparison.add((*rows)[k], (*expected)[k], part[context / 2 + k + 1]);
        const double elapsed =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        fmt::print(stderr, "\rcontext {} of {}, {:.0f} s left   ", i + 1, n_contexts,
                   elapsed / static_cast<double>(i + 1) * static_cast<double>(n_contexts - i - 1));
    }
    const auto result = to_json(comparison.result(), session->model());
    print_table(result, to_string(session->model().kv().shape().layers[0]), reference_kv);
    std::cout << boost::json::serialize(result) << "\n";
    return {};
}

}  // namespace kvasir::eval
