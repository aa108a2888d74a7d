// mat_mul: y[t, r] (op)= sum_k w[r, k] * x[t, k] (+ bias[r])
//
// Order of the sum, whatever the tile, the lanes and the batch: K is cut into segments of kSegmentColumns at fixed
// offsets; a segment is summed front to back, one fma a column; segments are added front to back. Prefill, decode and
// any batch therefore give equal bits.
//
// With a norm fused in, x[t, k] stands for x[t, k] * inv(t) * norm[k] with inv(t) = 1 / sqrt(mean_k(x^2) + eps); with
// a layer norm, for (x[t, k] - mean(t)) * inv(t) * norm[k] + norm[K + k] with the variance in the mean square's place. Its
// sums are kNormPartials partial sums (partial p: columns p, p + kNormPartials, ...), added in order.
//
// Routed: w is a stack of experts' matrices, and the rows of y are sorted by expert, a tile's rows are of one
// (shared/experts.h); row i of y takes row i / x_share of x.
#ifndef KVASIR_VK_KERNELS_SHARED_MAT_MUL_H
#define KVASIR_VK_KERNELS_SHARED_MAT_MUL_H
#include "config/base/glsl_shared.h"

SHARED_BEGIN
struct MatMulPush {
    uint n_cols;        // K: columns of w and of x
    uint n_rows;        // rows of w in this binding
    uint n_tokens;      // rows of x and y
    uint y_stride;      // elements between rows of y
    uint y_first;       // column of y that row 0 goes to
    uint scales_offset; // first scale word in the binding
    float norm_eps;     // with a fused norm
    float cap;          // with kEpilogueCap
    uint x_share;       // routed: rows of y that share a row of x
    uint first_expert;  // routed: of this binding
    uint n_experts;     // routed: in this binding; n_rows are those of one
    uint bias_first;    // with a bias: of row 0
};

const uint kMatMulWeights = 0;  // weight_layout.h: codes, then scales
const uint kMatMulX = 1;        // (n_tokens, n_cols) f32
const uint kMatMulY = 2;        // (n_tokens, y_stride) f32
const uint kMatMulNorm = 3;     // (n_cols) f32, with a layer norm (2, n_cols): weight, bias; read only with a fused norm
const uint kMatMulBias = 4;     // (n_rows) f32; read only with a bias
const uint kMatMulRoutes = 5;   // experts.h: tiles, then rows; read only where routed

const uint kMatMulSpecFormat = 0;    // quant_format.h
const uint kMatMulSpecRowLanes = 1;  // lanes on different rows
const uint kMatMulSpecSegLanes = 2;  // lanes on different segments of the same rows
const uint kMatMulSpecRows = 3;      // rows a lane: row lanes x rows = kRowTile
const uint kMatMulSpecTokens = 4;    // tokens a lane
const uint kMatMulSpecEpilogue = 5;
const uint kMatMulSpecNorm = 6;      // kNorm...
const uint kMatMulSpecBias = 7;      // 1: with a bias
const uint kMatMulSpecRouted = 8;    // 1: experts by row
const uint kMatMulSpecThreads = 9;   // row lanes x segment lanes

const uint kNormNone = 0;
const uint kNormRms = 1;
const uint kNormLayer = 2;

const uint kEpilogueStore = 0;
const uint kEpilogueAdd = 1;      // y += w x: the residual
const uint kEpilogueSiluMul = 2;  // a row tile holds 16 gates, then their 16 ups: y = silu(gate) * up, n_rows / 2 columns
const uint kEpilogueGeluMul = 3;  // the same with gelu, tanh form
const uint kEpilogueGelu = 4;     // y = gelu(w x), tanh form
const uint kEpilogueGeluExact = 5;
const uint kEpilogueCap = 6;  // y = cap tanh(w x / cap)

/// Whether two rows make one column of y.
SHARED_FUNCTION bool epilogue_pairs_rows(uint epilogue) { return epilogue == kEpilogueSiluMul || epilogue == kEpilogueGeluMul; }

const uint kSegmentColumns = 128;
const uint kNormPartials = 32;
const uint kGateRows = 16;
SHARED_END
#endif
