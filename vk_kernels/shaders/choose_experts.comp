#version 450
#extension GL_GOOGLE_include_directive : require
// One invocation: one token's experts.
#include "vk_kernels/shared/experts.h"

layout(local_size_x_id = kChooseSpecThreads) in;
layout(push_constant) uniform Push { ChooseExpertsPush pc; };
layout(binding = kChooseLogits) readonly buffer Logits { float logits[]; };
layout(binding = kChooseExperts) writeonly buffer Experts { uint experts[]; };
layout(binding = kChooseWeights) buffer Weights { float weights[]; };

void main() {
    const uint token = gl_GlobalInvocationID.x;
    if (token >= pc.n_tokens) return;
    const uint from = token * pc.n_experts;
    const uint to = token * pc.n_used;
    uint last = 0;
    float largest = 0.0;
    precise float sum = 0.0;
    for (uint i = 0; i < pc.n_used; ++i) {
        // The next in descending order: below the last one, or as large and further back. Stays in range among NaNs.
        uint best = 0;
        bool found = false;
        for (uint e = 0; e < pc.n_experts; ++e) {
            bool after = i == 0 || logits[from + e] < logits[from + last] || (logits[from + e] == logits[from + last] && e > last);
            if (after && (!found || logits[from + e] > logits[from + best])) {
                best = e;
                found = true;
            }
        }
        last = best;
        if (i == 0) largest = logits[from + best];
        precise float weight = exp(logits[from + best] - largest);
        sum = sum + weight;
        experts[to + i] = best;
        weights[to + i] = weight;
    }
    for (uint i = 0; i < pc.n_used; ++i) {
        precise float share = weights[to + i] / sum;
        weights[to + i] = share;
    }
}
