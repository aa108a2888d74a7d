#version 450
#extension GL_GOOGLE_include_directive : require
// One invocation: two neighbouring channels of one head (query, key or value) of one token; with a norm, one workgroup:
// one head.
#include "config/base/half_bits.h"
#include "quant/shared/kv_format.h"
#include "vk_kernels/shared/rope_append_kv.h"

layout(constant_id = kRopeSpecHeadDim) const uint kHeadDim = 64;
layout(constant_id = kRopeSpecInterleaved) const uint kInterleaved = 1;
layout(constant_id = kRopeSpecOpenFormat) const uint kOpenFormat = kKvF16;
layout(constant_id = kRopeSpecNorm) const uint kNorm = 0;
layout(constant_id = kRopeSpecSinks) const uint kSinks = 0;
layout(local_size_x_id = kRopeSpecThreads) in;

layout(push_constant) uniform Push { RopeAppendKvPush pc; };
layout(binding = kRopeQkv) readonly buffer Qkv { float qkv[]; };
layout(binding = kRopeTable) readonly buffer Table { vec2 cos_sin[]; };
layout(binding = kRopeSlots) readonly buffer Slots { uint slots[]; };
layout(binding = kRopeQ) writeonly buffer Q { float q[]; };
layout(binding = kRopeOpen) writeonly buffer Open { uint open_words[]; };
layout(binding = kRopeNorm) readonly buffer Norm { float norm[]; };
layout(binding = kRopeSinkTable) readonly buffer SinkTable { vec2 sink_cos_sin[]; };
layout(binding = kRopeSinkQ) writeonly buffer SinkQ { float sink_q[]; };

shared float squares[kRopeNormPartials];
float inverse = 1.0;  // of the head's root mean square
uint norm_at = 0;     // first weight of the head's kind

void find_inverse(uint head_at) {
    for (uint p = gl_LocalInvocationID.x; p < kRopeNormPartials; p += gl_WorkGroupSize.x) {
        precise float sum = 0.0;
        for (uint c = p; c < kHeadDim; c += kRopeNormPartials) sum = fma(qkv[head_at + c], qkv[head_at + c], sum);
        squares[p] = sum;
    }
    barrier();
    precise float sum = 0.0;
    for (uint p = 0; p < kRopeNormPartials; ++p) sum = sum + squares[p];
    precise float mean = sum / float(kHeadDim) + pc.norm_eps;
    precise float root = 1.0 / sqrt(mean);
    inverse = root;
}

float channel(uint head_at, uint c) {
    precise float value = qkv[head_at + c];
    if (kNorm != 0) {
        value = value * inverse;
        value = value * norm[norm_at + c];
    }
    return value;
}

float rotated(uint token, uint head_at, uint c, bool as_sink) {
    precise float here = channel(head_at, c);
    if (c >= pc.n_rot) return here;
    uint half_rot = pc.n_rot / 2;
    bool first = kInterleaved != 0 ? (c & 1) == 0 : c < half_rot;
    uint pair = kInterleaved != 0 ? c / 2 : (first ? c : c - half_rot);
    uint partner = kInterleaved != 0 ? (c ^ 1) : (first ? c + half_rot : c - half_rot);
    vec2 angle = as_sink ? sink_cos_sin[token * half_rot + pair] : cos_sin[token * half_rot + pair];
    precise float there = channel(head_at, partner);
    precise float turned = here * angle.x;
    precise float crossed = there * angle.y;
    precise float result = first ? turned - crossed : turned + crossed;
    return result;
}

void append(uint token, uint head, uint c) {
    const uint n_pairs = kHeadDim / 2;
    uint at = (token * (pc.n_heads + 2 * pc.n_kv_heads) + head) * kHeadDim;
    bool is_value = head >= pc.n_heads + pc.n_kv_heads;
    float v0 = is_value ? qkv[at + c] : rotated(token, at, c, false);
    float v1 = is_value ? qkv[at + c + 1] : rotated(token, at, c + 1, false);
    if (head < pc.n_heads) {
        uint to = (token * pc.n_heads + head) * kHeadDim + c;
        q[to] = v0;
        q[to + 1] = v1;
        if (kSinks != 0) {
            sink_q[to] = rotated(token, at, c, true);
            sink_q[to + 1] = rotated(token, at, c + 1, true);
        }
        return;
    }
    uint kv_head = is_value ? head - pc.n_heads - pc.n_kv_heads : head - pc.n_heads;
    uint j = slots[token] % kPageTokens;
    uint page = slots[token] / kPageTokens * kv_page_words(kOpenFormat, kOpenFormat, pc.n_kv_heads, kHeadDim);
    uint base = page + (is_value ? kv_value_base(kOpenFormat, kOpenFormat, pc.n_kv_heads, kHeadDim, kv_head)
                                 : kv_key_base(kOpenFormat, kHeadDim, kv_head));
    if (kOpenFormat == kKvF32) {
        uint to = base + (is_value ? j * kHeadDim + c : c * kPageTokens + j);
        open_words[to] = floatBitsToUint(v0);
        open_words[to + (is_value ? 1 : kPageTokens)] = floatBitsToUint(v1);
    } else {
        uint word = f32_to_f16_bits(v0) | (f32_to_f16_bits(v1) << 16);
        open_words[base + (is_value ? j * n_pairs + c / 2 : c / 2 * kPageTokens + j)] = word;
    }
}

void main() {
    const uint n_pairs = kHeadDim / 2;
    const uint n_all = pc.n_heads + 2 * pc.n_kv_heads;
    if (kNorm == 0) {
        uint i = gl_GlobalInvocationID.x;
        if (i < pc.n_tokens * n_all * n_pairs) append(i / n_pairs / n_all, i / n_pairs % n_all, i % n_pairs * 2);
        return;
    }
    const uint head = gl_WorkGroupID.x % n_all;
    norm_at = head < pc.n_heads ? 0 : kHeadDim;
    find_inverse(gl_WorkGroupID.x * kHeadDim);  // a value's is not used
    for (uint c = gl_LocalInvocationID.x * 2; c < kHeadDim; c += gl_WorkGroupSize.x * 2) append(gl_WorkGroupID.x / n_all, head, c);
}
