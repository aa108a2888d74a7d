#include "daemon/model/tune_attention.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

#include "vk_kernels/ops/attention_trial.hpp"

namespace kvasir {
namespace {

constexpr std::uint32_t kSplits = 3;  // shared; a fourth is each sequence's own
constexpr std::uint32_t kRounds = 7;
constexpr double kWorthIt = 0.95;

}  // namespace

Result<std::uint32_t> measure_min_sharers(gpu::Device& device, gpu::Recorder& recorder,
                                          const gpu::Attention& attention, const gpu::KvStore& kv,
                                          const ModelShape& shape, const Activations& activations) {
    const auto seconds = [&](const gpu::Attention::Work& work) -> Result<double> {
        KVASIR_TRY_VOID(recorder.begin());
        for (std::uint32_t i = 0; i < shape.n_layers; ++i) {
            if (shape.spans[i].reach.kind() != shared::kReachAll) continue;
            attention.record(recorder, activations.q.slice(), kv.layer(i), work,
                             activations.partials.slice(), activations.attn.slice());
        }
        const auto begin = std::chrono::steady_clock::now();
        KVASIR_TRY_VOID(recorder.submit_and_wait());
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    if (std::ranges::none_of(shape.spans, [](const LayerSpan& span) {
            return span.reach.kind() == shared::kReachAll;
        }))
        return 0;
    for (std::uint32_t n = 2; n <= attention.n_sharers(); ++n) {
        KVASIR_TRY(const gpu::AttentionTrial trial,
                   gpu::AttentionTrial::create(device, kv, kSplits * shared::kSplitPages, n, n));
        double together = std::numeric_limits<double>::max();
        double apart = together;
        for (std::uint32_t round = 0; round < kRounds; ++round) {  // interleaved
            KVASIR_TRY(const double one, seconds(trial.together));
            KVASIR_TRY(const double other, seconds(trial.apart));
            together = std::min(together, one);
            apart = std::min(apart, other);
        }
        if (together <= kWorthIt * apart) return n;
    }
    return 0;
}

}  // namespace kvasir
