// add_norm: x[t, k] += y[t, k] * norm[k] / sqrt(mean_k(y[t, :]^2) + eps): a branch normalized before it joins the residual.
// The sum of squares is kAddNormPartials partial sums (partial p: columns p, p + kAddNormPartials, ...), added in order.
#ifndef KVASIR_VK_KERNELS_SHARED_ADD_NORM_H
#define KVASIR_VK_KERNELS_SHARED_ADD_NORM_H
#include "config/base/glsl_shared.h"

SHARED_BEGIN
struct AddNormPush {
    uint n_cols;
    float eps;
};

const uint kAddNormY = 0;     // (n_tokens, n_cols) f32
const uint kAddNormNorm = 1;  // (n_cols) f32
const uint kAddNormX = 2;     // (n_tokens, n_cols) f32

const uint kAddNormSpecThreads = 0;
const uint kAddNormPartials = 32;
SHARED_END
#endif
