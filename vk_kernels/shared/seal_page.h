// seal_page: turns full open pages into sealed ones, bit for bit as quant/kv_page.hpp does.
//
//   over a key channel's 32 tokens, or a token's value group:
//     zero = min, exactly; scale = f16((max - min) * (1 / levels)); scale 0: every code 0
//     code = the largest q <= levels with (q - 0.5) * scale <= x - zero, or 0
//   A channel or group with a NaN or an infinity becomes scale 0, zero 0, and the page's status is set.
#ifndef KVASIR_VK_KERNELS_SHARED_SEAL_PAGE_H
#define KVASIR_VK_KERNELS_SHARED_SEAL_PAGE_H
#include "config/base/glsl_shared.h"

SHARED_BEGIN
struct SealPagePush {
    uint n_kv_heads;
    uint pages_per_slab;
    uint slab;  // pages of other slabs are left to other dispatches
};

const uint kSealJobs = 0;    // (n_jobs, 2) uint: open slot, page id
const uint kSealOpen = 1;    // open pages of this layer
const uint kSealPages = 2;   // sealed pages of this layer, one slab
const uint kSealStatus = 3;  // (n_jobs) uint: set to 1 where the page holds a NaN or an infinity

const uint kSealSpecHeadDim = 0;
const uint kSealSpecKeyFormat = 1;
const uint kSealSpecValueFormat = 2;
const uint kSealSpecOpenFormat = 3;
const uint kSealSpecThreads = 4;
SHARED_END
#endif
