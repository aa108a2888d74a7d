#include "daemon/model/rope.hpp"

#include <cmath>
#include <fmt/format.h>

#include "quant/gguf.hpp"

namespace kvasir {

void Rope::fill(std::uint32_t position, std::span<float> out) const {
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
        const double angle = position * frequencies[i];
        out[2 * i] = static_cast<float>(std::cos(angle));
        out[2 * i + 1] = static_cast<float>(std::sin(angle));
    }
}

Result<Rope> read_rope(const GgufFile& file, std::string_view architecture, std::uint32_t head_dim,
                       bool interleaved, std::span<const float> factors) {
    const auto key = [&](std::string_view name) {
        return fmt::format("{}.rope.{}", architecture, name);
    };
    KVASIR_TRY(const auto n_rot, file.find_u32(key("dimension_count")));
    KVASIR_TRY(const auto base, file.find_f32(key("freq_base")));
    KVASIR_TRY(const auto scaling, file.find_string(key("scaling.type")));
    KVASIR_TRY(const auto factor, file.find_f32(key("scaling.factor")));
    KVASIR_TRY(const auto linear, file.find_f32(key("scale_linear")));
    Rope rope{.shape = {.n_rot = n_rot.value_or(head_dim), .interleaved = interleaved},
              .frequencies = {}};
    if (rope.shape.n_rot == 0 || rope.shape.n_rot > head_dim || rope.shape.n_rot % 2 != 0) {
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: {}, expected an even number of at most {}",
                                 key("dimension_count"), rope.shape.n_rot, head_dim)};
    }
    const double theta = base.value_or(10000.0F);
    if (!(theta > 0) || !std::isfinite(theta)) {
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: {}, expected a positive number", key("freq_base"), theta)};
    }
    double stretch = linear.value_or(1.0F);
    if (scaling && *scaling == "linear") {
        stretch = factor.value_or(1.0F);
    } else if (scaling && *scaling != "none") {
        return Error{ErrorCode::unsupported,
                     fmt::format("{}: {} is not supported, expected none or linear",
                                 key("scaling.type"), printable(*scaling))};
    }
    if (!(stretch > 0) || !std::isfinite(stretch)) {
        return Error{ErrorCode::corrupt, fmt::format("{}: {}, expected a positive number",
                                                     key("scaling.factor"), stretch)};
    }
    if (!factors.empty() && factors.size() != rope.shape.n_rot / 2) {
        return Error{ErrorCode::corrupt, fmt::format("rope_freqs.weight: {} elements, expected {}",
                                                     factors.size(), rope.shape.n_rot / 2)};
    }
    for (std::uint32_t i = 0; i < rope.shape.n_rot / 2; ++i) {
        const double scale = factors.empty() ? 1.0 : factors[i];
        if (!(scale > 0))
            return Error{
                ErrorCode::corrupt,
                fmt::format("rope_freqs.weight: element {} is {}, expected > 0", i, scale)};
        rope.frequencies.push_back(std::pow(theta, -2.0 * i / rope.shape.n_rot) /
                                   (scale * stretch));
    }
    return rope;
}

}  // namespace kvasir
