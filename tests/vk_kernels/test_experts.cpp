#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "spv/mat_mul.h"
#include "tests/support/gpu_fixture.hpp"
#include "tests/support/reference_ops.hpp"
#include "tests/support/weight_fixture.hpp"
#include "vk_kernels/ops/mat_mul.hpp"

namespace kvasir::gpu {
namespace {

using shared::kEpilogueSiluMul;
using shared::kEpilogueStore;
using shared::kNormNone;
using shared::kNormRms;
using shared::kRowTile;

/// What the device chose for some tokens, read back.
struct Choice {
    std::vector<std::uint32_t> experts;  // (n_tokens, n_used)
    std::vector<float> weights;          // (n_tokens, n_used)
    Buffer words;
    ExpertRoutes routes;
};

Choice choose(Gpu& gpu, const ExpertShape& shape, const std::vector<float>& logits) {
    const auto n_tokens = static_cast<std::uint32_t>(logits.size() / shape.n_experts);
    const Experts op = Experts::create(*gpu.device, shape).value();
    const Buffer logit_buffer = gpu.buffer_of(logits);
    const Buffer experts = gpu.filled_buffer<std::uint32_t>(std::size_t{n_tokens} * shape.n_used);
    const Buffer weights = gpu.filled_buffer<float>(std::size_t{n_tokens} * shape.n_used);
    Choice choice;
    choice.words = gpu.filled_buffer<std::uint32_t>(Experts::route_words(shape, n_tokens));
    gpu.run([&](Recorder& recorder) {
        choice.routes = op.record_choice(recorder, logit_buffer.slice(), experts.slice(),
                                         weights.slice(), choice.words.slice(), n_tokens);
    });
    choice.experts = contents<std::uint32_t>(experts);
    choice.weights = contents<float>(weights);
    return choice;
}

/// Few values, so that many are equal.
std::vector<float> coarse_logits(std::size_t n, std::mt19937& random) {
    std::vector<float> logits(n);
    for (float& x : logits) x = static_cast<float>(random() % 7) / 2;
    return logits;
}

void check_choice(const ExpertShape& shape, const std::vector<float>& logits,
                  const Choice& choice) {
    const std::size_t n_tokens = logits.size() / shape.n_experts;
    for (std::size_t t = 0; t < n_tokens; ++t) {
        std::vector<std::uint32_t> order(shape.n_experts);
        for (std::uint32_t e = 0; e < shape.n_experts; ++e) order[e] = e;
        const auto logit = [&](std::uint32_t e) { return logits[t * shape.n_experts + e]; };
        std::ranges::stable_sort(
            order, [&](std::uint32_t a, std::uint32_t b) { return logit(a) > logit(b); });
        double sum = 0;
        for (std::uint32_t i = 0; i < shape.n_used; ++i)
            sum += std::exp(double{logit(order[i])} - logit(order[0]));
        for (std::uint32_t i = 0; i < shape.n_used; ++i) {
            BOOST_TEST_REQUIRE(choice.experts[t * shape.n_used + i] == order[i]);
            const double share = std::exp(double{logit(order[i])} - logit(order[0])) / sum;
            BOOST_TEST_REQUIRE(std::abs(choice.weights[t * shape.n_used + i] - share) <= 1e-6);
        }
    }
}

/// Every pair lies in one tile, of its own expert, and tiles keep the order.
void check_routes(const Choice& choice) {
    const auto words = contents<std::uint32_t>(choice.words);
    std::vector<std::uint32_t> seen;
    std::uint32_t last_expert = 0;
    for (std::uint32_t tile = 0; tile < choice.routes.n_tiles; ++tile) {
        const std::uint32_t* const entry = words.data() + tile * shared::kRouteTileWords;
        BOOST_TEST_REQUIRE(entry[2] <= choice.routes.tile_tokens);
        if (entry[2] == 0) continue;
        BOOST_TEST_REQUIRE(entry[0] >= last_expert);
        last_expert = entry[0];
        for (std::uint32_t i = 0; i < entry[2]; ++i) {
            const std::uint32_t pair = words.at(entry[1] + i);
            BOOST_TEST_REQUIRE(choice.experts.at(pair) == entry[0]);
            seen.push_back(pair);
        }
    }
    std::ranges::sort(seen);
    BOOST_TEST_REQUIRE(seen.size() == choice.experts.size());
    for (std::uint32_t i = 0; i < seen.size(); ++i) BOOST_TEST_REQUIRE(seen[i] == i);
}

/// n_experts matrices below each other, each padded to whole row tiles.
Matrix upload_stack(Gpu& gpu, const std::vector<TestMatrix>& experts, std::uint32_t per_part) {
    const TestMatrix& first = experts.front();
    Matrix stack{.format = static_cast<std::uint32_t>(first.format->id),
                 .n_rows = 0,
                 .n_cols = first.n_cols,
                 .parts = {},
                 .stack_rows = first.n_rows};
    const std::uint32_t stride = stack.stack_stride();
    Uploader uploader = Uploader::create(*gpu.device, *gpu.recorder).value();
    for (std::size_t e = 0; e < experts.size(); e += per_part) {
        const auto n = std::min<std::size_t>(per_part, experts.size() - e);
        Matrix part =
            uploader
                .upload_matrix(*first.format, static_cast<std::uint32_t>(n) * stride, first.n_cols,
                               [&](std::uint32_t row) {
                                   return row % stride < first.n_rows
                                              ? experts[e + row / stride].row(row % stride)
                                              : std::span<const std::byte>();
                               })
                .value();
        part.parts[0].first_row = static_cast<std::uint32_t>(e) * stride;
        stack.n_rows += part.n_rows;
        stack.parts.push_back(std::move(part.parts[0]));
    }
    return stack;
}

struct RoutedCase {
    std::uint32_t format;
    std::uint32_t epilogue;
    std::uint32_t norm;
    std::uint32_t n_out;
    std::uint32_t per_part;  // experts a binding
};

/// The build for devices that are not CPUs, of the same case.
std::vector<float> portable_product(Gpu& gpu, const MatMul::Args& args, const Buffer& y) {
    struct Lanes {
        std::uint32_t row_lanes, seg_lanes, rows;
    };
    const Lanes lanes = args.epilogue == kEpilogueSiluMul ? Lanes{16, 8, 2} : Lanes{32, 4, 1};
    const MatMulKind kind = MatMul::kind_of(args);
    const auto kernel =
        Kernel<shared::MatMulPush, 6, 10>::create(
            *gpu.device, "mat_mul", mat_mul_spv,
            {kind.format, lanes.row_lanes, lanes.seg_lanes, lanes.rows, args.routes->tile_tokens,
             kind.epilogue, kind.norm, 0U, 1U, lanes.row_lanes * lanes.seg_lanes})
            .value();
    const Matrix& w = *args.weights;
    gpu.run([&](Recorder& recorder) {
        for (const Matrix::Part& part : w.parts) {
            const Slice weights = part.buffer.slice();
            kernel.record(recorder,
                          {weights, args.x, y.slice(), args.norm ? args.norm->slice() : weights,
                           weights, args.routes->words},
                          {.n_cols = w.n_cols,
                           .n_rows = w.stack_rows,
                           .n_tokens = args.n_tokens,
                           .y_stride = args.y_stride,
                           .y_first = 0,
                           .scales_offset = part.scales_offset,
                           .norm_eps = args.norm_eps,
                           .cap = 0,
                           .x_share = args.x_share,
                           .first_expert = part.first_row / w.stack_stride(),
                           .n_experts = part.n_rows / w.stack_stride()},
                          {.x = w.stack_stride() / kRowTile, .y = args.routes->n_tiles});
        }
    });
    return contents<float>(y);
}

/// A routed product has the bits of each expert's own product, row by row.
void check_routed(Gpu& gpu, const RoutedCase& c, std::uint32_t n_tokens, std::mt19937& random) {
    const FormatInfo& format = *find_format(FormatId{c.format});
    const ExpertShape shape{.n_experts = 5, .n_used = 2, .ffn_dim = 0};
    constexpr std::uint32_t kCols = 160;
    const bool pairs = c.epilogue == kEpilogueSiluMul;
    const std::uint32_t n_rows =
        pairs ? (c.n_out + shared::kGateRows - 1) / shared::kGateRows * kRowTile : c.n_out;
    std::vector<TestMatrix> experts;
    for (std::uint32_t e = 0; e < shape.n_experts; ++e)
        experts.push_back(random_matrix(format, n_rows, kCols, random));
    const Matrix stack = upload_stack(gpu, experts, c.per_part);
    const Choice choice =
        choose(gpu, shape, normal_values(std::size_t{n_tokens} * shape.n_experts, random));
    const auto x = normal_values(std::size_t{n_tokens} * kCols, random);
    Uploader uploader = Uploader::create(*gpu.device, *gpu.recorder).value();
    const Vector norm = uploader.upload_vector(normal_values(kCols, random)).value();
    const Buffer x_buffer = gpu.buffer_of(x);
    const Buffer y_buffer = gpu.filled_buffer<float>(std::size_t{n_tokens} * 2 * c.n_out + 1);
    MatMul op(*gpu.device);
    MatMul::Args args{.weights = &stack,
                      .x = x_buffer.slice(),
                      .y = y_buffer.slice(),
                      .n_tokens = choice.routes.n_rows,
                      .y_stride = c.n_out,
                      .epilogue = c.epilogue,
                      .norm = c.norm == kNormNone ? nullptr : &norm,
                      .norm_eps = 1e-5F,
                      .routes = &choice.routes,
                      .x_share = shape.n_used};
    op.prepare(MatMul::kind_of(args)).value();
    gpu.run([&](Recorder& recorder) { op.record(recorder, args); });
    const auto found = contents<float>(y_buffer);
    BOOST_TEST(std::isnan(found.back()));
    const auto portable = portable_product(gpu, args, gpu.filled_buffer<float>(found.size()));
    BOOST_TEST(std::memcmp(portable.data(), found.data(), found.size() * sizeof(float)) == 0,
               n_tokens << " tokens: the portable build gives other bits");
    args.routes = nullptr;
    args.n_tokens = n_tokens;
    op.prepare(MatMul::kind_of(args)).value();
    for (std::uint32_t e = 0; e < shape.n_experts; ++e) {
        const Matrix alone = experts[e].upload(gpu);
        const Buffer all = gpu.filled_buffer<float>(std::size_t{n_tokens} * c.n_out);
        args.weights = &alone;
        args.y = all.slice();
        gpu.run([&](Recorder& recorder) { op.record(recorder, args); });
        const auto expected = contents<float>(all);
        for (std::size_t pair = 0; pair < choice.experts.size(); ++pair) {
            if (choice.experts[pair] != e) continue;
            BOOST_TEST_REQUIRE(
                std::memcmp(found.data() + pair * c.n_out, expected.data() + pair / 2 * c.n_out,
                            c.n_out * sizeof(float)) == 0,
                n_tokens << " tokens, expert " << e << ", pair " << pair);
        }
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(experts)

BOOST_AUTO_TEST_CASE(the_largest_logits_are_chosen_in_order_and_every_pair_is_routed_once) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(1);
    for (const ExpertShape& shape :
         {ExpertShape{4, 2, 0}, ExpertShape{128, 8, 0}, ExpertShape{256, 1, 0},
          ExpertShape{7, 7, 0}, ExpertShape{60, 4, 0}}) {
        for (const std::uint32_t n_tokens : {1U, 3U, 70U, 300U}) {
            const std::size_t n = std::size_t{n_tokens} * shape.n_experts;
            for (const auto& logits : {normal_values(n, random, 3), coarse_logits(n, random)}) {
                const Choice choice = choose(gpu, shape, logits);
                check_choice(shape, logits, choice);
                check_routes(choice);
            }
        }
    }
}

/// A token whose router gave NaN chooses something that exists; its neighbours do not notice.
BOOST_AUTO_TEST_CASE(not_a_number_chooses_an_expert_that_exists) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(2);
    const ExpertShape shape{.n_experts = 9, .n_used = 3, .ffn_dim = 0};
    auto logits = normal_values(std::size_t{4} * shape.n_experts, random);
    const Choice expected = choose(gpu, shape, logits);
    for (std::size_t e = 0; e < shape.n_experts; e += 2) logits[2 * shape.n_experts + e] = NAN;
    const Choice choice = choose(gpu, shape, logits);
    for (std::size_t i = 0; i < choice.experts.size(); ++i) {
        BOOST_TEST(choice.experts[i] < shape.n_experts);
        if (i / shape.n_used != 2) BOOST_TEST(choice.experts[i] == expected.experts[i]);
    }
    check_routes(choice);
}

BOOST_AUTO_TEST_CASE(a_routed_product_has_the_bits_of_the_experts_own) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(3);
    for (const RoutedCase& c : {RoutedCase{shared::kFormatF32, kEpilogueStore, kNormNone, 40, 5},
                                RoutedCase{shared::kFormatF32, kEpilogueSiluMul, kNormRms, 40, 2},
                                RoutedCase{shared::kFormatQ8_0, kEpilogueStore, kNormRms, 64, 1},
                                RoutedCase{shared::kFormatQ4_0, kEpilogueSiluMul, kNormRms, 48, 5}})
        for (const std::uint32_t n_tokens : {1U, 2U, 13U, 60U})
            check_routed(gpu, c, n_tokens, random);
}

BOOST_AUTO_TEST_CASE(what_experts_gave_is_summed_by_weight) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(4);
    const ExpertShape shape{.n_experts = 8, .n_used = 3, .ffn_dim = 0};
    constexpr std::uint32_t kCols = 72;
    constexpr std::uint32_t kTokens = 11;
    const Experts op = Experts::create(*gpu.device, shape).value();
    const auto y = normal_values(std::size_t{kTokens} * shape.n_used * kCols, random);
    const auto weights = normal_values(std::size_t{kTokens} * shape.n_used, random);
    const auto x = normal_values(std::size_t{kTokens} * kCols, random);
    const Buffer y_buffer = gpu.buffer_of(y);
    const Buffer weight_buffer = gpu.buffer_of(weights);
    const Buffer x_buffer = gpu.buffer_of(x);
    gpu.run([&](Recorder& recorder) {
        op.record_sum(recorder, y_buffer.slice(), weight_buffer.slice(), x_buffer.slice(), kCols,
                      kTokens);
    });
    const auto found = contents<float>(x_buffer);
    for (std::size_t i = 0; i < found.size(); ++i) {
        reference::Sum sum;
        sum.add(x[i]);
        for (std::size_t e = 0; e < shape.n_used; ++e) {
            const std::size_t pair = i / kCols * shape.n_used + e;
            sum.add(double{weights[pair]} * y[pair * kCols + i % kCols]);
        }
        BOOST_TEST_REQUIRE(std::abs(found[i] - sum.value) <= 1e-6 * sum.magnitude);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir::gpu
