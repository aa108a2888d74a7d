#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// One workgroup: one tile of query tokens, kHeads query heads of one kv head, all pages (or one split of them).
// A lane owns keys lane, lane + kLanes, ... of a page while scoring, and channels lane, lane + kLanes, ... of the output.
#include "config/base/half_bits.h"
#include "quant/shared/kv_format.h"
#include "vk_kernels/shaders/activations.glsl"
#include "vk_kernels/shared/attention_paged.h"

layout(local_size_x_id = kAttentionSpecLanes) in;
layout(constant_id = kAttentionSpecHeadDim) const uint kHeadDim = 64;
layout(constant_id = kAttentionSpecHeads) const uint kHeads = 1;
layout(constant_id = kAttentionSpecTokens) const uint kTokens = 1;
layout(constant_id = kAttentionSpecKeyFormat) const uint kKeyFormat = kKvF16;
layout(constant_id = kAttentionSpecValueFormat) const uint kValueFormat = kKvF16;
layout(constant_id = kAttentionSpecOpenFormat) const uint kOpenFormat = kKvF16;
layout(constant_id = kAttentionSpecSlabs) const uint kSlabs = 1;
layout(constant_id = kAttentionSpecCap) const uint kCap = 0;
layout(constant_id = kAttentionSpecReach) const uint kReach = kReachAll;
layout(constant_id = kAttentionSpecShared) const uint kShared = 0;

const uint kLanes = gl_WorkGroupSize.x;
const uint kRows = kHeads * kTokens;
const uint kKeys = kPageTokens / kLanes;                     // keys a lane
const uint kBlocks = (kHeadDim + kLanes - 1) / kLanes;       // channels a lane
const uint kGroups = kHeadDim < 64 ? 1 : kHeadDim / 32;      // kv_groups()
const uint kSlots = kRows * kGroups;
#include "vk_kernels/shaders/lanes.glsl"

layout(push_constant) uniform Push { AttentionPush pc; };
layout(binding = kAttentionTiles) readonly buffer Tiles { uint tiles[]; };
layout(binding = kAttentionTable) readonly buffer Table { uint table[]; };
layout(binding = kAttentionOut) writeonly buffer Out { float y[]; };
layout(binding = kAttentionPartials) writeonly buffer Partials { float partials[]; };
#ifdef KVASIR_CPU_LANES  // texels: why, see mat_mul.comp
#define WORDS(name) uniform usamplerBuffer name
#define WORD(name, at) texelFetch(name, int(at)).x
layout(binding = kAttentionQ) WORDS(q);
layout(binding = kAttentionOpen) WORDS(open_words);
layout(binding = kAttentionSinkQ) WORDS(sink_q);
layout(binding = kAttentionPages0) WORDS(pages0);
layout(binding = kAttentionPages1) WORDS(pages1);
layout(binding = kAttentionPages2) WORDS(pages2);
layout(binding = kAttentionPages3) WORDS(pages3);
#else
#define WORD(name, at) name[at]
layout(binding = kAttentionQ) readonly buffer Q { uint q[]; };
layout(binding = kAttentionOpen) readonly buffer Open { uint open_words[]; };
layout(binding = kAttentionSinkQ) readonly buffer SinkQ { uint sink_q[]; };
layout(binding = kAttentionPages0) readonly buffer Pages0 { uint pages0[]; };
layout(binding = kAttentionPages1) readonly buffer Pages1 { uint pages1[]; };
layout(binding = kAttentionPages2) readonly buffer Pages2 { uint pages2[]; };
layout(binding = kAttentionPages3) readonly buffer Pages3 { uint pages3[]; };
#endif

uint tile_first_row, tile_rows, tile_first_token;
uint tile_page;  // the tokens' own page
uint kv_head, first_head;
uint slab;
uint visited;    // page of the sequence that is being read

float m[kRows];                    // running maximum
float l[kRows];                    // this lane's share of the sum of weights
float o[kRows][kBlocks];           // weighted sum of codes, this lane's channels
float zeros[kRows][kGroups];       // this lane's share of the weighted sum of zeros
float merged_m[kRows], merged_l[kRows], merged_o[kRows][kBlocks];

uint load_word(bool own, uint at) {
    if (own) return WORD(open_words, at);
    if (kSlabs == 1) return WORD(pages0, at);
    switch (slab) {
        case 0: return WORD(pages0, at);
        case 1: return WORD(pages1, at);
        case 2: return WORD(pages2, at);
        default: return WORD(pages3, at);
    }
}

uint token_row(uint t) { return kShared == 0 ? tile_first_row + t : table[tile_first_row + t]; }
uint row_token(uint r) { return min(r / kHeads, tile_rows - 1); }  // rows past the tile repeat the last one
uint row_position(uint r) { return tile_page * kPageTokens + tile_first_token + row_token(r); }
// First page that a row's window reaches into.
uint row_first_page(uint r) { return (max(row_position(r) + 1, pc.window) - pc.window) / kPageTokens; }
uint n_sink_pages() { return kReach == kReachSinks ? (pc.n_sinks + kPageTokens - 1) / kPageTokens : 0; }
bool is_sink(uint j) { return visited * kPageTokens + j < pc.n_sinks; }
bool sees(bool own, uint r, uint j) {
    bool seen = !own || j <= tile_first_token + row_token(r);
    if (kReach == kReachWindow) seen = seen && visited * kPageTokens + j + pc.window > row_position(r);
    if (kReach == kReachSinks) seen = seen && (is_sink(j) || visited * kPageTokens + j + pc.window > row_position(r));
    return seen;
}
// First page of a split that a row sees: what it gathered of pages before is thrown away there.
uint row_split_page(uint r, uint split_page) {
    if (kReach == kReachAll || split_page < n_sink_pages()) return split_page;
    return max(split_page, row_first_page(r));
}
bool row_sees_split(uint r, uint split) {
    return kReach == kReachAll || split * kSplitPages < n_sink_pages() || split >= row_first_page(r) / kSplitPages;
}
uint row_head(uint r) { return min(first_head + r % kHeads, (kv_head + 1) * (pc.n_heads / pc.n_kv_heads) - 1); }
uint row_at(uint r) { return (token_row(row_token(r)) * pc.n_heads + row_head(r)) * kHeadDim; }

float lane_max(float value) {
#ifdef LANES_SHUFFLE
    for (uint step = 1; step < kLanes; step *= 2) value = max(value, subgroupShuffleXor(value, step));
    return value;
#else
    put(0, value);
    ready();
    float best = get(0, 0);
    for (uint i = 1; i < kLanes; ++i) best = max(best, get(0, i));
    return best;
#endif
}

float lane_sum(uint slot) {  // of what was put there, in lane order
    precise float sum = get(slot, 0);
    for (uint i = 1; i < kLanes; ++i) sum = sum + get(slot, i);
    return sum;
}

// Eight neighbouring channels from c of key token j, codes unscaled.
void load_keys(bool own, uint format, uint base, uint c, uint j, out float k[8]) {
    if (format == kKvF32) {
        for (uint e = 0; e < 8; ++e) k[e] = uintBitsToFloat(load_word(own, base + (c + e) * kPageTokens + j));
    } else if (format == kKvF16) {
        for (uint e = 0; e < 4; ++e) {
            vec2 pair = unpackHalf2x16(load_word(own, base + (c / 2 + e) * kPageTokens + j));
            k[2 * e] = pair.x;
            k[2 * e + 1] = pair.y;
        }
    } else if (format == kKvInt8) {
        for (uint e = 0; e < 2; ++e) {
            uint w = load_word(own, base + (c / 4 + e) * kPageTokens + j);
            for (uint b = 0; b < 4; ++b) k[4 * e + b] = float((w >> (8 * b)) & 255u);
        }
    } else {
        uint w = load_word(own, base + c / 8 * kPageTokens + j);
        for (uint b = 0; b < 8; ++b) k[b] = float((w >> (4 * b)) & 15u);
    }
}

void score(bool own, bool with_sink_q, uint format, uint base, out float s[kRows][kKeys]) {
    const bool quantized = kv_is_quantized(format);
    precise float zero_dot[kRows];
    for (uint r = 0; r < kRows; ++r) {
        zero_dot[r] = 0.0;
        for (uint i = 0; i < kKeys; ++i) s[r][i] = 0.0;
    }
    for (uint first = 0; first < kHeadDim; first += kLanes) {
        uint c = first + LANE;
        bool inside = kHeadDim % kLanes == 0 || c < kHeadDim;
        c = inside ? c : kHeadDim - 1;
        vec2 pair = vec2(1.0, 0.0);
        if (quantized) pair = unpackHalf2x16(load_word(own, base + kv_key_code_words(format, kHeadDim) + c));
        for (uint r = 0; r < kRows; ++r) {
            precise float value = inside ? uintBitsToFloat(with_sink_q ? WORD(sink_q, row_at(r) + c) : WORD(q, row_at(r) + c)) : 0.0;
            if (quantized) {
                zero_dot[r] = fma(value, pair.y, zero_dot[r]);
                value = value * pair.x;
            }
            put(r, value);
        }
        ready();
        for (uint octet = 0; octet < kLanes; octet += 8) {
            if (first + octet >= kHeadDim) break;
            float k[kKeys][8];
            for (uint i = 0; i < kKeys; ++i) load_keys(own, format, base, first + octet, LANE + i * kLanes, k[i]);
            for (uint r = 0; r < kRows; ++r)
                for (uint e = 0; e < 8; ++e) {
                    float value = get(r, octet + e);
                    for (uint i = 0; i < kKeys; ++i) {
                        precise float sum = fma(value, k[i][e], s[r][i]);
                        s[r][i] = sum;
                    }
                }
        }
    }
    if (quantized) {
        for (uint r = 0; r < kRows; ++r) put(r, zero_dot[r]);
        ready();
    }
    for (uint r = 0; r < kRows; ++r) {
        float zero = quantized ? lane_sum(r) : 0.0;
        for (uint i = 0; i < kKeys; ++i) {
            precise float scaled = (s[r][i] + zero) * pc.score_scale;
            if (kCap != 0) scaled = soft_cap(scaled, pc.score_cap);
            s[r][i] = scaled;
        }
    }
}

// Scores become weights; what was summed before is rescaled to the new maximum.
void weigh(bool own, uint split_page, inout float s[kRows][kKeys]) {
    for (uint r = 0; r < kRows; ++r) {
        const bool first_page = visited == row_split_page(r, split_page);
        float best = -3.0e38;
        for (uint i = 0; i < kKeys; ++i)
            best = sees(own, r, LANE + i * kLanes) ? max(best, s[r][i]) : best;
        best = lane_max(best);
        float new_m = first_page ? best : max(m[r], best);
        precise float rescale = first_page ? 0.0 : exp(m[r] - new_m);
        m[r] = new_m;
        precise float sum = first_page ? 0.0 : l[r] * rescale;
        for (uint i = 0; i < kKeys; ++i) {
            precise float weight = exp(s[r][i] - new_m);
            s[r][i] = sees(own, r, LANE + i * kLanes) ? weight : 0.0;
            sum = sum + s[r][i];
        }
        l[r] = sum;
        for (uint b = 0; b < kBlocks; ++b) {
            precise float scaled = first_page ? 0.0 : o[r][b] * rescale;
            o[r][b] = scaled;
        }
        for (uint g = 0; g < kGroups; ++g) {
            precise float scaled = first_page ? 0.0 : zeros[r][g] * rescale;
            zeros[r][g] = scaled;
        }
    }
}

uint group_begin(uint g) { return kHeadDim / 8 * g / kGroups * 8; }  // kv_group_begin()

// The weight of a token for channel block b: that of the channel's group. A block of lanes may lie across two groups.
float block_weight(uint b, float x[kGroups]) {
    float weight = x[0];
    for (uint g = 1; g < kGroups; ++g) {
        if ((b + 1) * kLanes <= group_begin(g)) continue;
        weight = b * kLanes >= group_begin(g) || b * kLanes + LANE >= group_begin(g) ? x[g] : weight;
    }
    return weight;
}

// Value codes of token `first + e` in the words of tokens first .. first + pack - 1.
float value_code(uint format, uint word, uint e) {
    if (format == kKvF32) return uintBitsToFloat(word);
    if (format == kKvF16) {
        vec2 pair = unpackHalf2x16(word);
        return (LANE & 1) == 0 ? pair.x : pair.y;
    }
    return float(format == kKvInt8 ? (word >> (8 * e)) & 255u : (word >> (4 * e)) & 15u);
}

uint value_word(uint format, uint j, uint c) {
    if (format == kKvF32) return j * kHeadDim + c;
    if (format == kKvF16) return (j * kHeadDim + c) / 2;
    return j / kv_pack(format) * kHeadDim + c;
}

// o += p V for token `first + e` of those whose weights were put down; words hold its codes.
void add_value(bool own, uint format, uint n_groups, uint j, uint first, uint e, uint words[kBlocks]) {
    float v[kBlocks];
    for (uint b = 0; b < kBlocks; ++b) v[b] = value_code(format, words[b], e);
    for (uint r = 0; r < kRows; ++r) {
        float x[kGroups];
        for (uint g = 0; g < kGroups; ++g) x[g] = g < n_groups ? get(r * n_groups + g, first + e) : 0.0;
        bool visible = sees(own, r, j + e);
        for (uint b = 0; b < kBlocks; ++b) {
            precise float sum = fma(kv_is_quantized(format) ? block_weight(b, x) : x[0], v[b], o[r][b]);
            o[r][b] = visible ? sum : o[r][b];
        }
    }
}

// The loops over keys and words stay loops; those inside unroll, so that o stays in registers.
void add_values(bool own, uint format, uint base, float p[kRows][kKeys]) {
    const bool quantized = kv_is_quantized(format);
    const uint n_groups = quantized ? kGroups : 1;
    const uint pack = quantized ? kv_pack(format) : 1;  // tokens a word
    for (uint key = 0; key < kKeys; ++key) {
        for (uint g = 0; g < n_groups; ++g) {
            vec2 pair = vec2(1.0, 0.0);
            if (quantized) pair = unpackHalf2x16(load_word(own, base + kv_key_code_words(format, kHeadDim) + g * kPageTokens + LANE + key * kLanes));
            for (uint r = 0; r < kRows; ++r) {
                precise float weight = p[r][key];
                if (quantized) {
                    precise float zero = fma(weight, pair.y, zeros[r][g]);
                    zeros[r][g] = zero;
                    weight = weight * pair.x;
                }
                put(r * n_groups + g, weight);
            }
        }
        ready();
        for (uint first = 0; first < kLanes; first += pack) {
            uint j = key * kLanes + first;
            uint words[kBlocks];
            for (uint b = 0; b < kBlocks; ++b) words[b] = load_word(own, base + value_word(format, j, min(b * kLanes + LANE, kHeadDim - 1)));
            if (format == kKvInt8) {  // unrolled by four between loops, lavapipe spills o: 1.4 of f16's time instead of 1.1
                [[dont_unroll]] for (uint e = 0; e < pack; ++e) add_value(own, format, n_groups, j, first, e, words);
            } else {
                for (uint e = 0; e < pack; ++e) add_value(own, format, n_groups, j, first, e, words);
            }
        }
    }
}

void visit(bool own, uint split_page, uint key_format, uint value_format, uint page_at) {
    float s[kRows][kKeys];
    const uint keys_at = page_at + kv_key_base(key_format, kHeadDim, kv_head);
    score(own, false, key_format, keys_at, s);
    if (visited < n_sink_pages()) {
        float sink_s[kRows][kKeys];
        score(own, true, key_format, keys_at, sink_s);
        for (uint r = 0; r < kRows; ++r)
            for (uint i = 0; i < kKeys; ++i) s[r][i] = is_sink(LANE + i * kLanes) ? sink_s[r][i] : s[r][i];
    }
    weigh(own, split_page, s);
    add_values(own, value_format, page_at + kv_value_base(key_format, value_format, pc.n_kv_heads, kHeadDim, kv_head), s);
}

// Lanes' shares become whole: l and o are complete after this.
void finish_split() {
    for (uint r = 0; r < kRows; ++r) put(r, l[r]);
    ready();
    for (uint r = 0; r < kRows; ++r) l[r] = lane_sum(r);
    if (!kv_is_quantized(kValueFormat)) return;
    for (uint g = 0; g < kGroups; ++g) {
        uint begin = group_begin(g);
        uint end = group_begin(g + 1);
        for (uint r = 0; r < kRows; ++r) put(r, zeros[r][g]);
        ready();
        for (uint r = 0; r < kRows; ++r) {
            float zero = lane_sum(r);
            for (uint b = 0; b < kBlocks; ++b) {
                uint c = b * kLanes + LANE;
                precise float sum = o[r][b] + zero;
                o[r][b] = c >= begin && c < end ? sum : o[r][b];
            }
        }
    }
}

void merge_split(uint split, uint first_split) {
    for (uint r = 0; r < kRows; ++r) {
        const bool seen = row_sees_split(r, split);
        const bool first = split == (kReach == kReachWindow ? max(first_split, row_first_page(r) / kSplitPages) : first_split);
        float new_m = first ? m[r] : max(merged_m[r], m[r]);
        precise float before = first ? 0.0 : exp(merged_m[r] - new_m);
        precise float now = exp(m[r] - new_m);
        precise float sum_before = merged_l[r] * before;
        precise float sum_now = l[r] * now;
        precise float sum = sum_before + sum_now;
        merged_l[r] = first ? l[r] : (seen ? sum : merged_l[r]);
        merged_m[r] = first || seen ? new_m : merged_m[r];
        for (uint b = 0; b < kBlocks; ++b) {
            precise float o_before = merged_o[r][b] * before;
            precise float o_now = o[r][b] * now;
            precise float both = o_before + o_now;
            merged_o[r][b] = first ? o[r][b] : (seen ? both : merged_o[r][b]);
        }
    }
}

void main() {
    const uint tile = gl_WorkGroupID.x * kAttentionTileWords;
    tile_first_row = tiles[tile];
    tile_rows = tiles[tile + 1];
    const uint table_offset = tiles[tile + 2];
    const uint n_sealed = tiles[tile + 3];
    const uint open_slot = tiles[tile + 4];
    tile_first_token = tiles[tile + 5];
    tile_page = n_sealed;
    const uint n_rep = pc.n_heads / pc.n_kv_heads;
    const uint n_chunks = (n_rep + kHeads - 1) / kHeads;
    kv_head = gl_WorkGroupID.y / n_chunks;
    first_head = kv_head * n_rep + gl_WorkGroupID.y % n_chunks * kHeads;

    const uint n_splits = n_sealed / kSplitPages + 1 - kShared;
    const uint own_first_split = kReach == kReachAll ? tiles[tile + 6] : 0;
    const uint first_page = kReach == kReachAll ? 0 : row_first_page(0);  // between it and the sinks' pages nothing is seen
    const bool apart = pc.max_splits > 0;
    if (apart && (gl_WorkGroupID.z >= n_splits || gl_WorkGroupID.z < own_first_split || !row_sees_split(0, gl_WorkGroupID.z))) return;
    const uint first_split = kReach == kReachSinks ? 0 : first_page / kSplitPages;
    const uint split_begin = apart ? gl_WorkGroupID.z : first_split;
    const uint split_end = apart ? split_begin + 1 : n_splits;
    const uint page_words = kv_page_words(kKeyFormat, kValueFormat, pc.n_kv_heads, kHeadDim);
    for (uint split = split_begin; split < split_end; ++split) {
        if (!row_sees_split(0, split)) continue;
        const uint begin = split * kSplitPages;
        const uint end = min(begin + kSplitPages, n_sealed);
        for (visited = row_split_page(0, begin); visited < end; ++visited) {
            if (visited >= n_sink_pages() && visited < first_page) continue;
            uint page = table[table_offset + visited];
            slab = page / pc.pages_per_slab;
            visit(false, begin, kKeyFormat, kValueFormat, page % pc.pages_per_slab * page_words);
        }
        if (kShared == 0 && split + 1 == n_splits) {
            visited = n_sealed;
            visit(true, begin, kOpenFormat, kOpenFormat,
                  open_slot * kv_page_words(kOpenFormat, kOpenFormat, pc.n_kv_heads, kHeadDim));
        }
        finish_split();
        merge_split(split, split_begin);
    }
    for (uint r = 0; r < kRows; ++r) {
        if (r / kHeads >= tile_rows || gl_WorkGroupID.y % n_chunks * kHeads + r % kHeads >= n_rep) continue;
        for (uint b = 0; b < kBlocks; ++b) {
            uint c = b * kLanes + LANE;
            if (c >= kHeadDim) continue;
            if (kShared != 0 || (apart && n_splits > 1)) {
                uint at = (token_row(r / kHeads) * pc.n_heads + first_head + r % kHeads) * pc.max_splits + split_begin;
                partials[at * (kHeadDim + 2) + c] = merged_o[r][b];
                if (c == 0) {
                    partials[at * (kHeadDim + 2) + kHeadDim] = merged_m[r];
                    partials[at * (kHeadDim + 2) + kHeadDim + 1] = merged_l[r];
                }
            } else {
                precise float result = merged_o[r][b] / merged_l[r];
                y[row_at(r) + c] = result;
            }
        }
    }
}
