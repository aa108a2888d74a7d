#include "daemon/engine/kv_quality.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

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

Result<std::optional<LogProbRows>> score_context(const SequenceState::Owner& owner,
                                                 std::span<const TokenId> tokens,
                                                 std::uint32_t first, const KeepGoing& keep_going) {
    Model& model = owner.model;
    KVASIR_TRY(
        SequenceState sequence,
        SequenceState::begin(owner, DomainId{0}, tokens, static_cast<std::uint32_t>(tokens.size()),
                             0, KvCache::Lookup::refused));
    // Wherever its first page begins, this many tokens fit the open pages.
    const std::uint32_t n_most =
        std::min(model.limits().max_tokens, (model.n_open_slots() - 1) * kTokensPerPage);
    LogProbRows rows;
    while (sequence.n_pending() > 0) {
        const std::uint32_t begin = sequence.n_computed();
        std::uint32_t n = std::min(sequence.n_pending(), n_most);
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
        if (keep_going &&
            !keep_going(static_cast<double>(begin + n) / static_cast<double>(tokens.size())))
            return std::optional<LogProbRows>();
    }
    return std::optional(std::move(rows));
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

double kv_bits_per_element(const gpu::KvShape& shape) {
    const double elements = 2.0 * shape.n_kv_heads * shape.head_dim * shared::kPageTokens *
                            static_cast<double>(shape.layers.size());
    return static_cast<double>(shape.page_bytes()) * 8 / elements;
}

}  // namespace kvasir
