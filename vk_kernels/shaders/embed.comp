#version 450
#extension GL_GOOGLE_include_directive : require
// One invocation: eight columns of one token's row.
#include "quant/shared/quant_format.h"
#include "vk_kernels/shared/embed.h"

layout(constant_id = kEmbedSpecFormat) const uint kFormat = 0;
layout(local_size_x_id = kEmbedSpecThreads) in;
layout(push_constant) uniform Push { EmbedPush pc; };
layout(binding = kEmbedTable) readonly buffer Table { uint w[]; };
layout(binding = kEmbedTokens) readonly buffer Tokens { uint tokens[]; };
layout(binding = kEmbedY) writeonly buffer Y { float y[]; };

#include "vk_kernels/shaders/decode/weights.glsl"

void main() {
    const uint n_octets = pc.n_cols / 8;
    uint i = gl_GlobalInvocationID.x;
    if (i >= pc.n_tokens * n_octets) return;
    uint token = i / n_octets;
    uint k = i % n_octets * 8;
    uint row = tokens[token] - pc.first_row;
    if (tokens[token] < pc.first_row || row >= pc.n_rows) return;
    vec4 low, high;
    float scale = decode_scale(pc.scales_offset + weight_scales_at(pc.n_cols, row), k);
    decode_octet(weight_codes_at(kFormat, pc.n_cols, row), k, scale, low, high);
    for (uint e = 0; e < 4; ++e) {
        y[token * pc.n_cols + k + e] = low[e];
        y[token * pc.n_cols + k + 4 + e] = high[e];
    }
}
