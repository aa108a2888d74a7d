#version 450
#extension GL_GOOGLE_include_directive : require
// One invocation: two neighbouring channels of one head (query, key or value) of one token.
#include "config/base/half_bits.h"
#include "quant/shared/kv_format.h"
#include "vk_kernels/shared/rope_append_kv.h"

layout(constant_id = kRopeSpecHeadDim) const uint kHeadDim = 64;
layout(constant_id = kRopeSpecInterleaved) const uint kInterleaved = 1;
layout(constant_id = kRopeSpecOpenFormat) const uint kOpenFormat = kKvF16;
layout(local_size_x_id = kRopeSpecThreads) in;

layout(push_constant) uniform Push { RopeAppendKvPush pc; };
layout(binding = kRopeQkv) readonly buffer Qkv { float qkv[]; };
layout(binding = kRopeTable) readonly buffer Table { vec2 cos_sin[]; };
layout(binding = kRopeSlots) readonly buffer Slots { uint slots[]; };
layout(binding = kRopeQ) writeonly buffer Q { float q[]; };
layout(binding = kRopeOpen) writeonly buffer Open { uint open_words[]; };

float rotated(uint token, uint head_at, uint c) {
    precise float here = qkv[head_at + c];
    if (c >= pc.n_rot) return here;
    uint half_rot = pc.n_rot / 2;
    bool first = kInterleaved != 0 ? (c & 1) == 0 : c < half_rot;
    uint pair = kInterleaved != 0 ? c / 2 : (first ? c : c - half_rot);
    uint partner = kInterleaved != 0 ? (c ^ 1) : (first ? c + half_rot : c - half_rot);
    vec2 angle = cos_sin[token * half_rot + pair];
    precise float there = qkv[head_at + partner];
    precise float turned = here * angle.x;
    precise float crossed = there * angle.y;
    precise float result = first ? turned - crossed : turned + crossed;
    return result;
}

void main() {
    const uint n_pairs = kHeadDim / 2;
    const uint n_all = pc.n_heads + 2 * pc.n_kv_heads;
    uint i = gl_GlobalInvocationID.x;
    if (i >= pc.n_tokens * n_all * n_pairs) return;
    uint c = i % n_pairs * 2;
    uint head = i / n_pairs % n_all;
    uint token = i / n_pairs / n_all;
    uint at = (token * n_all + head) * kHeadDim;
    bool is_value = head >= pc.n_heads + pc.n_kv_heads;
    float v0 = is_value ? qkv[at + c] : rotated(token, at, c);
    float v1 = is_value ? qkv[at + c + 1] : rotated(token, at, c + 1);
    if (head < pc.n_heads) {
        uint to = (token * pc.n_heads + head) * kHeadDim + c;
        q[to] = v0;
        q[to + 1] = v1;
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
