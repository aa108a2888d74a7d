// rope_append_kv: rotates queries and keys, writes queries to q, and rounds keys and values into the open pages.
//
//   pair (a, b) at angle: a' = a * cos - b * sin, b' = b * cos + a * sin
//   with a norm, a query's or key's channel first becomes x / sqrt(mean over its head (x^2) + eps) * norm; the sum of
//   squares is kRopeNormPartials partial sums (partial p: channels p, p + kRopeNormPartials, ...), added in order
//   with sinks, queries are written a second time, turned by sink_table: what attention sinks are read with
//   pairs are channels (2i, 2i + 1) where interleaved, (i, i + n_rot / 2) where not; channels from n_rot on pass through
#ifndef KVASIR_VK_KERNELS_SHARED_ROPE_APPEND_KV_H
#define KVASIR_VK_KERNELS_SHARED_ROPE_APPEND_KV_H
#include "config/base/glsl_shared.h"

SHARED_BEGIN
struct RopeAppendKvPush {
    uint n_tokens;
    uint n_heads;
    uint n_kv_heads;
    uint n_rot;  // rotated channels a head, even
    float norm_eps;
};

const uint kRopeQkv = 0;     // (n_tokens, (n_heads + 2 n_kv_heads) * head_dim) f32: queries, keys, values
const uint kRopeTable = 1;   // (n_tokens, n_rot / 2) pairs cos, sin f32
const uint kRopeSlots = 2;   // (n_tokens) uint: open slot * 32 + token in page
const uint kRopeQ = 3;       // (n_tokens, n_heads * head_dim) f32
const uint kRopeOpen = 4;    // open pages of this layer, kv_format.h
const uint kRopeNorm = 5;    // (2, head_dim) f32: of queries, of keys; read only with a norm
const uint kRopeSinkTable = 6;  // as kRopeTable; read only with sinks
const uint kRopeSinkQ = 7;      // as kRopeQ; written only with sinks

const uint kRopeSpecHeadDim = 0;
const uint kRopeSpecInterleaved = 1;
const uint kRopeSpecOpenFormat = 2;  // kKvF16, or kKvF32 in the reference mode
const uint kRopeSpecNorm = 3;  // 1: with a norm
const uint kRopeSpecSinks = 4;  // 1: with sinks
const uint kRopeSpecThreads = 5;

const uint kRopeNormPartials = 32;
SHARED_END
#endif
