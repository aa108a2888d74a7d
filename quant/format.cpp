#include "quant/format.hpp"

#include <array>

#include "quant/reference_decoders.hpp"
#include "quant/shared/quant_format.h"

namespace kvasir {
namespace {

constexpr auto kBlock = static_cast<std::uint32_t>(shared::kBlockElements);

constexpr std::array kFormats{
    FormatInfo{FormatId{shared::kFormatF32}, "F32", 1, 4, decode_f32_block},
    FormatInfo{FormatId{shared::kFormatF16}, "F16", 1, 2, decode_f16_block},
    FormatInfo{FormatId{shared::kFormatBF16}, "BF16", 1, 2, decode_bf16_block},
    FormatInfo{FormatId{shared::kFormatQ8_0}, "Q8_0", kBlock, 34, decode_q8_0_block},
    FormatInfo{FormatId{shared::kFormatQ4_0}, "Q4_0", kBlock, 18, decode_q4_0_block},
};

}  // namespace

std::span<const FormatInfo> all_formats() {
    return kFormats;
}

const FormatInfo* find_format(FormatId id) {
    for (const FormatInfo& format : kFormats)
        if (format.id == id) return &format;
    return nullptr;
}

}  // namespace kvasir
