// attention_paged: out[t, h] = softmax(score_scale * q[t, h] . K) V over every sealed page before the token's own page,
// then over its own, open page up to the token itself. attention_merge adds up what splits left apart.
//
// With a window, query i sees the keys j with i - j < window; with sinks also the keys j < n_sinks, which it reads with
// sink_q in q's place; with a cap, a score s becomes cap tanh(s / cap).
//
// Per page: int8 and int4 keys fold their channel's scale into the query, score = (q .* scale) . code + q . zero;
// values fold their token's scale into the weight, out += (p * scale) * code, and sum p * zero beside.
// Online softmax page by page in order; every kSplitPages pages, at fixed absolute page indices, a split ends with
// (m, l, o), and splits are merged in order. So the bits do not depend on tiles, batch, or on who walks the splits.
//
// Rows of several sequences that begin with the same pages may read whole splits of them together, in tiles of their own:
//
//     row 3  [ split 0 ][ split 1 ][ split 2 . own page ]      shared tile: rows 3, 5, splits 0 and 1, left as partials
//     row 5  [ split 0 ][ split 1 ][ . own page ]              tiles of rows 3 and 5: from split 2 on
#ifndef KVASIR_VK_KERNELS_SHARED_ATTENTION_PAGED_H
#define KVASIR_VK_KERNELS_SHARED_ATTENTION_PAGED_H
#include "config/base/glsl_shared.h"

SHARED_BEGIN
struct AttentionPush {
    uint n_heads;
    uint n_kv_heads;
    uint pages_per_slab;
    uint max_splits;       // splits a row of partials has room for; 0: every workgroup walks all splits itself, none is shared
    float score_scale;
    float score_cap;       // with a cap
    uint window;           // with a window: tokens, the query's own included
    uint n_sinks;          // with sinks: tokens
};

// Consecutive query tokens of one sequence within one page; with kAttentionSpecShared, of several sequences.
struct AttentionTile {
    uint first_row;     // row of q and out; shared: entry of the page table where the rows are listed
    uint n_rows;        // 1 .. tokens a tile
    uint table_offset;  // first entry of the sequence in the page table
    uint n_sealed;      // pages before the tokens' own page; shared: of whole splits
    uint open_slot;     // of their own page
    uint first_token;   // position of the first row in its page
    uint first_split;   // those before are another tile's affair: where nothing limits the reach
};
const uint kAttentionTileWords = 7;

const uint kAttentionQ = 0;         // (n_rows, n_heads * head_dim) f32
const uint kAttentionTiles = 1;     // AttentionTile[]
const uint kAttentionTable = 2;     // page ids
const uint kAttentionOpen = 3;      // open pages of this layer
const uint kAttentionOut = 4;       // (n_rows, n_heads * head_dim) f32
const uint kAttentionPartials = 5;  // (n_rows, n_heads, max_splits, head_dim + 2) f32: o, m, l
const uint kAttentionPages0 = 6;    // sealed pages of this layer, slabs 0 .. kMaxSlabs - 1
const uint kAttentionPages1 = 7;
const uint kAttentionPages2 = 8;
const uint kAttentionPages3 = 9;
const uint kAttentionSinkQ = 10;    // as kAttentionQ; read only with sinks

const uint kMaxSlabs = 4;
const uint kSplitPages = 16;

const uint kAttentionSpecLanes = 0;  // local size; divides kPageTokens; at least 8
const uint kAttentionSpecHeadDim = 1;
const uint kAttentionSpecHeads = 2;   // query heads a workgroup shares a page among, all of one kv head
const uint kAttentionSpecTokens = 3;  // tokens a tile has at most
const uint kAttentionSpecKeyFormat = 4;
const uint kAttentionSpecValueFormat = 5;
const uint kAttentionSpecOpenFormat = 6;
const uint kAttentionSpecSlabs = 7;
const uint kAttentionSpecCap = 8;     // 1: with a cap
const uint kAttentionSpecReach = 9;   // kReach...
const uint kAttentionSpecShared = 10; // 1: tiles of several sequences; kReachAll, splits apart

const uint kReachAll = 0;
const uint kReachWindow = 1;
const uint kReachSinks = 2;  // a window and sinks

struct AttentionMergePush {
    uint n_rows;
    uint n_heads;
    uint max_splits;
    uint window;   // tokens; 0: all
    uint n_sinks;  // tokens
};
const uint kMergeRows = 0;      // (n_rows, 2) uint: row of out, position; in the first split: already written
const uint kMergePartials = 1;
const uint kMergeOut = 2;
const uint kMergeSpecHeadDim = 0;
const uint kMergeSpecThreads = 1;
SHARED_END
#endif
