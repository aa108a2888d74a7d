// row_norm: y[t, k] = x[t, k] * inv(t) * norm[k], inv(t) = 1 / sqrt(mean_k(x[t, :]^2) + eps); a
// layer norm: (x[t, k] - mean(t)) * inv(t) * norm[k] + norm[K + k], with the variance in the mean
// square's place. The sums, their order and so the bits are those of the norm that mat_mul.h fuses
// in: kRowNormPartials partial sums (partial p: columns p, p + kRowNormPartials, ...), added in
// order.
#ifndef KVASIR_VK_KERNELS_SHARED_ROW_NORM_H
#define KVASIR_VK_KERNELS_SHARED_ROW_NORM_H
#include "config/base/glsl_shared.h"

SHARED_BEGIN
struct RowNormPush {
    uint n_cols;       // K
    uint x_first_row;  // that row 0 is read from
    uint y_first_row;  // and goes to
    float eps;
};

const uint kRowNormX = 0;     // (rows, n_cols) f32
const uint kRowNormNorm = 1;  // (n_cols) f32, with a layer norm (2, n_cols): weight, bias
const uint kRowNormY = 2;     // (rows, n_cols) f32

const uint kRowNormSpecThreads = 0;
const uint kRowNormSpecLayer = 1;  // 1: a layer norm
const uint kRowNormPartials = 32;
SHARED_END
#endif
