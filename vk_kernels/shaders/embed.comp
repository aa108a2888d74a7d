#version 450
#extension GL_GOOGLE_include_directive : require
// One invocation: eight columns of one token's row.
#include "quant/shared/quant_format.h"
#include "vk_kernels/shared/embed.h"

layout(constant_id = kEmbedSpecFormat) const uint kFormat = 0;
layout(constant_id = kEmbedSpecAdd) const uint kAdd = 0;
layout(local_size_x_id = kEmbedSpecThreads) in;
layout(push_constant) uniform Push { EmbedPush pc; };
layout(binding = kEmbedTable) readonly buffer Table { uint w[]; };
layout(binding = kEmbedTokens) readonly buffer Tokens { uint tokens[]; };
layout(binding = kEmbedY) buffer Y { float y[]; };

uvec4 load_codes(uint unit) { return uvec4(w[4 * unit], w[4 * unit + 1], w[4 * unit + 2], w[4 * unit + 3]); }
uint load_word(uint at) { return w[at]; }
#include "vk_kernels/shaders/decode/weights.glsl"

void main() {
    const uint n_octets = pc.n_cols / 8;
    uint i = gl_GlobalInvocationID.x;
    if (i >= pc.n_tokens * n_octets) return;
    uint token = i / n_octets;
    uint k = i % n_octets * 8;
    uint row = tokens[token] - pc.first_row;
    if (tokens[token] < pc.first_row || row >= pc.n_rows) return;
    const uint codes_at = weight_codes_at(kFormat, pc.n_cols, row);
    const uint scales_at = pc.scales_offset + weight_scales_at(kFormat, pc.n_cols, row);
    const BlockScales scales = decode_scales(load_scales(scales_at, k / 64 * 64), k / 32 * 32);
    WidePlanes planes;
    load_planes(codes_at, k / 32 * 32, true, planes);
    uvec4 codes;
    vec4 low, high;
    for (uint o = 0; o < 4; ++o) {  // each octet of the block in turn: which one is a constant to the decoder
        vec4 a, b;
        decode_octet(codes_at, k / 32 * 32, o, scales, planes, codes, a, b);
        if (k % 32 / 8 == o) {
            low = a;
            high = b;
        }
    }
    for (uint e = 0; e < 8; ++e) {
        uint at = token * pc.n_cols + k + e;
        precise float value = pc.scale * (e < 4 ? low[e % 4] : high[e % 4]);
        if (kAdd != 0) value = y[at] + value;
        y[at] = value;
    }
}
