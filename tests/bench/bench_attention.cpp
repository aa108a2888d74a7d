// Attention over a long cache, one decode step's worth of one layer, KV formats interleaved in one
// run: medians, and ratios to f16. With several sequences all are on the same pages, and read whole
// splits together, or each for itself: ratios of that. Usage: bench_attention [tokens] [rounds]
// [sequences]. Not run by ctest: machines are noisy, quote the ratios.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <vector>

#include "vk_kernels/kv_store.hpp"
#include "vk_kernels/ops/attention_trial.hpp"
#include "vk_kernels/recorder.hpp"

using namespace kvasir;

namespace {

constexpr gpu::HeadShape kHeads{.n_heads = 12, .n_kv_heads = 4, .head_dim = 64};

struct Case {
    const char* name;
    gpu::KvFormats formats;
    std::unique_ptr<gpu::KvStore> kv;
    std::unique_ptr<gpu::Attention> attention;
    gpu::AttentionTrial trial;
    std::vector<double> ms;
    std::unique_ptr<gpu::Attention> sharing;  // with several sequences
    std::vector<double> together_ms;
};

/// What all cases read and write.
struct Buffers {
    gpu::Buffer q, partials, out;
};

void fill(std::span<std::byte> bytes, std::uint32_t word) {
    for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4)
        std::copy_n(reinterpret_cast<const std::byte*>(&word), 4, bytes.data() + i);
}

void run(gpu::Recorder& recorder, const gpu::Attention& attention, const gpu::KvStore& kv,
         const gpu::Attention::Work& work, const Buffers& b, std::vector<double>& ms) {
    constexpr int kLayers = 12;
    recorder.begin().value();
    for (int i = 0; i < kLayers; ++i)
        attention.record(recorder, b.q.slice(), kv.layer(0), work, b.partials.slice(),
                         b.out.slice());
    const auto start = std::chrono::steady_clock::now();
    recorder.submit_and_wait().value();
    ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
                     .count() /
                 kLayers);
}

void run(gpu::Recorder& recorder, Case& c, const Buffers& b) {
    run(recorder, *c.attention, *c.kv, c.trial.apart, b, c.ms);
    if (c.sharing) run(recorder, *c.sharing, *c.kv, c.trial.together, b, c.together_ms);
}

}  // namespace

int main(int argc, char** argv) {
    const std::uint32_t n_tokens = argc > 1 ? static_cast<std::uint32_t>(std::atoi(argv[1])) : 8192;
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 15;
    const auto device = gpu::Device::create({}).value();
    const auto recorder = gpu::Recorder::create(*device).value();
    const std::uint32_t n =
        argc > 3 ? std::max(static_cast<std::uint32_t>(std::atoi(argv[3])), 1U) : 1;
    const std::uint32_t n_pages = n_tokens / shared::kPageTokens;
    Buffers b;
    const auto upload = [&](std::uint64_t bytes) {
        return gpu::Buffer::create(*device, bytes, gpu::BufferDomain::upload).value();
    };
    const std::uint64_t row_bytes = std::uint64_t{kHeads.n_heads} * kHeads.head_dim * 4;
    b.q = upload(n * row_bytes);
    b.out = upload(n * row_bytes);
    b.partials = upload(std::uint64_t{n} * kHeads.n_heads * (n_pages / shared::kSplitPages + 1) *
                        (kHeads.head_dim + 2) * 4);
    fill(b.q.mapped(), 0x3dcccccd);  // 0.1

    const auto quantized = [](std::uint32_t keys, std::uint32_t values) {
        return gpu::KvFormats{keys, values};
    };
    std::vector<Case> cases;
    cases.push_back({"f16", quantized(shared::kKvF16, shared::kKvF16), {}, {}, {}, {}, {}, {}});
    cases.push_back({"int8", quantized(shared::kKvInt8, shared::kKvInt8), {}, {}, {}, {}, {}, {}});
    cases.push_back(
        {"int8:int4", quantized(shared::kKvInt8, shared::kKvInt4), {}, {}, {}, {}, {}, {}});
    cases.push_back({"int4", quantized(shared::kKvInt4, shared::kKvInt4), {}, {}, {}, {}, {}, {}});
    for (Case& c : cases) {
        gpu::KvShape shape{.n_kv_heads = kHeads.n_kv_heads,
                           .head_dim = kHeads.head_dim,
                           .layers = {c.formats},
                           .open_format = shared::kKvF16};
        c.kv = std::make_unique<gpu::KvStore>(
            gpu::KvStore::create(*device, shape, n_pages, 1).value());
        c.kv->reserve_pages(*device, n_pages).value();
        c.attention = std::make_unique<gpu::Attention>(*device, kHeads, shared::kKvF16, 0.125F);
        c.attention->prepare(c.formats, c.kv->n_slabs()).value();
        const std::uint32_t n_sharers = n > 1 ? std::min(n, gpu::kMostSharers) : 0;
        c.trial = gpu::AttentionTrial::create(*device, *c.kv, n_pages, n, n_sharers).value();
        c.trial.apart.max_splits = c.attention->splits_apart(n, c.trial.apart.max_splits);
        if (n_sharers > 0) {
            gpu::AttentionTiling tiling = gpu::tiling_for(device->limits());
            tiling.n_sharers = n_sharers;
            c.sharing = std::make_unique<gpu::Attention>(*device, kHeads, shared::kKvF16, 0.125F,
                                                         0.0F, tiling);
            c.sharing->prepare(c.formats, c.kv->n_slabs()).value();
        }
        // Equal bits in every page: zeros. Time does not depend on the values.
        recorder->begin().value();
        const gpu::KvLayer layer = c.kv->layer(0);
        for (std::uint32_t s = 0; s < layer.n_slabs; ++s) recorder->fill_zero(layer.slabs[s]);
        recorder->fill_zero(layer.open);
        recorder->submit_and_wait().value();
        run(*recorder, c, b);
        c.ms.clear();
        c.together_ms.clear();
    }
    for (int i = 0; i < rounds; ++i) {
        for (Case& c : cases) run(*recorder, c, b);
    }
    fmt::print("attention over {} tokens, {} heads of {}, {} kv heads, one layer; {}\n", n_tokens,
               kHeads.n_heads, kHeads.head_dim, kHeads.n_kv_heads, device->name());
    double f16_ms = 0;
    for (Case& c : cases) {
        std::sort(c.ms.begin(), c.ms.end());
        const double median = c.ms[c.ms.size() / 2];
        if (f16_ms == 0) f16_ms = median;
        fmt::print("{:<10} {:8.3f} ms  (best {:.3f})  {:.2f} of f16's time  {} bytes a token\n",
                   c.name, median, c.ms.front(), median / f16_ms,
                   c.kv->shape().page_bytes() / shared::kPageTokens);
        if (c.together_ms.empty()) continue;
        std::sort(c.together_ms.begin(), c.together_ms.end());
        const double together = c.together_ms[c.together_ms.size() / 2];
        fmt::print("  {} sequences together {:8.3f} ms: {:.2f} of that\n", n, together,
                   together / median);
    }
    return 0;
}
