#version 450
#extension GL_GOOGLE_include_directive : require
// One invocation: one column of one token.
#include "vk_kernels/shared/experts.h"

layout(local_size_x_id = kAddExpertsSpecThreads) in;
layout(push_constant) uniform Push { AddExpertsPush pc; };
layout(binding = kAddExpertsY) readonly buffer Y { float y[]; };
layout(binding = kAddExpertsWeights) readonly buffer Weights { float weights[]; };
layout(binding = kAddExpertsX) buffer X { float x[]; };

void main() {
    const uint i = gl_GlobalInvocationID.x;
    if (i >= pc.n_tokens * pc.n_cols) return;
    const uint token = i / pc.n_cols;
    precise float sum = 0.0;
    for (uint e = 0; e < pc.n_used; ++e) sum = fma(weights[token * pc.n_used + e], y[(token * pc.n_used + e) * pc.n_cols + i % pc.n_cols], sum);
    precise float result = x[i] + sum;
    x[i] = result;
}
