// From a CodedBlock to its values: the laws that several formats share. A run of elements has a
// factor of its own, and where it has a minimum, one for that.
#pragma once

#include <cstddef>
#include <span>

#include "config/base/half.hpp"
#include "quant/format.hpp"

namespace kvasir {

/// (scale * factor) * (code - offset)
inline void values_around(const CodedBlock& coded, std::size_t run_elements, int offset,
                          std::span<float> out) {
    const float d = f16_to_f32(coded.scale);
    for (std::size_t e = 0; e < out.size(); ++e) {
        const float scale = d * static_cast<float>(coded.factors[e / run_elements]);
        out[e] = scale * static_cast<float>(coded.codes[e] - offset);
    }
}

/// (scale * factor) * code - (minimum * its factor)
inline void values_less_minimums(const CodedBlock& coded, std::size_t run_elements,
                                 std::span<float> out) {
    const float d = f16_to_f32(coded.scale);
    const float dmin = f16_to_f32(coded.minimum);
    for (std::size_t e = 0; e < out.size(); ++e) {
        const float scale = d * static_cast<float>(coded.factors[e / run_elements]);
        const float minimum = dmin * static_cast<float>(coded.min_factors[e / run_elements]);
        out[e] = scale * static_cast<float>(coded.codes[e]) - minimum;
    }
}

/// scale * code + minimum
inline void values_above_minimum(const CodedBlock& coded, std::span<float> out) {
    const float scale = f16_to_f32(coded.scale);
    const float minimum = f16_to_f32(coded.minimum);
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = scale * static_cast<float>(coded.codes[i]) + minimum;
}

}  // namespace kvasir
