// What is measured at load, run where it is not: its steps are sound, its answer is one that may
// be.
#include <boost/test/unit_test.hpp>

#include "daemon/model/tune_attention.hpp"
#include "tests/support/gpu_fixture.hpp"

namespace kvasir {
namespace {

using gpu::Gpu;

constexpr std::uint32_t kPages = 50;

struct Parts {
    ModelShape shape;
    gpu::KvStore kv;
    gpu::Attention attention;
    Activations activations;
};

Parts make_parts(Gpu& gpu, const gpu::AttentionReach& reach, std::uint32_t n_sharers) {
    ModelShape shape;
    shape.n_layers = 2;
    shape.heads = {.n_heads = 2, .n_kv_heads = 1, .head_dim = 32};
    shape.dim = 64;
    shape.ffn_dim = 64;
    shape.n_vocab = 8;
    shape.spans.resize(2);
    shape.spans[0].reach = {.window = 40};
    shape.spans[1].reach = reach;
    const gpu::KvFormats formats{shared::kKvInt8, shared::kKvInt8};
    gpu::KvShape kv{.n_kv_heads = 1,
                    .head_dim = 32,
                    .layers = {formats, formats},
                    .open_format = shared::kKvF16};
    gpu::KvStore store = gpu::KvStore::create(*gpu.device, kv, kPages, 2).value();
    gpu::Attention attention(*gpu.device, shape.heads, shared::kKvF16, 0.2F, 0,
                             gpu::AttentionTiling{.n_rows = 1, .n_sharers = n_sharers});
    for (const LayerSpan& span : shape.spans)
        attention.prepare(formats, store.n_slabs(), span.reach).value();
    const BatchLimits limits{.max_tokens = 4,
                             .max_sequences = 4,
                             .max_pages = kPages,
                             .max_logit_rows = 4,
                             .max_splits = 4};
    Activations activations = Activations::create(*gpu.device, shape, limits, attention).value();
    return {std::move(shape), std::move(store), std::move(attention), std::move(activations)};
}

std::uint32_t measure(Gpu& gpu, const Parts& parts) {
    const auto recorder = gpu::Recorder::create(*gpu.device).value();
    return measure_min_sharers(*gpu.device, *recorder, parts.attention, parts.kv, parts.shape,
                               parts.activations)
        .value();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tune_attention)

BOOST_AUTO_TEST_CASE(its_answer_is_a_number_of_sharers_or_none) {
    Gpu& gpu = Gpu::get();
    const std::uint32_t n = measure(gpu, make_parts(gpu, {}, 2));
    BOOST_TEST((n == 0 || n == 2));
    BOOST_TEST(gpu.device->n_validation_messages() == 0);
}

BOOST_AUTO_TEST_CASE(where_no_layer_sees_all_nobody_shares) {
    Gpu& gpu = Gpu::get();
    BOOST_TEST(measure(gpu, make_parts(gpu, {.window = 70}, 2)) == 0U);
}

BOOST_AUTO_TEST_CASE(where_no_kernel_is_for_it_nobody_shares) {
    Gpu& gpu = Gpu::get();
    BOOST_TEST(measure(gpu, make_parts(gpu, {}, 0)) == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
