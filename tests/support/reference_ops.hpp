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

/// (x - mean) / sqrt(variance + eps) * norm + bias; norm: (2, n): weights, biases.
inline std::vector<double> layer_norm(std::span<const float> x, std::span<const float> norm,
                                      double eps) {
    const auto n = static_cast<double>(x.size());
    double mean = 0;
    for (const float value : x) mean += value / n;
    double variance = 0;
    for (const float value : x) variance += (value - mean) * (value - mean) / n;
    std::vector<double> out;
    for (std::size_t i = 0; i < x.size(); ++i)
        out.push_back((x[i] - mean) / std::sqrt(variance + eps) * norm[i] + norm[x.size() + i]);
    return out;
}

inline double silu(double x) {
    return x / (1 + std::exp(-x));
}

/// x Phi(x) by its tanh form.
inline double gelu(double x) {
    return x / 2 * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

inline double gelu_exact(double x) {
    return x / 2 * std::erfc(-x * 0.7071067811865476);
}

/// An activation that is nowhere steeper than 1.2, and worth a few roundings of its own.
inline Sum activate(double (*activation)(double), const Sum& x) {
    const double value = activation(x.value);
    return {value, 1.2 * x.magnitude + 4 * std::abs(value)};
}

/// activation(gate) * up.
inline Sum gate_mul(double (*activation)(double), const Sum& gate, const Sum& up) {
    const Sum activated = activate(activation, gate);
    const double value = activated.value * up.value;
    return {value, activated.magnitude * std::abs(up.value) +
                       std::abs(activated.value) * up.magnitude + 4 * std::abs(value)};
}

/// What a query may see, and how its scores are bounded.
struct Reach {
    std::size_t window = 0;         // the last tokens; 0: all
    std::size_t n_sinks = 0;        // with a window: and so many of the first,
    std::span<const float> sink_q;  // which are read with this query
    double cap = 0;                 // a score becomes cap tanh(score / cap); 0: stays
};

/// softmax(scale * q . keys) values over n tokens, of which the query is the last. q: (head_dim);
/// keys, values: (n, head_dim).
inline std::vector<double> attend(std::span<const float> q, std::span<const float> keys,
                                  std::span<const float> values, double scale,
                                  const Reach& reach = {}) {
    const std::size_t head_dim = q.size();
    const std::size_t n = keys.size() / head_dim;
    std::vector<double> weights(n, 0);
    std::vector<bool> seen(n, true);
    double largest = -INFINITY;
    for (std::size_t j = 0; j < n; ++j) {
        const bool is_sink = reach.window > 0 && j < reach.n_sinks;
        seen[j] = is_sink || reach.window == 0 || n - 1 - j < reach.window;
        if (!seen[j]) continue;
        for (std::size_t c = 0; c < head_dim; ++c)
            weights[j] +=
                static_cast<double>((is_sink ? reach.sink_q : q)[c]) * keys[j * head_dim + c];
        weights[j] *= scale;
        if (reach.cap > 0) weights[j] = reach.cap * std::tanh(weights[j] / reach.cap);
        largest = std::max(largest, weights[j]);
    }
    double sum = 0;
    for (std::size_t j = 0; j < n; ++j) {
        weights[j] = seen[j] ? std::exp(weights[j] - largest) : 0;
        sum += weights[j];
    }
    std::vector<double> out(head_dim, 0);
    for (std::size_t j = 0; j < n; ++j)
        for (std::size_t c = 0; c < head_dim; ++c)
            out[c] += weights[j] / sum * values[j * head_dim + c];
    return out;
}

}  // namespace kvasir::reference
