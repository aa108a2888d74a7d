#include "daemon/engine/sampler.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "config/base/check.hpp"

namespace kvasir {
namespace {

using Candidate = std::pair<TokenId, float>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool is_better(const Candidate& a, const Candidate& b) {
    return a.second > b.second || (a.second == b.second && a.first < b.first);
}

/// The index of the largest value, the lowest among equals. NaN and +inf are refused here, in the
/// pass that every draw makes, so that no later comparison meets one.
Result<TokenId> find_best(std::span<const float> values) {
    float best = -kInfinity;
    std::size_t best_index = values.size();
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (values[i] > best) {
            best = values[i];
            best_index = i;
        } else if (std::isnan(values[i])) {
            return Error{ErrorCode::corrupt, "logits: NaN for token " + std::to_string(i)};
        }
    }
    if (best == kInfinity) {
        return Error{ErrorCode::corrupt, "logits: +inf for token " + std::to_string(best_index)};
    }
    if (best_index == values.size()) {
        return Error{ErrorCode::corrupt, "logits: -inf for all " + std::to_string(values.size()) +
                                             " tokens, expected one that can be drawn"};
    }
    return static_cast<TokenId>(best_index);
}

/// The k best entries above -inf, unordered. The buffer is cut back to k whenever it holds 2 k, and
/// what cannot be among the best any more is not entered: linear in values, whatever their order.
void select_best(std::span<const float> values, std::size_t k, std::vector<Candidate>& out) {
    out.clear();
    if (k == 0) return;
    const auto cut = [&out, k] {
        std::nth_element(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(k - 1), out.end(),
                         is_better);
        out.resize(k);
    };
    const std::size_t limit = k > values.size() / 2 ? values.size() : 2 * k;
    float threshold = -kInfinity;
    for (std::size_t i = 0; i < values.size(); ++i) {
        // Ids ascend, so an equal value is never better than the one that set the threshold.
        if (!(values[i] > threshold)) continue;
        out.emplace_back(static_cast<TokenId>(i), values[i]);
        if (out.size() == limit && limit > k) {
            cut();
            threshold = out[k - 1].second;
        }
    }
    if (out.size() > k) cut();
}

double log_sum_exp(std::span<const float> logits) {
    float best = -kInfinity;
    for (const float logit : logits) best = std::max(best, logit);
    if (best == -kInfinity) return -std::numeric_limits<double>::infinity();
    double sum = 0;
    for (const float logit : logits) sum += static_cast<double>(std::exp(logit - best));
    return static_cast<double>(best) + std::log(sum);
}

std::uint64_t mix(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

}  // namespace

double random_unit(std::uint64_t seed, std::uint32_t choice, std::uint32_t position) {
    const std::uint64_t bits = mix(mix(mix(seed) ^ choice) ^ position);
    return static_cast<double>(bits >> 11) * 0x1p-53;
}

float logprob(std::span<const float> logits, TokenId id) {
    KVASIR_CHECK(id < logits.size(), "logprob asks for a token of the vocabulary");
    if (logits[id] == -kInfinity) return -kInfinity;
    return static_cast<float>(static_cast<double>(logits[id]) - log_sum_exp(logits));
}

void top_logprobs(std::span<const float> logits, std::uint32_t n,
                  std::vector<std::pair<TokenId, float>>& out) {
    select_best(logits, std::min<std::size_t>(n, logits.size()), out);
    std::sort(out.begin(), out.end(), is_better);
    const double normalizer = log_sum_exp(logits);
    for (Candidate& entry : out) {
        entry.second = static_cast<float>(static_cast<double>(entry.second) - normalizer);
    }
}

Sampler::Sampler(const SamplingOptions& options, std::uint32_t n_vocab, std::uint64_t seed)
    : options_(options), seed_(seed), n_vocab_(n_vocab) {
    KVASIR_CHECK(n_vocab > 0, "a sampler has a vocabulary");
    for (const auto& [id, bias] : options_.logit_bias) {
        KVASIR_CHECK(id < n_vocab, "logit_bias names tokens of the vocabulary");
    }
    if (changes_logits()) adjusted_.resize(n_vocab);
    if (has_penalties()) {
        n_generated_.resize(n_vocab);
        is_seen_.resize(n_vocab);
        seen_.reserve(n_vocab);
    }
    if (options_.temperature > 0) {
        candidates_.reserve(n_vocab);
        if (options_.top_p < 1) crossing_.reserve(n_vocab);
    }
}

bool Sampler::has_penalties() const {
    return options_.repetition_penalty != 1 || options_.frequency_penalty != 0 ||
           options_.presence_penalty != 0;
}

bool Sampler::changes_logits() const {
    return has_penalties() || !options_.logit_bias.empty();
}

void Sampler::accept_prompt(std::span<const TokenId> ids) {
    for (const TokenId id : ids) {
        KVASIR_CHECK(id < n_vocab_, "accepted tokens are of the vocabulary");
        if (!has_penalties() || is_seen_[id] != 0) continue;
        is_seen_[id] = 1;
        seen_.push_back(id);
    }
}

void Sampler::accept(TokenId id) {
    accept_prompt(std::span(&id, 1));
    if (has_penalties()) ++n_generated_[id];
}

/// The logits after bias and penalties; the given ones where neither is on.
std::span<const float> Sampler::adjust(std::span<const float> logits) {
    if (!changes_logits()) return logits;
    std::copy(logits.begin(), logits.end(), adjusted_.begin());
    for (const auto& [id, bias] : options_.logit_bias) adjusted_[id] += bias;
    for (const TokenId id : seen_) {
        float& logit = adjusted_[id];
        logit =
            logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
        if (n_generated_[id] == 0) continue;
        logit -= static_cast<float>(n_generated_[id]) * options_.frequency_penalty +
                 options_.presence_penalty;
    }
    return adjusted_;
}

/// Keeps the smallest set of best candidates whose mass reaches top_p of total, at least one. Only
/// the bucket in which the mass is reached is sorted, so 150,000 candidates cost a pass, not a
/// sort.
void Sampler::cut_top_p(double total) {
    const double target = static_cast<double>(options_.top_p) * total;
    const auto bucket_of = [](float weight) {
        return static_cast<std::size_t>(std::bit_cast<std::uint32_t>(weight) >> kBucketShift);
    };
    bucket_mass_.fill(0);
    for (const auto& [id, weight] : candidates_) {
        bucket_mass_[bucket_of(weight)] += static_cast<double>(weight);
    }
    double mass = 0;
    std::size_t bucket = kBuckets - 1;  // never empty: the best candidate weighs 1
    while (mass + bucket_mass_[bucket] < target && bucket > 0) mass += bucket_mass_[bucket--];

    crossing_.clear();
    for (const Candidate& candidate : candidates_) {
        if (bucket_of(candidate.second) == bucket) crossing_.push_back(candidate);
    }
    if (crossing_.empty()) return;  // rounding: the buckets together missed the target by a hair
    std::sort(crossing_.begin(), crossing_.end(), is_better);
    std::size_t n_kept = 0;
    do {
        mass += static_cast<double>(crossing_[n_kept++].second);
    } while (mass < target && n_kept < crossing_.size());
    const Candidate worst = crossing_[n_kept - 1];
    std::erase_if(candidates_, [&worst](const Candidate& c) { return is_better(worst, c); });
}

Result<TokenId> Sampler::sample(std::span<const float> logits, std::uint32_t position) {
    KVASIR_CHECK(logits.size() == n_vocab_, "one logit for each token of the vocabulary");
    const std::span<const float> values = adjust(logits);
    KVASIR_TRY(const TokenId best, find_best(values));
    if (!(options_.temperature > 0) || options_.top_k == 1) return best;

    if (options_.top_k > 0 && options_.top_k < n_vocab_) {
        select_best(values, options_.top_k, candidates_);
        std::sort(candidates_.begin(), candidates_.end());  // by id: sums have one order
    } else {
        candidates_.clear();
        for (TokenId id = 0; id < n_vocab_; ++id) candidates_.emplace_back(id, values[id]);
    }
    double total = 0;
    for (auto& [id, value] : candidates_) {
        // Divided, not multiplied by a reciprocal: at a tiny temperature that is inf, and 0 x inf.
        value = std::exp((value - values[best]) / options_.temperature);
        total += static_cast<double>(value);
    }
    if (options_.top_p < 1) cut_top_p(total);

    const float min_weight = std::min(options_.min_p, 1.0F);  // the best one weighs 1
    double kept = 0;
    for (const auto& [id, weight] : candidates_) {
        if (weight >= min_weight) kept += static_cast<double>(weight);
    }
    const double target = random_unit(seed_, options_.choice, position) * kept;
    double sum = 0;
    for (const auto& [id, weight] : candidates_) {
        if (weight < min_weight) continue;
        sum += static_cast<double>(weight);
        if (sum > target) return id;
    }
    return best;  // unreachable while target < kept; rounding of the product could make them equal
}

}  // namespace kvasir
