// embed: y[t, k] = scale * table[tokens[t], k], or y[t, k] += that: positions on top of tokens
#ifndef KVASIR_VK_KERNELS_SHARED_EMBED_H
#define KVASIR_VK_KERNELS_SHARED_EMBED_H
#include "config/base/glsl_shared.h"

SHARED_BEGIN
struct EmbedPush {
    uint n_cols;
    uint n_tokens;
    uint first_row;      // of this binding in the table; tokens of other bindings are left to other dispatches
    uint n_rows;         // of this binding
    uint scales_offset;  // first scale word in the binding
    float scale;
};

const uint kEmbedTable = 0;   // weight_layout.h
const uint kEmbedTokens = 1;  // (n_tokens) uint
const uint kEmbedY = 2;       // (n_tokens, n_cols) f32

const uint kEmbedSpecFormat = 0;
const uint kEmbedSpecAdd = 1;  // 1: added to y
const uint kEmbedSpecThreads = 2;
SHARED_END
#endif
