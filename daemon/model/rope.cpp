#include "daemon/model/rope.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numbers>

#include "quant/model_source.hpp"

namespace kvasir {
namespace {

/// One file's scaling keys, each checked.
class RopeReader {
public:
    RopeReader(const ModelSource& source, std::string_view architecture)
        : source_(source), architecture_(architecture) {}

    std::string key(std::string_view name) const {
        return fmt::format("{}.rope.{}", architecture_, name);
    }

    /// Tokens the model was first trained with.
    Result<std::uint32_t> original_context() const {
        KVASIR_TRY(const auto found, source_.find_u32(key("scaling.original_context_length")));
        if (found) return *found;
        return source_.get_u32(fmt::format("{}.context_length", architecture_));
    }

    /// Errors: corrupt (zero, negative, no number).
    Result<double> positive(std::string_view name, double otherwise) const {
        KVASIR_TRY(const auto found, source_.find_f32(key(name)));
        const double value = found ? *found : otherwise;
        if (!(value > 0) || !std::isfinite(value)) {
            return Error{ErrorCode::corrupt,
                         fmt::format("{}: {}, expected a positive number", key(name), value)};
        }
        return value;
    }

    /// A tensor of one factor a pair of channels, all 1 where absent. Errors: corrupt.
    Result<std::vector<double>> factors(std::string_view name, std::uint32_t n_pairs) const {
        const TensorInfo* tensor = source_.find_tensor(name);
        if (tensor == nullptr) return std::vector<double>(n_pairs, 1.0);
        if (tensor->format == nullptr || tensor->format->block_elements != 1)
            return Error{ErrorCode::corrupt,
                         fmt::format("{}: quantized, expected plain numbers", name)};
        if (tensor->shape.size() != 1 || tensor->shape[0] != n_pairs) {
            return Error{ErrorCode::corrupt, fmt::format("{}: {} elements, expected {}", name,
                                                         tensor->n_elements(), n_pairs)};
        }
        std::vector<std::byte> scratch;
        const auto bytes = tensor->row(0, scratch);
        std::vector<double> all;
        for (std::uint32_t i = 0; i < n_pairs; ++i) {
            float value = 0;
            tensor->format->decode_block(
                bytes.subspan(i * tensor->format->block_bytes, tensor->format->block_bytes),
                std::span(&value, 1));
            if (!(value > 0) || !std::isfinite(value)) {
                return Error{ErrorCode::corrupt,
                             fmt::format("{}: element {} is {}, expected > 0", name, i, value)};
            }
            all.push_back(value);
        }
        return all;
    }

private:
    const ModelSource& source_;
    std::string_view architecture_;
};

Result<> scale_linear(const RopeReader& reader, Rope& rope, std::string_view factor_key) {
    KVASIR_TRY(const double factor, reader.positive(factor_key, 1.0));
    for (double& frequency : rope.frequencies) frequency /= factor;
    return {};
}

/// Channels that turn often within the original context keep their frequency, those that turn
/// seldom are stretched, those between are mixed.
/// Source: YaRN, arXiv 2309.00071, sections 3.2 and 3.4.
Result<> scale_yarn(const RopeReader& reader, Rope& rope, double base) {
    KVASIR_TRY(const double factor, reader.positive("scaling.factor", 1.0));
    KVASIR_TRY(const double fast, reader.positive("scaling.yarn_beta_fast", 32.0));
    KVASIR_TRY(const double slow, reader.positive("scaling.yarn_beta_slow", 1.0));
    KVASIR_TRY(const double attention, reader.positive("scaling.attn_factor", 1.0));
    KVASIR_TRY(const std::uint32_t original, reader.original_context());
    if (original == 0 || !(base > 1)) {
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: {} tokens at base {}, expected at least 1 at a base over 1",
                                 reader.key("scaling.original_context_length"), original, base)};
    }
    const double n_rot = rope.shape.n_rot;
    // The channel that turns so often within the original context.
    const auto channel_of = [&](double turns) {
        return n_rot * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(base));
    };
    const double low = std::max(0.0, std::floor(channel_of(fast)));
    const double high = std::min(n_rot - 1, std::ceil(channel_of(slow)));
    for (std::size_t i = 0; i < rope.frequencies.size(); ++i) {
        const double ramp = (static_cast<double>(i) - low) / std::max(0.001, high - low);
        const double stretched = std::clamp(ramp, 0.0, 1.0);
        rope.frequencies[i] *= (1 - stretched) + stretched / factor;
    }
    rope.amplitude = attention * (factor > 1 ? 0.1 * std::log(factor) + 1 : 1);
    return {};
}

/// Source: LongRoPE, arXiv 2402.13753; which factors: by the context a model is run with, so that
/// what a token computes does not depend on how many came after it.
Result<> scale_longrope(const RopeReader& reader, Rope& rope, std::uint32_t context) {
    KVASIR_TRY(const std::uint32_t original, reader.original_context());
    KVASIR_TRY(rope.amplitude, reader.positive("scaling.attn_factor", 1.0));
    KVASIR_TRY(const auto factors, reader.factors(context > original ? "rope_factors_long.weight"
                                                                     : "rope_factors_short.weight",
                                                  rope.shape.n_rot / 2));
    for (std::size_t i = 0; i < factors.size(); ++i) rope.frequencies[i] /= factors[i];
    return {};
}

}  // namespace

void Rope::fill(std::uint32_t position, std::span<float> out) const {
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
        const double angle = position * frequencies[i];
        out[2 * i] = static_cast<float>(amplitude * std::cos(angle));
        out[2 * i + 1] = static_cast<float>(amplitude * std::sin(angle));
    }
}

Rope plain_rope(const gpu::RopeShape& shape, double base) {
    Rope rope{.shape = shape, .frequencies = {}};
    for (std::uint32_t i = 0; i < shape.n_rot / 2; ++i)
        rope.frequencies.push_back(std::pow(base, -2.0 * i / shape.n_rot));
    return rope;
}

Result<Rope> read_rope(const ModelSource& source, std::string_view architecture,
                       const RopeRules& rules) {
    const RopeReader reader(source, architecture);
    KVASIR_TRY(const auto n_rot, source.find_u32(reader.key("dimension_count")));
    KVASIR_TRY(const double base, reader.positive("freq_base", 10000.0));
    KVASIR_TRY(const auto scaling, source.find_string(reader.key("scaling.type")));
    const gpu::RopeShape shape{.n_rot = n_rot.value_or(rules.head_dim),
                               .interleaved = rules.interleaved};
    if (shape.n_rot == 0 || shape.n_rot > rules.head_dim || shape.n_rot % 2 != 0) {
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: {}, expected an even number of at most {}",
                                 reader.key("dimension_count"), shape.n_rot, rules.head_dim)};
    }
    Rope rope = plain_rope(shape, base);
    KVASIR_TRY(const auto factors, reader.factors("rope_freqs.weight", shape.n_rot / 2));
    for (std::size_t i = 0; i < factors.size(); ++i) rope.frequencies[i] /= factors[i];
    const bool has_long = source.find_tensor("rope_factors_long.weight") != nullptr;
    if (scaling == "longrope" || (!scaling && has_long)) {
        KVASIR_TRY_VOID(scale_longrope(reader, rope, rules.context));
    } else if (scaling == "yarn") {
        KVASIR_TRY_VOID(scale_yarn(reader, rope, base));
    } else if (scaling == "linear") {
        KVASIR_TRY_VOID(scale_linear(reader, rope, "scaling.factor"));
    } else if (!scaling || scaling == "none") {
        KVASIR_TRY_VOID(scale_linear(reader, rope, "scale_linear"));
    } else {
        return Error{ErrorCode::unsupported,
                     fmt::format("{}: {} is not supported, expected none, linear, yarn or longrope",
                                 reader.key("scaling.type"), printable(*scaling))};
    }
    return rope;
}

}  // namespace kvasir
