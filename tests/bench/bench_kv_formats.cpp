// What KV formats that Kvasir does not have would cost: a plain float forward pass of a llama or
// qwen2 file in F32, keys and values rounded as each candidate would. Not the engine's arithmetic,
// so read the rows against each other; `kvasir-eval perplexity` measures what there is.
//
//     bench_kv_formats MODEL-F32.gguf TEXT [contexts [context]]
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "config/base/half.hpp"
#include "daemon/model/tokenizer.hpp"
#include "quant/gguf.hpp"

namespace {

using namespace kvasir;
using Floats = std::vector<float>;

float to_f16(float x) {
    return f16_to_f32(f32_to_f16(x));
}

struct Layer {
    const float *attn_norm, *q, *k, *v, *o, *ffn_norm, *gate, *up, *down;
    const float *q_bias, *k_bias, *v_bias;  // or null
};

struct Model {
    std::size_t dim, n_heads, n_kv_heads, head_dim, ffn_dim, n_vocab;
    float eps, rope_base;
    bool neighbours;  // rotated pairs are neighbours, else halves
    const float *embedding, *output_norm, *output;
    std::vector<Layer> layers;
};

Model read_model(const GgufFile& file) {
    const std::string arch(file.get_string("general.architecture").value());
    const auto u32 = [&](const char* key) { return file.get_u32(arch + key).value(); };
    const auto data = [&](const std::string& name) -> const float* {
        const TensorInfo* tensor = file.find_tensor(name);
        return tensor == nullptr ? nullptr : reinterpret_cast<const float*>(tensor->data.data());
    };
    Model m{.dim = u32(".embedding_length"),
            .n_heads = u32(".attention.head_count"),
            .n_kv_heads = u32(".attention.head_count_kv"),
            .head_dim = 0,
            .ffn_dim = u32(".feed_forward_length"),
            .n_vocab = file.find_tensor("token_embd.weight")->shape[0],
            .eps = file.get_f32(arch + ".attention.layer_norm_rms_epsilon").value(),
            .rope_base = file.find_f32(arch + ".rope.freq_base").value().value_or(10000.0F),
            .neighbours = arch == "llama",
            .embedding = data("token_embd.weight"),
            .output_norm = data("output_norm.weight"),
            .output = data("output.weight"),
            .layers = {}};
    m.head_dim = m.dim / m.n_heads;
    if (m.output == nullptr) m.output = m.embedding;
    for (std::uint32_t i = 0; i < u32(".block_count"); ++i) {
        const auto part = [&](const char* name) {
            return data("blk." + std::to_string(i) + "." + name);
        };
        m.layers.push_back({part("attn_norm.weight"), part("attn_q.weight"), part("attn_k.weight"),
                            part("attn_v.weight"), part("attn_output.weight"),
                            part("ffn_norm.weight"), part("ffn_gate.weight"), part("ffn_up.weight"),
                            part("ffn_down.weight"), part("attn_q.bias"), part("attn_k.bias"),
                            part("attn_v.bias")});
    }
    return m;
}

// ---- candidates ----

struct Candidate {
    std::string name;
    int key_levels = 0, value_levels = 0;  // largest code; 0: f16
    std::size_t page = 32;
    bool clip = false;          // the range is shrunk where that makes the squared error smaller
    bool first_int8 = false;    // the first page of a sequence
    int scale_mantissa = 10;    // bits; fewer: a scale of 8 bits, 5 of them exponent
    bool integer_zero = false;  // the zero is a multiple of the scale, 8 bits
};

double bits_of(const Candidate& c) {
    const auto side = [&](int levels, double run) {
        if (levels == 0) return 16.0;
        const double pair = (c.scale_mantissa < 10 ? 8 : 16) + (c.integer_zero ? 8 : 16);
        return std::log2(levels + 1) + pair / run;
    };
    return (side(c.key_levels, static_cast<double>(c.page)) + side(c.value_levels, 32)) / 2;
}

float round_mantissa(float x, int bits) {
    if (bits >= 10 || x == 0) return to_f16(x);
    int exponent = 0;
    const float m = std::frexp(x, &exponent);
    const float steps = std::ldexp(1.0F, bits + 1);
    return std::ldexp(std::round(m * steps) / steps, exponent);
}

/// n elements, stride apart, become what codes 0 .. levels give back.
void quantize(float* x, std::size_t n, std::size_t stride, int levels, const Candidate& c) {
    float low = x[0];
    float high = x[0];
    for (std::size_t i = 1; i < n; ++i) {
        low = std::min(low, x[i * stride]);
        high = std::max(high, x[i * stride]);
    }
    Floats best(n);
    double least = HUGE_VAL;
    for (int step = 0; step < (c.clip ? 10 : 1); ++step) {
        const float cut = 0.04F * static_cast<float>(step) * (high - low) / 2;
        const float scale =
            round_mantissa((high - low - 2 * cut) / static_cast<float>(levels), c.scale_mantissa);
        float zero = to_f16(low + cut);
        if (c.integer_zero && scale > 0)
            zero = scale * std::clamp(std::round((low + cut) / scale), -128.0F, 127.0F);
        double error = 0;
        Floats out(n);
        for (std::size_t i = 0; i < n; ++i) {
            const float code = scale == 0 ? 0
                                          : std::clamp(std::round((x[i * stride] - zero) / scale),
                                                       0.0F, static_cast<float>(levels));
            out[i] = zero + code * scale;
            error += std::pow(out[i] - x[i * stride], 2);
        }
        if (error < least) {
            least = error;
            best = out;
        }
    }
    for (std::size_t i = 0; i < n; ++i) x[i * stride] = best[i];
}

/// Whole pages of (n_tokens, n_kv_heads * head_dim) as if sealed and opened.
void seal(Floats& keys, Floats& values, std::size_t n_tokens, const Model& m, const Candidate& c) {
    const std::size_t width = m.n_kv_heads * m.head_dim;
    for (std::size_t page = 0; (page + 1) * c.page <= n_tokens; ++page) {
        const bool is_int8 = c.first_int8 && page == 0;
        float* k = keys.data() + page * c.page * width;
        float* v = values.data() + page * c.page * width;
        const int key_levels = is_int8 ? 255 : c.key_levels;
        const int value_levels = is_int8 ? 255 : c.value_levels;
        for (std::size_t channel = 0; key_levels > 0 && channel < width; ++channel)
            quantize(k + channel, c.page, width, key_levels, c);
        for (std::size_t run = 0; value_levels > 0 && run < c.page * width / 32; ++run)
            quantize(v + run * 32, 32, 1, value_levels, c);
    }
}

// ---- the forward pass ----

Floats mat_mul(const float* w, const float* bias, const Floats& x, std::size_t n_rows,
               std::size_t n_cols) {
    const std::size_t n = x.size() / n_cols;
    Floats y(n * n_rows);
    for (std::size_t t = 0; t < n; ++t) {
        for (std::size_t r = 0; r < n_rows; ++r) {
            std::array<float, 16> sums{};
            const float* a = w + r * n_cols;
            const float* b = x.data() + t * n_cols;
            for (std::size_t i = 0; i < n_cols; i += 16)
                for (std::size_t j = 0; j < 16; ++j) sums[j] += a[i + j] * b[i + j];
            float sum = bias == nullptr ? 0 : bias[r];
            for (const float s : sums) sum += s;
            y[t * n_rows + r] = sum;
        }
    }
    return y;
}

Floats normalized(const Floats& x, const float* weight, const Model& m) {
    Floats y(x.size());
    for (std::size_t t = 0; t < x.size() / m.dim; ++t) {
        double sum = 0;
        for (std::size_t i = 0; i < m.dim; ++i) sum += std::pow(x[t * m.dim + i], 2);
        const auto scale =
            static_cast<float>(1 / std::sqrt(sum / static_cast<double>(m.dim) + m.eps));
        for (std::size_t i = 0; i < m.dim; ++i)
            y[t * m.dim + i] = x[t * m.dim + i] * scale * weight[i];
    }
    return y;
}

void rotate(Floats& x, std::size_t n_heads, const Model& m) {
    const std::size_t half = m.head_dim / 2;
    for (std::size_t t = 0; t < x.size() / (n_heads * m.head_dim); ++t) {
        for (std::size_t h = 0; h < n_heads; ++h) {
            float* head = x.data() + (t * n_heads + h) * m.head_dim;
            for (std::size_t i = 0; i < half; ++i) {
                const double angle =
                    static_cast<double>(t) *
                    std::pow(m.rope_base, -2.0 * static_cast<double>(i) / double(m.head_dim));
                float& a = head[m.neighbours ? 2 * i : i];
                float& b = head[m.neighbours ? 2 * i + 1 : i + half];
                const float s = static_cast<float>(std::sin(angle));
                const float c = static_cast<float>(std::cos(angle));
                const float rotated = a * c - b * s;
                b = a * s + b * c;
                a = rotated;
            }
        }
    }
}

/// A query reads its own page in f16, earlier ones sealed.
Floats attend(const Floats& q, const Floats& k, const Floats& v, const Model& m,
              const Candidate& c) {
    const std::size_t width = m.n_kv_heads * m.head_dim;
    const std::size_t n = k.size() / width;
    Floats sealed_k = k;
    Floats sealed_v = v;
    seal(sealed_k, sealed_v, n, m, c);
    Floats out(q.size());
    Floats weight(n);
    for (std::size_t t = 0; t < n; ++t) {
        for (std::size_t h = 0; h < m.n_heads; ++h) {
            const std::size_t at = h / (m.n_heads / m.n_kv_heads) * m.head_dim;
            const float* query = q.data() + (t * m.n_heads + h) * m.head_dim;
            const auto row = [&](const Floats& open, const Floats& sealed, std::size_t j) {
                return (j / c.page == t / c.page ? open : sealed).data() + j * width + at;
            };
            float most = -HUGE_VALF;
            for (std::size_t j = 0; j <= t; ++j) {
                const float* key = row(k, sealed_k, j);
                float dot = 0;
                for (std::size_t i = 0; i < m.head_dim; ++i) dot += query[i] * key[i];
                weight[j] = dot / std::sqrt(static_cast<float>(m.head_dim));
                most = std::max(most, weight[j]);
            }
            float sum = 0;
            float* y = out.data() + (t * m.n_heads + h) * m.head_dim;
            for (std::size_t j = 0; j <= t; ++j) {
                const float p = std::exp(weight[j] - most);
                const float* value = row(v, sealed_v, j);
                for (std::size_t i = 0; i < m.head_dim; ++i) y[i] += p * value[i];
                sum += p;
            }
            for (std::size_t i = 0; i < m.head_dim; ++i) y[i] /= sum;
        }
    }
    return out;
}

void add(Floats& x, const Floats& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

/// Logits of the second half's tokens.
Floats forward(const Model& m, std::span<const TokenId> tokens, const Candidate& c) {
    Floats x;
    for (const TokenId id : tokens)
        x.insert(x.end(), m.embedding + id * m.dim, m.embedding + (id + 1) * m.dim);
    const std::size_t kv_dim = m.n_kv_heads * m.head_dim;
    for (const Layer& w : m.layers) {
        const Floats a = normalized(x, w.attn_norm, m);
        Floats q = mat_mul(w.q, w.q_bias, a, m.dim, m.dim);
        Floats k = mat_mul(w.k, w.k_bias, a, kv_dim, m.dim);
        Floats v = mat_mul(w.v, w.v_bias, a, kv_dim, m.dim);
        rotate(q, m.n_heads, m);
        rotate(k, m.n_kv_heads, m);
        for (float& value : k) value = to_f16(value);
        for (float& value : v) value = to_f16(value);
        add(x, mat_mul(w.o, nullptr, attend(q, k, v, m, c), m.dim, m.dim));
        const Floats f = normalized(x, w.ffn_norm, m);
        Floats gate = mat_mul(w.gate, nullptr, f, m.ffn_dim, m.dim);
        const Floats up = mat_mul(w.up, nullptr, f, m.ffn_dim, m.dim);
        for (std::size_t i = 0; i < gate.size(); ++i)
            gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
        add(x, mat_mul(w.down, nullptr, gate, m.dim, m.ffn_dim));
    }
    x.erase(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(tokens.size() / 2 * m.dim));
    return mat_mul(m.output, nullptr, normalized(x, m.output_norm, m), m.n_vocab, m.dim);
}

struct Score {
    double kld = 0;
    std::size_t n_same = 0, n = 0;
};

void compare(const Floats& logits, const Floats& reference, std::size_t n_vocab, Score& score) {
    for (std::size_t row = 0; row + n_vocab < logits.size(); row += n_vocab) {  // not the last
        const float* a = reference.data() + row;
        const float* b = logits.data() + row;
        const auto log_sum = [&](const float* x) {
            const double most = *std::max_element(x, x + n_vocab);
            double sum = 0;
            for (std::size_t i = 0; i < n_vocab; ++i) sum += std::exp(x[i] - most);
            return most + std::log(sum);
        };
        const double za = log_sum(a);
        const double zb = log_sum(b);
        for (std::size_t i = 0; i < n_vocab; ++i)
            score.kld += std::exp(a[i] - za) * ((a[i] - za) - (b[i] - zb));
        score.n_same +=
            std::max_element(a, a + n_vocab) - a == std::max_element(b, b + n_vocab) - b;
        ++score.n;
    }
}

const std::vector<Candidate> kCandidates = {
    {.name = "int8", .key_levels = 255, .value_levels = 255},
    {.name = "int8:int4", .key_levels = 255, .value_levels = 15},
    {.name = "int4", .key_levels = 15, .value_levels = 15},
    {.name = "int4, pages of 64", .key_levels = 15, .value_levels = 15, .page = 64},
    {.name = "int4, clip search", .key_levels = 15, .value_levels = 15, .clip = true},
    {.name = "int4, first page int8", .key_levels = 15, .value_levels = 15, .first_int8 = true},
    {.name = "int4, 8-bit scales", .key_levels = 15, .value_levels = 15, .scale_mantissa = 3},
    {.name = "int4, 8-bit zeros", .key_levels = 15, .value_levels = 15, .integer_zero = true},
    {.name = "int4, both of 8 bits",
     .key_levels = 15,
     .value_levels = 15,
     .scale_mantissa = 3,
     .integer_zero = true},
    {.name = "int3", .key_levels = 7, .value_levels = 7},
    {.name = "int3, clip search", .key_levels = 7, .value_levels = 7, .clip = true},
    {.name = "int3 keys, int4 values", .key_levels = 7, .value_levels = 15},
    {.name = "int4 keys, int3 values", .key_levels = 15, .value_levels = 7},
    {.name = "int2, clip search", .key_levels = 3, .value_levels = 3, .clip = true},
    {.name = "int2, clip, first page int8",
     .key_levels = 3,
     .value_levels = 3,
     .clip = true,
     .first_int8 = true},
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: bench_kv_formats MODEL-F32.gguf TEXT [contexts [context]]\n");
        return 2;
    }
    const GgufFile file = GgufFile::open(argv[1]).value();
    const Model model = read_model(file);
    const auto tokenizer = Tokenizer::create(file).value();
    std::ifstream text(argv[2]);
    const auto tokens = tokenizer->encode(std::string(std::istreambuf_iterator<char>(text), {}),
                                          Tokenizer::Special::ignore);
    const std::size_t n_contexts = argc > 3 ? std::stoul(argv[3]) : 8;
    const std::size_t context = argc > 4 ? std::stoul(argv[4]) : 512;
    std::vector<Score> scores(kCandidates.size());
    for (std::size_t i = 0; i < n_contexts && (i + 1) * context <= tokens.size(); ++i) {
        const auto part = std::span(tokens).subspan(i * context, context);
        const Floats reference = forward(model, part, {.name = "f16"});
        for (std::size_t k = 0; k < kCandidates.size(); ++k) {
            std::fprintf(stderr, "\rcontext %zu of %zu, %s          ", i + 1, n_contexts,
                         kCandidates[k].name.c_str());
            compare(forward(model, part, kCandidates[k]), reference, model.n_vocab, scores[k]);
        }
    }
    std::fprintf(stderr, "\r%60s\r", "");
    std::printf("%-30s %6s %10s %9s\n", "format", "bits", "kld_mean", "same_top");
    for (std::size_t k = 0; k < kCandidates.size(); ++k) {
        const auto n = static_cast<double>(scores[k].n);
        std::printf("%-30s %6.2f %10.7f %8.2f%%\n", kCandidates[k].name.c_str(),
                    bits_of(kCandidates[k]), scores[k].kld / n,
                    100 * static_cast<double>(scores[k].n_same) / n);
    }
    return 0;
}
