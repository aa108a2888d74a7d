#include "daemon/engine/state_pool.hpp"

#include <algorithm>
#include <cmath>

namespace kvasir {

Result<std::vector<float>> StatePool::take() const {
    std::vector<float> pooled(sum_.size());
    std::ranges::transform(sum_, pooled.begin(), [this](double sum) {
        return static_cast<float>(sum / static_cast<double>(n_));
    });
    if (std::ranges::all_of(pooled, [](float value) { return std::isfinite(value); }))
        return pooled;
    return Error{ErrorCode::corrupt,
                 "the model's hidden states are not finite numbers for this input"};
}

}  // namespace kvasir
