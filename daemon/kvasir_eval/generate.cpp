// kvasir-eval generate: greedy continuation of a token sequence.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "daemon/kvasir_eval/session.hpp"

namespace kvasir::eval {

Result<> run_generate(const Arguments& arguments) {
    auto known = common_options();
    known.add_options()("tokens", options::value<std::string>()->required(),
                        "JSON file of token ids")(
        "n,n", options::value<std::uint32_t>()->default_value(24), "tokens to generate");
    KVASIR_TRY(const auto given, parse(known, arguments));
    KVASIR_TRY(const auto tokens, read_tokens(given["tokens"].as<std::string>()));
    const auto n = given["n"].as<std::uint32_t>();
    KVASIR_TRY(const auto session, Session::open(given, {}));
    KVASIR_TRY(SequenceState sequence,
               session->begin(tokens, static_cast<std::uint32_t>(tokens.size()) + n));
    std::vector<TokenId> generated;
    while (generated.size() < n) {
        const std::uint32_t m =
            std::min(sequence.n_pending(), session->model().limits().max_tokens);
        const bool is_last = m == sequence.n_pending();
        KVASIR_TRY(
            const SequenceStep step,
            sequence.prepare(m, is_last ? std::vector{m - 1} : std::vector<std::uint32_t>{}));
        KVASIR_TRY_VOID(session->model().step({&step, 1}));
        if (!session->model().is_finite(0))
            return Error{ErrorCode::corrupt, "a KV page holds a NaN or an infinity"};
        sequence.complete(0);
        if (!is_last) continue;
        generated.push_back(argmax(session->model().logits(0)));
        sequence.push_token(generated.back());
    }
    fmt::print("[{}]\n", fmt::join(generated, ", "));
    return {};
}

}  // namespace kvasir::eval
