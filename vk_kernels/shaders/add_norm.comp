#version 450
#extension GL_GOOGLE_include_directive : require
// One workgroup: one token's row.
#include "vk_kernels/shared/add_norm.h"

layout(local_size_x_id = kAddNormSpecThreads) in;
layout(push_constant) uniform Push { AddNormPush pc; };
layout(binding = kAddNormY) readonly buffer Y { float y[]; };
layout(binding = kAddNormNorm) readonly buffer Norm { float norm[]; };
layout(binding = kAddNormX) buffer X { float x[]; };

shared float squares[kAddNormPartials];

void main() {
    const uint row = gl_WorkGroupID.x * pc.n_cols;
    for (uint p = gl_LocalInvocationID.x; p < kAddNormPartials; p += gl_WorkGroupSize.x) {
        precise float sum = 0.0;
        for (uint k = p; k < pc.n_cols; k += kAddNormPartials) sum = fma(y[row + k], y[row + k], sum);
        squares[p] = sum;
    }
    barrier();
    precise float sum = 0.0;
    for (uint p = 0; p < kAddNormPartials; ++p) sum = sum + squares[p];
    precise float mean = sum / float(pc.n_cols) + pc.eps;
    precise float inverse = 1.0 / sqrt(mean);
    for (uint k = gl_LocalInvocationID.x; k < pc.n_cols; k += gl_WorkGroupSize.x) {
        precise float value = y[row + k] * inverse;
        value = value * norm[k];
        value = x[row + k] + value;
        x[row + k] = value;
    }
}
