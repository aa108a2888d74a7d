// Mixture of experts: which experts a token takes, with what weight, and who computes which rows.
//
//   choose_experts  a token's n_used largest router logits, ties to the lower expert, weights = softmax over the chosen
//   group_experts   pairs (token, choice) = row token * n_used + choice, sorted by expert, cut into tiles of one expert
//   add_experts     x[t] += sum over choices, in their order, of weight * y[t * n_used + choice]
//
// A row's bits depend on its token and its expert only: tiles are the batch's affair.
#ifndef KVASIR_VK_KERNELS_SHARED_EXPERTS_H
#define KVASIR_VK_KERNELS_SHARED_EXPERTS_H
#include "config/base/glsl_shared.h"

SHARED_BEGIN
const uint kMaxExperts = 256;

struct ChooseExpertsPush {
    uint n_tokens;
    uint n_experts;  // at most kMaxExperts
    uint n_used;     // 1 .. n_experts
};
const uint kChooseLogits = 0;   // (n_tokens, n_experts) f32
const uint kChooseExperts = 1;  // (n_tokens, n_used) uint
const uint kChooseWeights = 2;  // (n_tokens, n_used) f32
const uint kChooseSpecThreads = 0;

struct GroupExpertsPush {
    uint n_pairs;
    uint n_experts;
    uint n_tiles;      // room: n_pairs / tile_tokens + min(n_experts, n_pairs) are always enough
    uint tile_tokens;  // most rows of a tile
};
const uint kGroupExperts = 0;  // (n_pairs) uint
const uint kGroupRoutes = 1;   // n_tiles tiles, then n_pairs rows
const uint kGroupSpecThreads = 0;

// A tile: expert, word of its first row in the routes, rows (0: a spare tile).
const uint kRouteTileWords = 3;

struct AddExpertsPush {
    uint n_tokens;
    uint n_used;
    uint n_cols;
};
const uint kAddExpertsY = 0;        // (n_tokens * n_used, n_cols) f32
const uint kAddExpertsWeights = 1;  // (n_tokens, n_used) f32
const uint kAddExpertsX = 2;        // (n_tokens, n_cols) f32
const uint kAddExpertsSpecThreads = 0;
SHARED_END
#endif
