#version 450
#extension GL_GOOGLE_include_directive : require
// One workgroup: one kv head of one page. Scales and zeros first, then the codes that need them.
#include "config/base/half_bits.h"
#include "quant/shared/kv_format.h"
#include "vk_kernels/shared/seal_page.h"

layout(constant_id = kSealSpecHeadDim) const uint kHeadDim = 64;
layout(constant_id = kSealSpecKeyFormat) const uint kKeyFormat = kKvInt4;
layout(constant_id = kSealSpecValueFormat) const uint kValueFormat = kKvInt4;
layout(constant_id = kSealSpecOpenFormat) const uint kOpenFormat = kKvF16;
layout(local_size_x_id = kSealSpecThreads) in;

layout(push_constant) uniform Push { SealPagePush pc; };
layout(binding = kSealJobs) readonly buffer Jobs { uvec2 jobs[]; };
layout(binding = kSealOpen) readonly buffer Open { uint open_words[]; };
layout(binding = kSealPages) writeonly buffer Pages { uint pages[]; };
layout(binding = kSealStatus) buffer Status { uint status[]; };

const uint kMaxPairs = kMaxHeadDim;  // key channels, or value groups x tokens: at most 8 x 32
shared float shared_scale[kMaxPairs];
shared float shared_zero[kMaxPairs];

uint key_from;    // open page, keys of this head
uint value_from;
uint key_to;
uint value_to;

uint open_bits(bool is_value, uint c, uint j) {
    uint word = is_value ? open_words[value_from + j * (kHeadDim / 2) + c / 2]
                         : open_words[key_from + c / 2 * kPageTokens + j];
    return (c & 1) == 0 ? word & 0xffffu : word >> 16;
}

// Finds scale and zero of n elements; element i is channel c + i of token j (values) or token i of channel c (keys).
uint seal_range(bool is_value, uint c, uint j, uint n, uint levels, out float scale, out float zero) {
    float low = 0.0, high = 0.0;
    uint low_bits = 0;
    bool finite = true;
    for (uint i = 0; i < n; ++i) {
        uint bits = is_value ? open_bits(true, c + i, j) : open_bits(false, c, i);
        finite = finite && (bits & 0x7c00u) != 0x7c00u;
        float x = f16_bits_to_f32(bits);
        if (i == 0 || x < low) { low = x; low_bits = bits; }
        if (i == 0 || x > high) high = x;
    }
    precise float spread = high - low;
    precise float step = spread * (levels == 255 ? 0.00392156885936856270 : 0.0666666701436042786);  // f32 nearest 1/255, 1/15
    uint scale_bits = f32_to_f16_bits(step);
    if (!finite) {
        atomicOr(status[gl_WorkGroupID.x], 1u);
        scale_bits = 0;
        low_bits = 0;
    }
    scale = f16_bits_to_f32(scale_bits);
    zero = f16_bits_to_f32(low_bits);
    return scale_bits | (low_bits << 16);
}

uint code_of(float x, float scale, float zero, uint levels) {
    if (scale == 0.0) return 0;
    precise float above = x - zero;
    int q = int(clamp(above / scale + 0.5, 0.0, float(levels)));  // a guess: division is not exact everywhere
    for (;;) {
        precise float next = (float(q) + 0.5) * scale;
        if (q >= int(levels) || !(next <= above)) break;
        ++q;
    }
    for (;;) {
        precise float border = (float(q) - 0.5) * scale;
        if (q <= 0 || border <= above) break;
        --q;
    }
    return uint(q);
}

void copy_words(uint from, uint to, uint n) {
    for (uint i = gl_LocalInvocationID.x; i < n; i += gl_WorkGroupSize.x) pages[to + i] = open_words[from + i];
}

void check_finite_f16(uint from, uint n) {
    for (uint i = gl_LocalInvocationID.x; i < n; i += gl_WorkGroupSize.x) {
        uint w = open_words[from + i];
        bool bad = kOpenFormat == kKvF32 ? (w & 0x7f800000u) == 0x7f800000u
                                         : (w & 0x7c00u) == 0x7c00u || (w & 0x7c000000u) == 0x7c000000u;
        if (bad) atomicOr(status[gl_WorkGroupID.x], 1u);
    }
}

void seal_keys() {
    uint levels = kv_levels(kKeyFormat);
    uint pairs_to = key_to + kv_key_code_words(kKeyFormat, kHeadDim);
    for (uint c = gl_LocalInvocationID.x; c < kHeadDim; c += gl_WorkGroupSize.x) {
        float scale, zero;
        pages[pairs_to + c] = seal_range(false, c, 0, kPageTokens, levels, scale, zero);
        shared_scale[c] = scale;
        shared_zero[c] = zero;
    }
    barrier();
    const uint pack = kv_pack(kKeyFormat);
    const uint bits = 32 / pack;
    for (uint i = gl_LocalInvocationID.x; i < kv_key_code_words(kKeyFormat, kHeadDim); i += gl_WorkGroupSize.x) {
        uint j = i % kPageTokens;
        uint word = 0;
        for (uint e = 0; e < pack; ++e) {
            uint c = i / kPageTokens * pack + e;
            float x = f16_bits_to_f32(open_bits(false, c, j));
            word |= code_of(x, shared_scale[c], shared_zero[c], levels) << (e * bits);
        }
        pages[key_to + i] = word;
    }
    barrier();
}

uint group_of(uint c) {
    uint g = 0;
    while (g + 1 < kv_groups(kHeadDim) && c >= kv_group_begin(kHeadDim, g + 1)) ++g;
    return g;
}

void seal_values() {
    uint levels = kv_levels(kValueFormat);
    uint pairs_to = value_to + kv_key_code_words(kValueFormat, kHeadDim);
    const uint n_groups = kv_groups(kHeadDim);
    for (uint i = gl_LocalInvocationID.x; i < n_groups * kPageTokens; i += gl_WorkGroupSize.x) {
        uint g = i / kPageTokens;
        uint begin = kv_group_begin(kHeadDim, g);
        uint end = g + 1 == n_groups ? kHeadDim : kv_group_begin(kHeadDim, g + 1);
        float scale, zero;
        pages[pairs_to + i] = seal_range(true, begin, i % kPageTokens, end - begin, levels, scale, zero);
        shared_scale[i] = scale;
        shared_zero[i] = zero;
    }
    barrier();
    const uint pack = kv_pack(kValueFormat);
    const uint bits = 32 / pack;
    for (uint i = gl_LocalInvocationID.x; i < kv_key_code_words(kValueFormat, kHeadDim); i += gl_WorkGroupSize.x) {
        uint c = i % kHeadDim;
        uint word = 0;
        for (uint e = 0; e < pack; ++e) {
            uint j = i / kHeadDim * pack + e;
            uint pair = group_of(c) * kPageTokens + j;
            float x = f16_bits_to_f32(open_bits(true, c, j));
            word |= code_of(x, shared_scale[pair], shared_zero[pair], levels) << (e * bits);
        }
        pages[value_to + i] = word;
    }
}

void main() {
    uvec2 job = jobs[gl_WorkGroupID.x];
    uint head = gl_WorkGroupID.y;
    if (job.y / pc.pages_per_slab != pc.slab) return;
    uint open_at = job.x * kv_page_words(kOpenFormat, kOpenFormat, pc.n_kv_heads, kHeadDim);
    uint page_at = job.y % pc.pages_per_slab * kv_page_words(kKeyFormat, kValueFormat, pc.n_kv_heads, kHeadDim);
    key_from = open_at + kv_key_base(kOpenFormat, kHeadDim, head);
    value_from = open_at + kv_value_base(kOpenFormat, kOpenFormat, pc.n_kv_heads, kHeadDim, head);
    key_to = page_at + kv_key_base(kKeyFormat, kHeadDim, head);
    value_to = page_at + kv_value_base(kKeyFormat, kValueFormat, pc.n_kv_heads, kHeadDim, head);
    if (kKeyFormat == kOpenFormat) {
        check_finite_f16(key_from, kv_key_words(kOpenFormat, kHeadDim));
        copy_words(key_from, key_to, kv_key_words(kOpenFormat, kHeadDim));
    } else {
        seal_keys();
    }
    if (kValueFormat == kOpenFormat) {
        check_finite_f16(value_from, kv_value_words(kOpenFormat, kHeadDim));
        copy_words(value_from, value_to, kv_value_words(kOpenFormat, kHeadDim));
    } else {
        seal_values();
    }
}
