// StatePool: a sequence's hidden states on their way into one vector.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/base/error.hpp"
#include "daemon/engine/generation.hpp"

namespace kvasir {

/// Adds up token by token, in order, in double precision: the same vector however the tokens are
/// cut into steps.
class StatePool {
public:
    StatePool(Pooling pooling, std::uint32_t dim) : pooling_(pooling), sum_(dim) {}

    /// Of how many of a step's last tokens the states are wanted.
    std::uint32_t n_wanted(std::uint32_t n_tokens, bool is_last_step) const {
        if (pooling_ == Pooling::mean) return n_tokens;
        return is_last_step ? 1 : 0;
    }
    /// The next wanted token's. state: (dim).
    void add(std::span<const float> state) {
        for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += double{state[i]};
        ++n_;
    }
    /// (dim). REQUIRES: add was called. Errors: corrupt (not finite).
    Result<std::vector<float>> take() const;

private:
    Pooling pooling_;
    std::vector<double> sum_;
    std::uint64_t n_ = 0;
};

}  // namespace kvasir
