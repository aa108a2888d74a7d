// The decoder's operations as plain loops in double precision: what the kernels are compared with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace kvasir::reference {

/// A sum, and the sum of its terms' magnitudes: what rounding errors are measured against.
struct Sum {
    double value = 0;
    double magnitude = 0;
    void add(double term) {
        value += term;
        magnitude += std::abs(term);
    }
};

inline Sum dot(std::span<const float> a, std::span<const double> b) {
    Sum sum;
    for (std::size_t i = 0; i < a.size(); ++i) sum.add(a[i] * b[i]);
    return sum;
}

/// x * norm / sqrt(mean(x^2) + eps)
inline std::vector<double> rms_norm(std::span<const float> x, std::span<const float> norm,
                                    double eps) {
    double squares = 0;
    for (const float value : x) squares += static_cast<double>(value) * value;
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
    std::vector<double> out;
    for (std::size_t i = 0; i < x.size(); ++i) out.push_back(x[i] * inverse * norm[i]);
    return out;
}

inline double silu(double x) {
    return x / (1 + std::exp(-x));
}

/// silu(gate) * up. silu is nowhere steeper than 1.1, and worth a few roundings of its own.
inline Sum silu_mul(const Sum& gate, const Sum& up) {
    const double activated = silu(gate.value);
    const double value = activated * up.value;
    return {value, 1.1 * gate.magnitude * std::abs(up.value) + std::abs(activated) * up.magnitude +
                       4 * std::abs(value)};
}

/// softmax(scale * q . keys) values over n tokens. q: (head_dim); keys, values: (n, head_dim).
inline std::vector<double> attend(std::span<const float> q, std::span<const float> keys,
                                  std::span<const float> values, double scale) {
    const std::size_t head_dim = q.size();
    const std::size_t n = keys.size() / head_dim;
    std::vector<double> weights(n, 0);
    double largest = -INFINITY;
    for (std::size_t j = 0; j < n; ++j) {
        for (std::size_t c = 0; c < head_dim; ++c)
            weights[j] += static_cast<double>(q[c]) * keys[j * head_dim + c];
        weights[j] *= scale;
        largest = std::max(largest, weights[j]);
    }
    double sum = 0;
    for (double& weight : weights) {
        weight = std::exp(weight - largest);
        sum += weight;
    }
    std::vector<double> out(head_dim, 0);
    for (std::size_t j = 0; j < n; ++j)
        for (std::size_t c = 0; c < head_dim; ++c)
            out[c] += weights[j] / sum * values[j * head_dim + c];
    return out;
}

}  // namespace kvasir::reference
