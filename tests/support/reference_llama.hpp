// ReferenceLlama: the forward pass of a TinyModel in double precision, plain loops, no cache: an
// oracle for logits.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/base/types.hpp"
#include "tests/support/tiny_model.hpp"

namespace kvasir::test {

struct ReferenceRope {
    std::uint32_t n_rot = 0;  // 0: the whole head
    double base = 10000;
    double stretch = 1;           // linear scaling
    std::vector<double> factors;  // (n_rot / 2), or none
    bool interleaved = true;      // pairs (2 i, 2 i + 1), else (i, i + n_rot / 2)
};

class ReferenceLlama {
public:
    ReferenceLlama(TinyModel& model, const TinyShape& shape, const ReferenceRope& rope)
        : model_(model), s_(shape), rope_(rope) {
        if (rope_.n_rot == 0) rope_.n_rot = shape.head_dim;
    }

    /// (n_tokens, n_vocab) logits.
    std::vector<std::vector<double>> logits(std::span<const TokenId> tokens) {
        std::vector<Row> x;
        const Row& embedding = matrix("token_embd.weight");
        for (const TokenId token : tokens) {
            const auto first = embedding.begin() + static_cast<std::ptrdiff_t>(token) * s_.dim;
            x.emplace_back(first, first + s_.dim);
        }
        for (std::uint32_t layer = 0; layer < s_.n_layers; ++layer) {
            const std::string blk = "blk." + std::to_string(layer) + ".";
            attend(blk, x);
            for (Row& row : x) feed_forward(blk, row);
        }
        for (Row& row : x) row = times("output.weight", normed(row, "output_norm.weight"));
        return x;
    }

private:
    using Row = std::vector<double>;

    Row matrix(const std::string& name) {
        const auto& values = model_.tensor(name).values;
        return {values.begin(), values.end()};
    }
    Row times(const std::string& name, const Row& x) {
        const auto& w = model_.tensor(name).values;
        Row y(w.size() / x.size());
        for (std::size_t r = 0; r < y.size(); ++r)
            for (std::size_t c = 0; c < x.size(); ++c) y[r] += double{w[r * x.size() + c]} * x[c];
        return y;
    }
    Row plus(Row y, const std::string& bias) {
        for (const TinyTensor& t : model_.tensors) {
            if (t.name != bias) continue;
            for (std::size_t i = 0; i < y.size(); ++i) y[i] += double{t.values[i]};
        }
        return y;
    }
    Row normed(const Row& x, const std::string& name) {
        double squares = 0;
        for (const double value : x) squares += value * value;
        const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + double{1e-5F});
        Row y = matrix(name);
        for (std::size_t i = 0; i < y.size(); ++i) y[i] *= x[i] * scale;
        return y;
    }
    void rotate(Row& heads, std::size_t position) const {
        for (std::size_t head = 0; head < heads.size(); head += s_.head_dim) {
            for (std::uint32_t i = 0; i < rope_.n_rot / 2; ++i) {
                const double factor = rope_.factors.empty() ? 1 : rope_.factors[i];
                const double angle = static_cast<double>(position) *
                                     std::pow(rope_.base, -2.0 * i / rope_.n_rot) / factor /
                                     rope_.stretch;
                const std::size_t a = head + (rope_.interleaved ? 2 * i : i);
                const std::size_t b = rope_.interleaved ? a + 1 : a + rope_.n_rot / 2;
                const double x = heads[a];
                const double y = heads[b];
                heads[a] = x * std::cos(angle) - y * std::sin(angle);
                heads[b] = x * std::sin(angle) + y * std::cos(angle);
            }
        }
    }
    void attend(const std::string& blk, std::vector<Row>& x) {
        std::vector<Row> keys;
        std::vector<Row> values;
        for (std::size_t t = 0; t < x.size(); ++t) {
            const Row h = normed(x[t], blk + "attn_norm.weight");
            Row q = plus(times(blk + "attn_q.weight", h), blk + "attn_q.bias");
            keys.push_back(plus(times(blk + "attn_k.weight", h), blk + "attn_k.bias"));
            values.push_back(plus(times(blk + "attn_v.weight", h), blk + "attn_v.bias"));
            rotate(q, t);
            rotate(keys.back(), t);
            Row out(q.size());
            for (std::uint32_t head = 0; head < s_.n_heads; ++head)
                attend_head(q, keys, values, head, out);
            const Row y = times(blk + "attn_output.weight", out);
            for (std::size_t i = 0; i < y.size(); ++i) x[t][i] += y[i];
        }
    }
    void attend_head(const Row& q, const std::vector<Row>& keys, const std::vector<Row>& values,
                     std::uint32_t head, Row& out) const {
        const std::size_t at = std::size_t{head} * s_.head_dim;
        const std::size_t kv_at = std::size_t{head} / (s_.n_heads / s_.n_kv_heads) * s_.head_dim;
        Row weights;
        double sum = 0;
        for (const Row& key : keys) {
            double dot = 0;
            for (std::uint32_t c = 0; c < s_.head_dim; ++c) dot += q[at + c] * key[kv_at + c];
            weights.push_back(std::exp(dot / std::sqrt(static_cast<double>(s_.head_dim))));
            sum += weights.back();
        }
        for (std::size_t j = 0; j < values.size(); ++j)
            for (std::uint32_t c = 0; c < s_.head_dim; ++c)
                out[at + c] += weights[j] / sum * values[j][kv_at + c];
    }
    void feed_forward(const std::string& blk, Row& x) {
        const Row h = normed(x, blk + "ffn_norm.weight");
        Row gate = times(blk + "ffn_gate.weight", h);
        const Row up = times(blk + "ffn_up.weight", h);
        for (std::size_t i = 0; i < gate.size(); ++i)
            gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
        const Row y = times(blk + "ffn_down.weight", gate);
        for (std::size_t i = 0; i < y.size(); ++i) x[i] += y[i];
    }

    TinyModel& model_;
    TinyShape s_;
    ReferenceRope rope_;
};

}  // namespace kvasir::test
