// KvQuality: how far a KV format moves a model's predictions, and the choice of a format by it
// (`auto`).
#pragma once

#include <cstdint>
#include <functional>
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
/// predicts the token after it. Errors: as a step; corrupt (a page with a NaN).
Result<LogProbRows> score_context(const SequenceState::Owner& owner,
                                  std::span<const TokenId> tokens, std::uint32_t first);

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

/// Mean KL divergence and same-top that `auto` asks for.
inline constexpr double kAutoKldMean = 0.005;
inline constexpr double kAutoSameTop = 0.97;

/// True where a format keeps the model's predictions well enough for `auto`.
bool is_good_enough(const KvQuality& quality);

/// Bytes that all sealed pages' elements take, divided by the elements, x 8.
double kv_bits_per_element(const gpu::KvShape& shape);

/// The smallest candidate that is good enough on a built-in text, else int8; leaves the model with
/// it. Takes at most `limit_ms`, unless one prompt alone takes longer: then int8 untested. One log
/// line says what and why. options.kv is set to the choice. Errors: as Model::change_kv and steps.
Result<> choose_kv_formats(Model& model, ModelOptions& options, std::uint64_t limit_ms);

}  // namespace kvasir
