#version 450
#extension GL_GOOGLE_include_directive : require
// One workgroup: one tile of 32 rows by kTokens tokens, over all of K.
//
// Two builds. The portable one reads storage buffers and lets lanes take different segments of K. KVASIR_CPU_LANES is
// for software devices, where a storage-buffer load is a loop over lanes with a branch each while a texel fetch is a
// vector gather: weights, x and norm are texels, the workgroup is one subgroup of 8, each lane loads 4 of 32 columns of x
// and hands them round. On lavapipe, Q8_0 mat-vec: 2.8 G weights/s with storage buffers, 4.6 with texels.
#ifdef KVASIR_CPU_LANES
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "quant/shared/quant_format.h"
#include "vk_kernels/shaders/activations.glsl"
#include "vk_kernels/shared/experts.h"
#include "vk_kernels/shared/mat_mul.h"

layout(constant_id = kMatMulSpecFormat) const uint kFormat = 0;
layout(constant_id = kMatMulSpecRowLanes) const uint kRowLanes = 32;
layout(constant_id = kMatMulSpecSegLanes) const uint kSegLanes = 1;
layout(constant_id = kMatMulSpecRows) const uint kRows = 1;
layout(constant_id = kMatMulSpecTokens) const uint kTokens = 1;
layout(constant_id = kMatMulSpecEpilogue) const uint kEpilogue = 0;
layout(constant_id = kMatMulSpecNorm) const uint kNorm = 0;
layout(constant_id = kMatMulSpecBias) const uint kBias = 0;
layout(constant_id = kMatMulSpecRouted) const uint kRouted = 0;
layout(local_size_x_id = kMatMulSpecThreads) in;

layout(push_constant) uniform Push { MatMulPush pc; };
layout(binding = kMatMulY) buffer Y { float y[]; };
layout(binding = kMatMulBias) readonly buffer Bias { float bias[]; };
layout(binding = kMatMulRoutes) readonly buffer Routes { uint routes[]; };
#ifdef KVASIR_CPU_LANES
layout(binding = kMatMulWeights) uniform usamplerBuffer weights;
layout(binding = kMatMulX) uniform usamplerBuffer x;
layout(binding = kMatMulNorm) uniform usamplerBuffer norm;
uvec4 load_codes(uint unit) { return texelFetch(weights, int(unit)); }
uint load_word(uint at) { return texelFetch(weights, int(at / 4))[at % 4]; }
vec4 load_x4(uint at) { return uintBitsToFloat(texelFetch(x, int(at / 4))); }
vec4 load_norm4(uint at) { return uintBitsToFloat(texelFetch(norm, int(at / 4))); }
#else
layout(binding = kMatMulWeights) readonly buffer Weights { uint weights[]; };
layout(binding = kMatMulX) readonly buffer X { vec4 x4[]; };
layout(binding = kMatMulNorm) readonly buffer Norm { vec4 norm4[]; };
uvec4 load_codes(uint unit) { return uvec4(weights[4 * unit], weights[4 * unit + 1], weights[4 * unit + 2], weights[4 * unit + 3]); }
uint load_word(uint at) { return weights[at]; }
vec4 load_x4(uint at) { return x4[at / 4]; }
vec4 load_norm4(uint at) { return norm4[at / 4]; }
#endif
#include "vk_kernels/shaders/decode/weights.glsl"

const uint kThreads = gl_WorkGroupSize.x;
shared vec4 squares[kTokens][kNormPartials / 4];
shared float segments[kSegLanes][kRows * kTokens][kRowLanes];

const bool kPairsRows = kEpilogue == kEpilogueSiluMul || kEpilogue == kEpilogueGeluMul;

uint x_at[kTokens];       // first column of each token's row
float mean[kTokens];      // with a layer norm
float inverse[kTokens];   // of the root mean square, or of the standard deviation, with a fused norm
float total[kRows][kTokens];

uint route_first, route_n;  // rows of a routed tile

bool has_token(uint t) { return kRouted != 0 ? t < route_n : gl_WorkGroupID.y * kTokens + t < pc.n_tokens; }
uint y_row(uint t) {
    return kRouted != 0 ? routes[route_first + min(t, route_n - 1)] : min(gl_WorkGroupID.y * kTokens + t, pc.n_tokens - 1);
}
uint x_row(uint t) { return kRouted != 0 ? y_row(t) / pc.x_share : y_row(t); }

// Partial sums of x, or of its squares, or of its squared distances from the mean.
void sum_columns(bool squared) {
    for (uint i = gl_LocalInvocationID.x; i < kTokens * kNormPartials / 4; i += kThreads) {
        uint t = i / (kNormPartials / 4);
        uint partial = i % (kNormPartials / 4);
        uint row = x_row(t) * pc.n_cols;
        precise vec4 sum = vec4(0.0);
        for (uint k = partial * 4; k < pc.n_cols; k += kNormPartials) {
            precise vec4 v = load_x4(row + k);
            if (squared && kNorm == kNormLayer) v = v - mean[t];
            sum = squared ? fma(v, v, sum) : sum + v;
        }
        squares[t][partial] = sum;
    }
    barrier();
}

float mean_of_columns(uint t) {
    precise float sum = 0.0;
    for (uint p = 0; p < kNormPartials / 4; ++p)
        for (uint e = 0; e < 4; ++e) sum = sum + squares[t][p][e];
    precise float result = sum / float(pc.n_cols);
    return result;
}

void find_inverses() {
    if (kNorm == kNormLayer) {
        sum_columns(false);
        for (uint t = 0; t < kTokens; ++t) mean[t] = mean_of_columns(t);
        barrier();
    }
    sum_columns(true);
    for (uint t = 0; t < kTokens; ++t) {
        precise float square = mean_of_columns(t) + pc.norm_eps;
        precise float root = 1.0 / sqrt(square);
        inverse[t] = root;
    }
}

// Four columns of a token's x, normalized where a norm is fused in.
vec4 input4(uint t, uint k) {
    precise vec4 value = load_x4(x_at[t] + k);
    if (kNorm == kNormLayer) value = value - mean[t];
    if (kNorm != kNormNone) {
        value = value * inverse[t];
        value = value * load_norm4(k);
    }
    if (kNorm == kNormLayer) value = value + load_norm4(pc.n_cols + k);
    return value;
}

// One segment of every row and token: sum[r][t] = sum of w[r, k] x[t, k], k from begin to end, front to back.
void sum_segment(uint codes_at[kRows], uint scales_at[kRows], uint begin, uint end, out float sum[kRows][kTokens]) {
    for (uint r = 0; r < kRows; ++r)
        for (uint t = 0; t < kTokens; ++t) sum[r][t] = 0.0;
    uvec2 scale_words[kRows];
    WidePlanes planes[kRows];
    for (uint k = begin; k < end; k += 32) {
        if (k % 64 == 0)
            for (uint r = 0; r < kRows; ++r) scale_words[r] = load_scales(scales_at[r], k);
        BlockScales scales[kRows];
        for (uint r = 0; r < kRows; ++r) {
            scales[r] = decode_scales(scale_words[r], k);
            load_planes(codes_at[r], k, false, planes[r]);
        }
        uvec4 codes[kRows];
#ifdef KVASIR_CPU_LANES
        vec4 mine[kTokens];
        for (uint t = 0; t < kTokens; ++t) mine[t] = input4(t, min(k + 4 * gl_SubgroupInvocationID, pc.n_cols - 4));
#endif
        for (uint o = 0; o < 4; ++o) {
            if (k + o * 8 >= end) break;
            vec4 low[kRows], high[kRows];
            for (uint r = 0; r < kRows; ++r)
                decode_octet(codes_at[r], k, o, scales[r], planes[r], codes[r], low[r], high[r]);
            for (uint t = 0; t < kTokens; ++t)
                for (uint half_octet = 0; half_octet < 2; ++half_octet) {
#ifndef KVASIR_CPU_LANES
                    vec4 values = input4(t, k + o * 8 + half_octet * 4);
#endif
                    for (uint e = 0; e < 4; ++e) {
#ifdef KVASIR_CPU_LANES
                        float value = subgroupShuffle(mine[t][e], o * 2 + half_octet);
#else
                        float value = values[e];
#endif
                        for (uint r = 0; r < kRows; ++r) {
                            precise float next = fma(half_octet == 0 ? low[r][e] : high[r][e], value, sum[r][t]);
                            sum[r][t] = next;
                        }
                    }
                }
        }
    }
}

void add_segment(float sum[kRows][kTokens]) {
    for (uint r = 0; r < kRows; ++r)
        for (uint t = 0; t < kTokens; ++t) {
            precise float next = total[r][t] + sum[r][t];
            total[r][t] = next;
        }
}

void add_segments_of_lanes(uint row_lane, uint seg_lane, uint first, uint n, float sum[kRows][kTokens]) {
    for (uint i = 0; i < kRows * kTokens; ++i) segments[seg_lane][i][row_lane] = sum[i / kTokens][i % kTokens];
    barrier();
    for (uint s = 0; s < kSegLanes; ++s) {
        if (first + s >= n) break;
        float part[kRows][kTokens];
        for (uint i = 0; i < kRows * kTokens; ++i) part[i / kTokens][i % kTokens] = segments[s][i][row_lane];
        add_segment(part);
    }
    barrier();
}

void store(uint row, uint r, uint token, uint t) {
    uint column = pc.y_first + (kPairsRows ? row / kRowTile * kGateRows + row % kRowTile : row);
    if (kPairsRows && column >= pc.y_stride) return;  // the last tile's padding
    uint at = token * pc.y_stride + column;
    precise float value = total[r][t];
    if (kBias != 0) value = value + bias[pc.bias_first + row];
    if (kEpilogue == kEpilogueAdd) value = y[at] + value;
    if (kEpilogue == kEpilogueGelu || kEpilogue == kEpilogueGeluMul) value = gelu(value);
    if (kEpilogue == kEpilogueGeluExact) value = gelu_exact(value);
    if (kEpilogue == kEpilogueCap) value = soft_cap(value, pc.cap);
    if (kEpilogue == kEpilogueSiluMul) value = value / (1.0 + exp(-value));
    if (kPairsRows) value = value * total[min(r + kRows / 2, kRows - 1)][t];
    y[at] = value;
}

void main() {
    const uint row_lane = gl_LocalInvocationID.x % kRowLanes;
    const uint seg_lane = gl_LocalInvocationID.x / kRowLanes;
    const uint first_row = gl_WorkGroupID.x * kRowTile + row_lane;
    uint weight_row = first_row;
    if (kRouted != 0) {
        const uint tile = gl_WorkGroupID.y * kRouteTileWords;
        const uint expert = routes[tile] - pc.first_expert;
        route_first = routes[tile + 1];
        route_n = routes[tile + 2];
        if (route_n == 0 || expert >= pc.n_experts) return;  // a spare tile, or an expert of another binding
        weight_row += expert * ((pc.n_rows + kRowTile - 1) / kRowTile * kRowTile);
    }
    for (uint t = 0; t < kTokens; ++t) x_at[t] = x_row(t) * pc.n_cols;
    if (kNorm != kNormNone) find_inverses();

    uint codes_at[kRows], scales_at[kRows];
    for (uint r = 0; r < kRows; ++r) {
        codes_at[r] = weight_codes_at(kFormat, pc.n_cols, weight_row + r * kRowLanes);
        scales_at[r] = pc.scales_offset + weight_scales_at(kFormat, pc.n_cols, weight_row + r * kRowLanes);
        for (uint t = 0; t < kTokens; ++t) total[r][t] = 0.0;
    }
    const uint n_segments = (pc.n_cols + kSegmentColumns - 1) / kSegmentColumns;
    for (uint s = 0; s < n_segments; s += kSegLanes) {
        uint begin = (s + seg_lane) * kSegmentColumns;
        uint end = min(begin + kSegmentColumns, pc.n_cols);
        float sum[kRows][kTokens];
        sum_segment(codes_at, scales_at, begin, end, sum);
        if (kSegLanes == 1) {
            add_segment(sum);
        } else {
            add_segments_of_lanes(row_lane, seg_lane, s, n_segments, sum);
        }
    }
    if (seg_lane != 0) return;
    const uint n_stored = kPairsRows ? kRows / 2 : kRows;
    for (uint r = 0; r < n_stored; ++r) {
        uint row = first_row + r * kRowLanes;
        uint last = row + (kPairsRows ? kGateRows : 0);
        if (last >= pc.n_rows) continue;
        for (uint t = 0; t < kTokens; ++t)
            if (has_token(t)) store(row, r, y_row(t), t);
    }
}
