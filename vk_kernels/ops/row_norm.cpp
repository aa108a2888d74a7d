#include "vk_kernels/ops/row_norm.hpp"

#include "config/base/check.hpp"
#include "spv/row_norm.h"

namespace kvasir::gpu {

static_assert(shared::kRowNormPartials == shared::kNormPartials, "the same sums, the same bits");

Result<RowNorm> RowNorm::create(Device& device) {
    constexpr std::uint32_t kThreads = 64;
    RowNorm op;
    KVASIR_TRY(op.rms_, (Kernel<shared::RowNormPush, 3, 2>::create(device, "row_norm", row_norm_spv,
                                                                   {kThreads, 0})));
    KVASIR_TRY(op.layer_, (Kernel<shared::RowNormPush, 3, 2>::create(device, "row_norm",
                                                                     row_norm_spv, {kThreads, 1})));
    return op;
}

void RowNorm::record(Recorder& recorder, const Args& args) const {
    const bool is_layer = args.norm_kind == shared::kNormLayer;
    KVASIR_CHECK(args.norm->n == (is_layer ? 2 : 1) * args.n_cols, "a norm has a row's columns");
    (is_layer ? layer_ : rms_)
        .record(recorder, {args.x, args.norm->slice(), args.y},
                {.n_cols = args.n_cols,
                 .x_first_row = args.x_first,
                 .y_first_row = args.y_first,
                 .eps = args.eps},
                {.x = args.n_rows});
}

}  // namespace kvasir::gpu
