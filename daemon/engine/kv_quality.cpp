#include "daemon/engine/kv_quality.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <fmt/format.h>

#include "config/base/log.hpp"
#include "daemon/engine/quality_text.hpp"

namespace kvasir {
namespace {

std::vector<float> log_softmax(std::span<const float> logits) {
    const double most = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit - most);
    const double log_sum = most + std::log(sum);
    std::vector<float> out(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i)
        out[i] = static_cast<float>(logits[i] - log_sum);
    return out;
}

std::size_t top_of(std::span<const float> row) {
    return static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

}  // namespace

Result<LogProbRows> score_context(const SequenceState::Owner& owner,
                                  std::span<const TokenId> tokens, std::uint32_t first) {
    Model& model = owner.model;
    KVASIR_TRY(
        SequenceState sequence,
        SequenceState::begin(owner, DomainId{0}, tokens, static_cast<std::uint32_t>(tokens.size()),
                             0, KvCache::Lookup::refused));
    LogProbRows rows;
    while (sequence.n_pending() > 0) {
        const std::uint32_t begin = sequence.n_computed();
        std::uint32_t n = std::min(sequence.n_pending(), model.limits().max_tokens);
        if (begin + n > first)
            n = std::min(n, std::max(first, begin) - begin + model.limits().max_logit_rows);
        std::vector<std::uint32_t> wanted;
        for (std::uint32_t i = 0; i < n; ++i) {
            if (begin + i >= first && begin + i + 1 < tokens.size()) wanted.push_back(i);
        }
        KVASIR_TRY(const SequenceStep step, sequence.prepare(n, wanted));
        KVASIR_TRY_VOID(model.step({&step, 1}));
        if (!model.is_finite(0))
            return Error{
                ErrorCode::corrupt,
                fmt::format("a KV page near position {} holds a NaN or an infinity", begin)};
        for (std::size_t i = 0; i < wanted.size(); ++i)
            rows.push_back(log_softmax(model.logits(i)));
        sequence.complete(0);
    }
    return rows;
}

void KvComparison::add(std::span<const float> row, std::span<const float> reference, TokenId next) {
    nll_ -= row[next];
    nll_reference_ -= reference[next];
    double kld = 0;
    for (std::size_t i = 0; i < row.size(); ++i)
        kld += std::exp(double{reference[i]}) * (double{reference[i]} - double{row[i]});
    kld_.push_back(kld);
    n_same_top_ += top_of(row) == top_of(reference) ? 1 : 0;
}

KvQuality KvComparison::result() const {
    std::vector<double> sorted = kld_;
    std::sort(sorted.begin(), sorted.end());
    const auto n = static_cast<double>(kld_.size());
    double sum = 0;
    for (const double kld : kld_) sum += kld;
    return {.n_positions = kld_.size(),
            .perplexity = std::exp(nll_ / n),
            .perplexity_reference = std::exp(nll_reference_ / n),
            .kld_mean = sum / n,
            .kld_p99 = sorted[static_cast<std::size_t>(0.99 * (n - 1))],
            .same_top = static_cast<double>(n_same_top_) / n};
}

bool is_good_enough(const KvQuality& quality) {
    return quality.kld_mean <= kAutoKldMean && quality.same_top >= kAutoSameTop;
}

double kv_bits_per_element(const gpu::KvShape& shape) {
    const double elements = 2.0 * shape.n_kv_heads * shape.head_dim * shared::kPageTokens *
                            static_cast<double>(shape.layers.size());
    return static_cast<double>(shape.page_bytes()) * 8 / elements;
}

Result<> choose_kv_formats(Model& model, ModelOptions& options, std::uint64_t limit_ms) {
    using Clock = std::chrono::steady_clock;
    const gpu::KvFormats f16{};
    const gpu::KvFormats int8{shared::kKvInt8, shared::kKvInt8};
    // Smallest first.
    const std::array candidates = {gpu::KvFormats{shared::kKvInt4, shared::kKvInt4},
                                   gpu::KvFormats{shared::kKvInt8, shared::kKvInt4}};
    const auto take = [&](const gpu::KvFormats& formats) {
        options.kv = formats;
        return model.change_kv(options);
    };
    if (model.tokenizer() == nullptr) return take(int8);
    std::vector<TokenId> tokens =
        model.tokenizer()->encode(kQualityText, Tokenizer::Special::ignore);
    // As many rows as 64 MiB hold, at most the second half of 512 tokens.
    constexpr std::size_t kRowBytes = 64U << 20U;
    tokens.resize(std::min<std::size_t>({tokens.size(), 512, model.context_length()}));
    const std::size_t n_rows =
        std::max<std::size_t>(8, kRowBytes / (std::size_t{model.shape().n_vocab} * sizeof(float)));
    const auto first =
        static_cast<std::uint32_t>(tokens.size() - std::min(tokens.size() / 2, n_rows));
    const auto score = [&](const gpu::KvFormats& formats) -> Result<LogProbRows> {
        KVASIR_TRY_VOID(take(formats));
        KvCache cache({.n_pages = model.n_pages(), .reuse = false});
        OpenSlots slots(model.n_open_slots());
        return score_context({model, cache, slots}, tokens, first);
    };
    if (tokens.size() < 64) return take(int8);
    const auto start = Clock::now();
    const auto elapsed_ms = [&] {
        return static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count());
    };
    KVASIR_TRY(const LogProbRows reference, score(f16));
    const std::uint64_t one_ms = elapsed_ms();
    for (const gpu::KvFormats& candidate : candidates) {
        if (elapsed_ms() + one_ms > limit_ms) {
            log_warn("kv format", {{"auto", "int8"},
                                   {"reason", "no time left to test smaller formats"},
                                   {"ms", elapsed_ms()}});
            return take(int8);
        }
        KVASIR_TRY(const LogProbRows rows, score(candidate));
        KvComparison comparison;
        for (std::size_t i = 0; i < rows.size(); ++i)
            comparison.add(rows[i], reference[i], tokens[first + i + 1]);
        const KvQuality quality = comparison.result();
        const bool taken = is_good_enough(quality);
        log_info("kv format", {{"auto", to_string(candidate)},
                               {"taken", taken},
                               {"kld_mean", quality.kld_mean},
                               {"kld_limit", kAutoKldMean},
                               {"same_top", quality.same_top},
                               {"same_top_limit", kAutoSameTop},
                               {"ms", elapsed_ms()}});
        if (taken) return {};
    }
    log_info("kv format", {{"auto", "int8"},
                           {"reason", "smaller formats change the model's predictions too much"},
                           {"ms", elapsed_ms()}});
    return take(int8);
}

}  // namespace kvasir
