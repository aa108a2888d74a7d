#version 450
#extension GL_GOOGLE_include_directive : require
// One invocation: one channel of one head of one row whose splits were computed apart.
#include "quant/shared/kv_format.h"
#include "vk_kernels/shared/attention_paged.h"

layout(constant_id = kMergeSpecHeadDim) const uint kHeadDim = 64;
layout(local_size_x_id = kMergeSpecThreads) in;
layout(push_constant) uniform Push { AttentionMergePush pc; };
layout(binding = kMergeRows) readonly buffer Rows { uvec2 rows[]; };
layout(binding = kMergePartials) readonly buffer Partials { float partials[]; };
layout(binding = kMergeOut) writeonly buffer Out { float y[]; };

void main() {
    uint i = gl_GlobalInvocationID.x;
    if (i >= pc.n_rows * pc.n_heads * kHeadDim) return;
    uint c = i % kHeadDim;
    uint head = i / kHeadDim % pc.n_heads;
    uvec2 row = rows[i / kHeadDim / pc.n_heads];
    const uint n_splits = row.y / kPageTokens / kSplitPages + 1;
    if (n_splits < 2) return;
    const uint window_split = pc.window == 0 || row.y < pc.window ? 0 : (row.y + 1 - pc.window) / kPageTokens / kSplitPages;
    const uint sink_splits = (pc.n_sinks + kPageTokens * kSplitPages - 1) / (kPageTokens * kSplitPages);
    const uint first = sink_splits > 0 ? 0 : window_split;
    const uint row_at = (row.x * pc.n_heads + head) * pc.max_splits;
    uint at = (row_at + first) * (kHeadDim + 2);
    float m = partials[at + kHeadDim];
    precise float l = partials[at + kHeadDim + 1];
    precise float o = partials[at + c];
    for (uint s = first + 1; s < n_splits; ++s) {
        if (s >= sink_splits && s < window_split) continue;
        at = (row_at + s) * (kHeadDim + 2);
        float split_m = partials[at + kHeadDim];
        float new_m = max(m, split_m);
        precise float before = exp(m - new_m);
        precise float now = exp(split_m - new_m);
        precise float l_before = l * before;
        precise float l_now = partials[at + kHeadDim + 1] * now;
        l = l_before + l_now;
        precise float o_before = o * before;
        precise float o_now = partials[at + c] * now;
        o = o_before + o_now;
        m = new_m;
    }
    precise float result = o / l;
    y[(row.x * pc.n_heads + head) * kHeadDim + c] = result;
}
