#include "quant/format.hpp"

#include <array>

#include "quant/reference_decoders.hpp"
#include "quant/shared/quant_format.h"

namespace kvasir {
namespace {

constexpr std::uint32_t kBlock = shared::kBlockElements;
constexpr std::uint32_t kSuperBlock = shared::kSuperBlockElements;

constexpr std::array kFormats{
    FormatInfo{FormatId{shared::kFormatF32}, "F32", 1, 4, decode_f32_block, nullptr},
    FormatInfo{FormatId{shared::kFormatF16}, "F16", 1, 2, decode_f16_block, nullptr},
    FormatInfo{FormatId{shared::kFormatBF16}, "BF16", 1, 2, decode_bf16_block, nullptr},
    FormatInfo{FormatId{shared::kFormatQ8_0}, "Q8_0", kBlock, 34, decode_q8_0_block,
               read_q8_0_block},
    FormatInfo{FormatId{shared::kFormatQ4_0}, "Q4_0", kBlock, 18, decode_q4_0_block,
               read_q4_0_block},
    FormatInfo{FormatId{shared::kFormatQ4_1}, "Q4_1", kBlock, 20, decode_q4_1_block,
               read_q4_1_block},
    FormatInfo{FormatId{shared::kFormatQ5_0}, "Q5_0", kBlock, 22, decode_q5_0_block,
               read_q5_0_block},
    FormatInfo{FormatId{shared::kFormatQ5_1}, "Q5_1", kBlock, 24, decode_q5_1_block,
               read_q5_1_block},
    FormatInfo{FormatId{shared::kFormatIQ4_NL}, "IQ4_NL", kBlock, 18, decode_iq4_nl_block,
               read_iq4_nl_block},
    FormatInfo{FormatId{shared::kFormatMXFP4}, "MXFP4", kBlock, 17, decode_mxfp4_block,
               read_mxfp4_block},
    FormatInfo{FormatId{shared::kFormatQ2_K}, "Q2_K", kSuperBlock, 84, decode_q2_k_block,
               read_q2_k_block},
    FormatInfo{FormatId{shared::kFormatQ3_K}, "Q3_K", kSuperBlock, 110, decode_q3_k_block,
               read_q3_k_block},
    FormatInfo{FormatId{shared::kFormatQ4_K}, "Q4_K", kSuperBlock, 144, decode_q4_k_block,
               read_q4_k_block},
    FormatInfo{FormatId{shared::kFormatQ5_K}, "Q5_K", kSuperBlock, 176, decode_q5_k_block,
               read_q5_k_block},
    FormatInfo{FormatId{shared::kFormatQ6_K}, "Q6_K", kSuperBlock, 210, decode_q6_k_block,
               read_q6_k_block},
    FormatInfo{FormatId{shared::kFormatIQ4_XS}, "IQ4_XS", kSuperBlock, 136, decode_iq4_xs_block,
               read_iq4_xs_block},
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
