#include "vk_kernels/ops/embed.hpp"

#include "config/base/check.hpp"
#include "spv/embed.h"

namespace kvasir::gpu {
namespace {
constexpr std::uint32_t kThreads = 64;
}

Result<> Embed::prepare(std::uint32_t format, Mode mode) {
    if (kernels_.contains({format, mode})) return {};
    KVASIR_TRY(EmbedKernel kernel,
               EmbedKernel::create(*device_, "embed", embed_spv,
                                   {format, mode == Mode::add ? 1U : 0U, kThreads}));
    kernels_.emplace(std::pair(format, mode), std::move(kernel));
    return {};
}

void Embed::record(Recorder& recorder, const Matrix& table, const Slice& tokens, const Slice& y,
                   std::uint32_t n_tokens, float scale, Mode mode) const {
    const auto found = kernels_.find({table.format, mode});
    KVASIR_CHECK(found != kernels_.end(), "embed: a format is prepared before it is recorded");
    const std::uint32_t n = n_tokens * (table.n_cols / 8);
    for (const Matrix::Part& part : table.parts) {
        const shared::EmbedPush push{.n_cols = table.n_cols,
                                     .n_tokens = n_tokens,
                                     .first_row = part.first_row,
                                     .n_rows = part.n_rows,
                                     .scales_offset = part.scales_offset,
                                     .scale = scale};
        found->second.record(recorder, {part.buffer.slice(), tokens, y}, push,
                             {.x = (n + kThreads - 1) / kThreads});
    }
}

}  // namespace kvasir::gpu
