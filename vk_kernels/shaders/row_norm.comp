#version 450
#extension GL_GOOGLE_include_directive : require
// One workgroup: one row.
#include "vk_kernels/shared/row_norm.h"

layout(local_size_x_id = kRowNormSpecThreads) in;
layout(constant_id = kRowNormSpecLayer) const uint kLayer = 0;
layout(push_constant) uniform Push { RowNormPush pc; };
layout(binding = kRowNormX) readonly buffer X { float x[]; };
layout(binding = kRowNormNorm) readonly buffer Norm { float norm[]; };
layout(binding = kRowNormY) writeonly buffer Y { float y[]; };

shared float partials[kRowNormPartials];

// The mean of a row's columns, or of their squared distances from `from`.
float mean_of(uint row, bool squared, float from) {
    for (uint p = gl_LocalInvocationID.x; p < kRowNormPartials; p += gl_WorkGroupSize.x) {
        precise float sum = 0.0;
        for (uint k = p; k < pc.n_cols; k += kRowNormPartials) {
            precise float v = x[row + k];
            if (squared && kLayer != 0) v = v - from;
            sum = squared ? fma(v, v, sum) : sum + v;
        }
        partials[p] = sum;
    }
    barrier();
    precise float sum = 0.0;
    for (uint p = 0; p < kRowNormPartials; ++p) sum = sum + partials[p];
    precise float mean = sum / float(pc.n_cols);
    barrier();
    return mean;
}

void main() {
    const uint row = (pc.x_first_row + gl_WorkGroupID.x) * pc.n_cols;
    const uint to = (pc.y_first_row + gl_WorkGroupID.x) * pc.n_cols;
    float mean = 0.0;
    if (kLayer != 0) mean = mean_of(row, false, 0.0);
    precise float square = mean_of(row, true, mean) + pc.eps;
    precise float inverse = 1.0 / sqrt(square);
    for (uint k = gl_LocalInvocationID.x; k < pc.n_cols; k += gl_WorkGroupSize.x) {
        precise float value = x[row + k];
        if (kLayer != 0) value = value - mean;
        value = value * inverse;
        value = value * norm[k];
        if (kLayer != 0) value = value + norm[pc.n_cols + k];
        y[to + k] = value;
    }
}
