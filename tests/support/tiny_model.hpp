// TinyModel: a random-weight llama of any shape as GGUF bytes; keys and tensors may be changed or
// broken before writing.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "config/base/check.hpp"
#include "tests/support/gguf_builder.hpp"

namespace kvasir::test {

struct TinyShape {
    std::uint32_t n_layers = 2;
    std::uint32_t dim = 64;
    std::uint32_t ffn_dim = 96;
    std::uint32_t n_heads = 2;
    std::uint32_t n_kv_heads = 1;
    std::uint32_t head_dim = 32;
    std::uint32_t n_vocab = 96;
    std::uint32_t context = 512;
};

struct TinyTensor {
    std::string name;
    std::vector<std::uint64_t> shape;  // outermost first
    std::vector<float> values;
    std::uint32_t type = 0;               // GGUF type number as written; the data stay f32
    std::vector<std::byte> encoded = {};  // where there are any, written in the values' place

    std::span<const std::byte> data() const {
        return encoded.empty() ? std::as_bytes(std::span(values)) : std::span(encoded);
    }
};

class TinyModel {
public:
    using Value = std::variant<std::uint32_t, float, std::string>;

    explicit TinyModel(const TinyShape& shape = TinyShape{}, std::uint64_t seed = 1)
        : state_(seed * 2654435761U + 1) {
        keys = {{"general.architecture", std::string("llama")},
                {"general.name", std::string("tiny")},
                {"llama.context_length", shape.context},
                {"llama.embedding_length", shape.dim},
                {"llama.block_count", shape.n_layers},
                {"llama.feed_forward_length", shape.ffn_dim},
                {"llama.attention.head_count", shape.n_heads},
                {"llama.attention.head_count_kv", shape.n_kv_heads},
                {"llama.attention.key_length", shape.head_dim},
                {"llama.attention.value_length", shape.head_dim},
                {"llama.attention.layer_norm_rms_epsilon", 1e-5F},
                {"llama.rope.dimension_count", shape.head_dim},
                {"llama.rope.freq_base", 10000.0F}};
        const std::uint32_t q_dim = shape.n_heads * shape.head_dim;
        const std::uint32_t kv_dim = shape.n_kv_heads * shape.head_dim;
        add_matrix("token_embd.weight", shape.n_vocab, shape.dim);
        add_norm("output_norm.weight", shape.dim);
        add_matrix("output.weight", shape.n_vocab, shape.dim);
        for (std::uint32_t i = 0; i < shape.n_layers; ++i) {
            const std::string blk = "blk." + std::to_string(i) + ".";
            add_norm(blk + "attn_norm.weight", shape.dim);
            add_matrix(blk + "attn_q.weight", q_dim, shape.dim);
            add_matrix(blk + "attn_k.weight", kv_dim, shape.dim);
            add_matrix(blk + "attn_v.weight", kv_dim, shape.dim);
            add_matrix(blk + "attn_output.weight", shape.dim, q_dim);
            add_norm(blk + "ffn_norm.weight", shape.dim);
            add_matrix(blk + "ffn_gate.weight", shape.ffn_dim, shape.dim);
            add_matrix(blk + "ffn_up.weight", shape.ffn_dim, shape.dim);
            add_matrix(blk + "ffn_down.weight", shape.dim, shape.ffn_dim);
        }
    }

    std::vector<std::pair<std::string, Value>> keys;
    std::vector<TinyTensor> tensors;
    std::function<void(GgufBuilder&)> more_keys;  // e.g. a tokenizer's

    TinyModel& set(const std::string& key, Value value) {
        drop_key(key);
        keys.emplace_back(key, std::move(value));
        return *this;
    }
    TinyModel& drop_key(const std::string& key) {
        std::erase_if(keys, [&](const auto& entry) { return entry.first == key; });
        return *this;
    }
    TinyTensor& tensor(const std::string& name) {
        const auto found = std::find_if(tensors.begin(), tensors.end(),
                                        [&](const TinyTensor& t) { return t.name == name; });
        KVASIR_CHECK(found != tensors.end(), "the tiny model has the tensor");
        return *found;
    }
    TinyModel& drop_tensor(const std::string& name) {
        std::erase_if(tensors, [&](const TinyTensor& t) { return t.name == name; });
        return *this;
    }
    /// A tensor of another shape under the same name, of zeros.
    TinyModel& reshape(const std::string& name, const std::vector<std::uint64_t>& shape) {
        TinyTensor& changed = tensor(name);
        changed.shape = shape;
        const auto n =
            std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>());
        changed.values.assign(n, 0.0F);
        return *this;
    }

    std::vector<std::byte> file() const {
        constexpr std::size_t kAlignment = 32;
        const auto padded = [](std::size_t n) {
            return (n + kAlignment - 1) / kAlignment * kAlignment;
        };
        GgufBuilder builder;
        for (const auto& [key, value] : keys) {
            std::visit([&builder, name = key](const auto& v) { builder.key(name, v); }, value);
        }
        if (more_keys) more_keys(builder);
        std::size_t offset = 0;
        for (const TinyTensor& t : tensors) {
            builder.tensor(t.name, {t.shape.rbegin(), t.shape.rend()}, t.type, offset);
            offset += padded(t.data().size());
        }
        std::vector<std::byte> bytes = builder.header();
        bytes.resize(padded(bytes.size()));
        for (const TinyTensor& t : tensors) {
            const auto data = t.data();
            bytes.insert(bytes.end(), data.begin(), data.end());
            bytes.resize(padded(bytes.size()));
        }
        return bytes;
    }

private:
    /// Uniform in -1 .. 1, the same on every machine.
    float next() {
        state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
        return static_cast<float>(state_ >> 40U) / 8388608.0F - 1.0F;
    }
    void add_matrix(const std::string& name, std::uint32_t n_rows, std::uint32_t n_cols) {
        TinyTensor t{.name = name, .shape = {n_rows, n_cols}, .values = {}};
        const float scale = 1.7F / std::sqrt(static_cast<float>(n_cols));
        for (std::size_t i = 0; i < std::size_t{n_rows} * n_cols; ++i)
            t.values.push_back(scale * next());
        tensors.push_back(std::move(t));
    }
    void add_norm(const std::string& name, std::uint32_t n) {
        TinyTensor t{.name = name, .shape = {n}, .values = {}};
        for (std::uint32_t i = 0; i < n; ++i) t.values.push_back(1.0F + 0.2F * next());
        tensors.push_back(std::move(t));
    }

    std::uint64_t state_;
};

}  // namespace kvasir::test
