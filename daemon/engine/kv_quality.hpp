// KvQuality: how far a KV format moves a model's predictions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/base/error.hpp"
#include "daemon/engine/sequence_state.hpp"
#include "daemon/model/model.hpp"

namespace kvasir {

/// Natural-log probabilities, one row a scored position, n_vocab each.
using LogProbRows = std::vector<std::vector<float>>;

/// Computes tokens from cold and keeps the rows of positions first .. tokens.size() - 2: each
/// predicts the token after it. nullopt: keep_going, asked after each step, said no. Errors: as a
/// step; corrupt (a page with a NaN).
using KeepGoing = std::function<bool(double fraction)>;
Result<std::optional<LogProbRows>> score_context(const SequenceState::Owner& owner,
                                                 std::span<const TokenId> tokens,
                                                 std::uint32_t first,
                                                 const KeepGoing& keep_going = {});

struct KvQuality {
    std::uint64_t n_positions = 0;
    double perplexity = 0;
    double perplexity_reference = 0;
    double kld_mean = 0;  // of the format from the reference, nats
    double kld_p99 = 0;
    double same_top = 0;  // fraction of positions with the same most likely token
};

/// Adds up positions of a format and of its reference.
class KvComparison {
public:
    void add(std::span<const float> row, std::span<const float> reference, TokenId next);
    /// REQUIRES: at least one position.
    KvQuality result() const;

private:
    double nll_ = 0;
    double nll_reference_ = 0;
    std::vector<double> kld_;
    std::uint64_t n_same_top_ = 0;
};

/// Bytes that all sealed pages' elements take, divided by the elements, x 8.
double kv_bits_per_element(const gpu::KvShape& shape);

}  // namespace kvasir
