// kvasir-eval logits: the logits at listed positions, computed in the chunks, company and reuse
// asked for.
#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "daemon/kvasir_eval/session.hpp"

namespace kvasir::eval {
namespace {

struct Plan {
    std::vector<std::uint32_t> positions;  // ascending, each once
    std::uint32_t chunk = 0;
    std::uint32_t decode_from = UINT32_MAX;
};

/// Tokens of the next step: a chunk, ending where decoding begins; from there one at a time.
std::uint32_t next_step_tokens(const Plan& plan, std::uint32_t computed, std::uint32_t total) {
    if (computed >= plan.decode_from) return 1;
    return std::min({plan.chunk, total - computed, plan.decode_from - computed});
}

/// Computes the sequence to its end, the companions beside it step by step, and keeps the wanted
/// rows.
Result<> run(Session& session, SequenceState& sequence, std::vector<SequenceState>& companions,
             const Plan& plan, std::map<std::uint32_t, std::vector<float>>& rows) {
    const auto total = static_cast<std::uint32_t>(sequence.tokens().size());
    while (sequence.n_pending() > 0) {
        const std::uint32_t begin = sequence.n_computed();
        std::uint32_t n = next_step_tokens(plan, begin, total);
        std::vector<std::uint32_t> wanted;
        for (const std::uint32_t position : plan.positions) {
            if (position >= begin && position < begin + n) wanted.push_back(position - begin);
        }
        if (const auto most = session.model().limits().max_logit_rows; wanted.size() > most) {
            n = wanted[most];  // the rest in the next step: chunking cannot be seen in the logits
            wanted.resize(most);
        }
        std::vector<SequenceStep> steps;
        std::vector<SequenceState*> stepped;
        // Companions come first and in odd chunks, so that the sequence's rows move about in the
        // batch.
        std::uint32_t room = session.model().limits().max_tokens - n;
        for (std::size_t i = 0; i < companions.size(); ++i) {
            const std::uint32_t m =
                std::min({companions[i].n_pending(), static_cast<std::uint32_t>(3 + 10 * i), room});
            if (m == 0) continue;
            KVASIR_TRY(SequenceStep step, companions[i].prepare(m, {}));
            steps.push_back(step);
            stepped.push_back(&companions[i]);
            room -= m;
        }
        KVASIR_TRY(SequenceStep step, sequence.prepare(n, wanted));
        steps.push_back(step);
        stepped.push_back(&sequence);
        KVASIR_TRY_VOID(session.model().step(steps));
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            const auto row = session.model().logits(i);
            rows[begin + wanted[i]].assign(row.begin(), row.end());
        }
        for (std::size_t i = 0; i < steps.size(); ++i) {
            if (!session.model().is_finite(i))
                return Error{ErrorCode::corrupt, "a KV page holds a NaN or an infinity"};
        }
        for (SequenceState* state : stepped) state->complete(0);
    }
    return {};
}

}  // namespace

Result<> run_logits(const Arguments& arguments) {
    auto known = common_options();
    known.add_options()("tokens", options::value<std::string>()->required(),
                        "JSON file of token ids")(
        "positions", options::value<std::string>()->required(),
        "positions whose logits are written, e.g. 0,1,95")(
        "out", options::value<std::string>()->required(), "little-endian f32, [positions][vocab]")(
        "chunk", options::value<std::uint32_t>()->default_value(256), "prompt tokens a step")(
        "decode-from", options::value<std::uint32_t>(),
        "tokens from this position on are fed one at a time")(
        "reuse-from", options::value<std::string>(),
        "compute these tokens first, then reuse what can be reused")(
        "tier", options::value<std::string>()->default_value("device"),
        "where --reuse-from leaves its pages: device, host, or disk (the model is loaded anew)")(
        "state", options::value<std::string>(), "directory of --tier disk")(
        "batch-with", options::value<std::string>(),
        "files of sequences that run in the same steps");
    KVASIR_TRY(const auto given, parse(known, arguments));
    KVASIR_TRY(const auto tokens, read_tokens(given["tokens"].as<std::string>()));
    Plan plan{.positions = {}, .chunk = given["chunk"].as<std::uint32_t>()};
    KVASIR_TRY(const auto positions,
               parse_numbers(given["positions"].as<std::string>(), "positions"));
    if (given.count("decode-from") > 0) plan.decode_from = given["decode-from"].as<std::uint32_t>();
    if (plan.chunk == 0)
        return Error{ErrorCode::invalid_argument, "--chunk 0: expected at least 1"};
    for (const std::uint32_t position : positions) {
        if (position >= tokens.size()) {
            return Error{
                ErrorCode::invalid_argument,
                fmt::format("--positions {}: there are {} tokens", position, tokens.size())};
        }
    }
    const std::set<std::uint32_t> ascending(positions.begin(), positions.end());
    plan.positions.assign(ascending.begin(), ascending.end());
    std::vector<std::vector<TokenId>> company;
    if (given.count("batch-with") > 0) {
        std::stringstream names(given["batch-with"].as<std::string>());
        for (std::string name; std::getline(names, name, ',');) {
            KVASIR_TRY(auto other, read_tokens(name));
            company.push_back(std::move(other));
        }
    }
    const std::string tier = given["tier"].as<std::string>();
    if (tier != "device" && tier != "host" && tier != "disk") {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("--tier {}: expected device, host or disk", tier)};
    }
    if ((tier == "disk") != (given.count("state") > 0))
        return Error{ErrorCode::invalid_argument, "--tier disk and --state DIR go together"};
    const auto n_sequences = static_cast<std::uint32_t>(company.size() + 1);
    const Session::Needs needs{
        .context = 0,
        .max_sequences = n_sequences + 1,
        .step_tokens = std::min<std::uint32_t>(plan.chunk, 4096) + 64 * n_sequences,
        .max_logit_rows = std::min<std::uint32_t>(plan.chunk, 4096),
        .kv = {},
        .host_tier = tier == "host"};
    KVASIR_TRY(auto session, Session::open(given, needs));
    plan.chunk = std::min<std::uint32_t>({plan.chunk, 4096, session->model().limits().max_tokens});
    std::map<std::uint32_t, std::vector<float>> rows;
    if (given.count("reuse-from") > 0) {
        KVASIR_TRY(const auto earlier, read_tokens(given["reuse-from"].as<std::string>()));
        KVASIR_TRY(SequenceState sequence,
                   session->begin(earlier, static_cast<std::uint32_t>(earlier.size())));
        std::vector<SequenceState> nobody;
        KVASIR_TRY_VOID(run(*session, sequence, nobody,
                            {.positions = {}, .chunk = plan.chunk, .decode_from = plan.decode_from},
                            rows));
        sequence.release(0);
        if (tier == "host") session->cache().save_all();
        if (tier == "disk") {
            const std::string state = given["state"].as<std::string>();
            KVASIR_TRY_VOID(session->save(state, earlier));
            session.reset();  // the device and all it held
            KVASIR_TRY(session, Session::open(given, needs));
            KVASIR_TRY_VOID(session->restore(state));
        }
    }
    std::vector<SequenceState> companions;
    for (const auto& other : company) {
        KVASIR_TRY(SequenceState state,
                   session->begin(other, static_cast<std::uint32_t>(other.size()),
                                  KvCache::Lookup::refused));
        companions.push_back(std::move(state));
    }
    // A position inside the reused prefix has no logits any more: such a request takes no cached
    // prefix.
    const auto n_tokens = static_cast<std::uint32_t>(tokens.size());
    std::uint32_t n_cached = 0;
    {
        KVASIR_TRY(SequenceState sequence, session->begin(tokens, n_tokens));
        n_cached = sequence.n_cached();
        KVASIR_TRY_VOID(run(*session, sequence, companions, plan, rows));
    }
    std::vector<std::uint32_t> missing;
    for (const std::uint32_t position : plan.positions) {
        if (!rows.contains(position)) missing.push_back(position);
    }
    if (!missing.empty()) {
        KVASIR_TRY(SequenceState sequence,
                   session->begin(tokens, n_tokens, KvCache::Lookup::refused));
        std::vector<SequenceState> nobody;
        Plan rest = plan;
        rest.positions = missing;
        KVASIR_TRY_VOID(run(*session, sequence, nobody, rest, rows));
    }
    std::ofstream out(given["out"].as<std::string>(), std::ios::binary | std::ios::trunc);
    for (const std::uint32_t position : positions) {
        const auto& row = rows[position];
        out.write(reinterpret_cast<const char*>(row.data()),
                  static_cast<std::streamsize>(row.size() * sizeof(float)));
    }
    out.close();
    if (!out)
        return Error{ErrorCode::io,
                     fmt::format("{}: cannot be written", given["out"].as<std::string>())};
    if (session->model().device().n_validation_messages() > 0)
        return Error{ErrorCode::io, "the validation layer printed messages"};
    fmt::print("{{\"cached_tokens\": {}}}\n", n_cached);
    return {};
}

}  // namespace kvasir::eval
