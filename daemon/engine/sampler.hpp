// Sampler: logits in, the next token out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "config/base/error.hpp"
#include "config/base/types.hpp"
#include "daemon/engine/generation.hpp"

namespace kvasir {

/// Draws the tokens of one choice of one request. Not thread-safe. Allocates when constructed only:
/// a step allocates nothing.
///
/// Order, as users of other servers expect it:
///   1. logit_bias            added to the raw logits
///   2. repetition_penalty    positive logits divided, others multiplied, once for each distinct
///                            token of prompt and generated text (CTRL, arXiv:1909.05858, 4.1)
///   3. frequency, presence   subtracted, for generated tokens only (OpenAI's definition)
///   4. temperature           before the cuts, so that top_p and min_p see the drawn distribution
///   5. top_k, top_p, min_p   top_p counts mass within the top_k; min_p is relative to the best
/// and then the draw. Of equal logits the lower id counts as the better one.
class Sampler {
public:
    /// REQUIRES: n_vocab > 0; the ids of logit_bias < n_vocab. options.seed is not read: the engine
    /// has already replaced an absent one.
    Sampler(const SamplingOptions& options, std::uint32_t n_vocab, std::uint64_t seed);

    /// Tokens of the prompt: they count for the repetition penalty. REQUIRES: ids < n_vocab.
    void accept_prompt(std::span<const TokenId> ids);
    /// A generated token: it counts for every penalty. REQUIRES: id < n_vocab.
    void accept(TokenId id);

    /// logits: n_vocab entries; -inf means never. position: the index in its sequence of the token
    /// to be drawn. The randomness is random_unit(seed, choice, position), so a seed gives the same
    /// text again whatever the batch. Greedy without bias and penalties is one pass.
    /// Errors: corrupt (a NaN, a +inf, or no finite logit).
    Result<TokenId> sample(std::span<const float> logits, std::uint32_t position);

private:
    using Candidate = std::pair<TokenId, float>;  // id, and a logit or a weight

    // Weights lie in [0, 1]; a bucket is the exponent and the first three bits of the mantissa.
    static constexpr unsigned kBucketShift = 20;
    static constexpr std::size_t kBuckets = (0x3f800000U >> kBucketShift) + 1;

    bool changes_logits() const;
    bool has_penalties() const;
    std::span<const float> adjust(std::span<const float> logits);
    void cut_top_p(double total);

    SamplingOptions options_;
    std::uint64_t seed_ = 0;
    std::uint32_t n_vocab_ = 0;
    std::vector<float> adjusted_;             // (n_vocab), where bias or penalties are on
    std::vector<std::uint32_t> n_generated_;  // (n_vocab), where penalties are on
    std::vector<std::uint8_t> is_seen_;       // (n_vocab), where penalties are on
    std::vector<TokenId> seen_;               // the distinct accepted tokens
    std::vector<Candidate> candidates_;       // room for n_vocab, unless greedy
    std::vector<Candidate> crossing_;         // room for n_vocab, where top_p is on
    std::array<double, kBuckets> bucket_mass_{};
};

/// A number in [0, 1) with 53 random bits, a pure function: three rounds of splitmix64's finalizer,
/// one for each argument. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014; constants from variant 13 of Stafford's mixers.
double random_unit(std::uint64_t seed, std::uint32_t choice, std::uint32_t position);

/// Log-softmax of the raw logits at id; -inf where the logit is. REQUIRES: id < logits.size().
float logprob(std::span<const float> logits, TokenId id);

/// The n best tokens with their log-softmax, best first, lower id first among equals. out is
/// overwritten; it holds up to 2 n entries meanwhile. NaN entries are left out.
void top_logprobs(std::span<const float> logits, std::uint32_t n,
                  std::vector<std::pair<TokenId, float>>& out);

}  // namespace kvasir
