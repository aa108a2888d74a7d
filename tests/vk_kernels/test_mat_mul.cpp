#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

#include "spv/mat_mul.h"
#include "tests/support/gpu_fixture.hpp"
#include "tests/support/reference_ops.hpp"
#include "tests/support/weight_fixture.hpp"
#include "vk_kernels/ops/mat_mul.hpp"

namespace kvasir::gpu {
namespace {

using shared::epilogue_pairs_rows;
using shared::kEpilogueAdd;
using shared::kEpilogueCap;
using shared::kEpilogueGelu;
using shared::kEpilogueGeluExact;
using shared::kEpilogueGeluMul;
using shared::kEpilogueSiluMul;
using shared::kEpilogueStore;
using shared::kNormLayer;
using shared::kNormNone;
using shared::kNormRms;
using shared::kRowTile;

constexpr float kNormEps = 1e-5F;
/// Of the sum of the terms' magnitudes; f32 rounds to 6e-8 of a term's.
constexpr double kTolerance = 2e-6;
constexpr float kUntouched = -77.25F;

constexpr float kCap = 3.5F;

/// The kinds that decoders ask for, and those that follow from the op's flags.
constexpr std::array<MatMulKind, 7> kKinds{{{0, kEpilogueStore, kNormNone},
                                            {0, kEpilogueStore, kNormRms},
                                            {0, kEpilogueStore, kNormRms, true},
                                            {0, kEpilogueAdd, kNormNone},
                                            {0, kEpilogueAdd, kNormRms, true},
                                            {0, kEpilogueSiluMul, kNormNone},
                                            {0, kEpilogueSiluMul, kNormRms}}};
/// Those of few architectures, which read weights as the others do.
constexpr std::array<MatMulKind, 6> kRareKinds{{{0, kEpilogueStore, kNormLayer, true},
                                                {0, kEpilogueGelu, kNormLayer, true},
                                                {0, kEpilogueGeluExact, kNormLayer, true},
                                                {0, kEpilogueGeluMul, kNormRms},
                                                {0, kEpilogueCap, kNormRms},
                                                {0, kEpilogueCap, kNormLayer, true}}};

struct Shape {
    std::uint32_t n_out;  // columns of y: rows of the matrix, or with SwiGLU pairs of rows
    std::uint32_t n_cols;
    std::uint32_t part_rows = 0;  // 0: one binding
    std::uint32_t y_first = 0;
    std::uint32_t y_spare = 0;  // columns of y after the last
};

/// Those that read weights in ways of their own; the rest differ after the sum, whatever the
/// format.
std::vector<MatMulKind> kinds_of(const FormatInfo& format) {
    if (format.block_elements == 1 || format.name == "Q8_0" || format.name == "Q4_K")
        return {kKinds.begin(), kKinds.end()};
    return {kKinds[2], kKinds[3], kKinds[6]};
}

/// A matrix, activations of several sizes, all that an epilogue reads, and the sums in double.
class Problem {
public:
    Problem(Gpu& gpu, const FormatInfo& format, MatMulKind kind, const Shape& shape,
            std::uint32_t n_tokens, std::mt19937& random)
        : kind_(kind),
          shape_(shape),
          n_tokens_(n_tokens),
          weights_(random_matrix(format, n_rows(), whole_blocks(format, shape.n_cols), random)),
          matrix_(shape.part_rows == 0 ? weights_.upload(gpu)
                                       : weights_.upload_in_parts(gpu, shape.part_rows)),
          y_before_(normal_values(std::size_t{n_tokens} * shape.n_out, random)) {
        shape_.n_cols = weights_.n_cols;
        kind_.format = static_cast<std::uint32_t>(format.id);
        for (std::uint32_t t = 0; t < n_tokens; ++t) {
            constexpr std::array<float, 5> kDeviations{1, 0.125F, 16, 0, 0x1p-9F};
            const auto row = normal_values(shape_.n_cols, random, kDeviations[t % 5]);
            x_.insert(x_.end(), row.begin(), row.end());
        }
        Uploader uploader = Uploader::create(*gpu.device, *gpu.recorder).value();
        norm_ =
            normal_values(std::size_t{kind.norm == kNormLayer ? 2U : 1U} * shape_.n_cols, random);
        bias_ = normal_values(n_rows(), random, 4);
        if (kind.norm != kNormNone) norm_vector_ = uploader.upload_vector(norm_).value();
        if (kind.bias) bias_vector_ = uploader.upload_vector(bias_).value();
    }

    const MatMulKind& kind() const { return kind_; }
    const Matrix& matrix() const { return matrix_; }
    std::uint32_t n_tokens() const { return n_tokens_; }
    std::uint32_t n_out() const { return shape_.n_out; }
    std::uint32_t y_first() const { return shape_.y_first; }
    std::uint32_t y_stride() const { return shape_.y_first + shape_.n_out + shape_.y_spare; }
    const Vector* norm() const { return norm_vector_ ? &*norm_vector_ : nullptr; }
    const Vector* bias() const { return bias_vector_ ? &*bias_vector_ : nullptr; }
    std::span<const float> x(std::uint32_t token) const {
        return std::span(x_).subspan(std::size_t{token} * shape_.n_cols, shape_.n_cols);
    }
    std::span<const float> y_before(std::uint32_t token) const {
        return std::span(y_before_).subspan(std::size_t{token} * n_out(), n_out());
    }
    std::string name() const {
        constexpr std::array kEpilogues{"store", "add",        "silu_mul", "gelu_mul",
                                        "gelu",  "gelu_exact", "cap"};
        constexpr std::array kNorms{"", ", norm", ", layer norm"};
        return std::string(weights_.format->name) + " " + std::to_string(n_out()) + " x " +
               std::to_string(shape_.n_cols) + " " + kEpilogues[kind_.epilogue] +
               kNorms[kind_.norm] + (kind_.bias ? ", bias" : "");
    }

    /// y of one token and what its rounding errors are measured against.
    std::vector<reference::Sum> expected(std::uint32_t token) const {
        std::vector<double> in(x(token).begin(), x(token).end());
        if (kind_.norm == kNormRms) in = reference::rms_norm(x(token), norm_, kNormEps);
        if (kind_.norm == kNormLayer) in = reference::layer_norm(x(token), norm_, kNormEps);
        std::vector<reference::Sum> all;
        for (std::uint32_t i = 0; i < n_out(); ++i) {
            if (epilogue_pairs_rows(kind_.epilogue)) {
                const std::uint32_t gate = i / shared::kGateRows * kRowTile + i % shared::kGateRows;
                const auto activation =
                    kind_.epilogue == kEpilogueSiluMul ? reference::silu : reference::gelu;
                all.push_back(reference::gate_mul(activation, sum_of_row(gate, in),
                                                  sum_of_row(gate + shared::kGateRows, in)));
                continue;
            }
            reference::Sum sum = sum_of_row(i, in);
            if (kind_.bias) sum.add(bias_[i]);
            if (kind_.epilogue == kEpilogueAdd) sum.add(y_before(token)[i]);
            if (kind_.epilogue == kEpilogueGelu) sum = reference::activate(reference::gelu, sum);
            if (kind_.epilogue == kEpilogueGeluExact)
                sum = reference::activate(reference::gelu_exact, sum);
            if (kind_.epilogue == kEpilogueCap) sum.value = kCap * std::tanh(sum.value / kCap);
            all.push_back(sum);
        }
        return all;
    }

private:
    /// With SwiGLU the last tile's rows without a column are random too: they may not be stored.
    std::uint32_t n_rows() const {
        if (!epilogue_pairs_rows(kind_.epilogue)) return shape_.n_out;
        return (shape_.n_out + shared::kGateRows - 1) / shared::kGateRows * kRowTile;
    }
    reference::Sum sum_of_row(std::uint32_t row, std::span<const double> in) const {
        return reference::dot(
            std::span(weights_.values).subspan(std::size_t{row} * shape_.n_cols, shape_.n_cols),
            in);
    }

    MatMulKind kind_;
    Shape shape_;
    std::uint32_t n_tokens_;
    TestMatrix weights_;
    Matrix matrix_;
    std::vector<float> x_;         // (n_tokens, n_cols)
    std::vector<float> y_before_;  // (n_tokens, n_out)
    std::vector<float> norm_;      // (n_cols)
    std::vector<float> bias_;      // (n_rows)
    std::optional<Vector> norm_vector_;
    std::optional<Vector> bias_vector_;
};

using Runner = std::function<void(Recorder&, const MatMul::Args&)>;

/// One op for the whole suite, as in a decoder: a kind's pipelines compile once.
std::unique_ptr<MatMul>& op() {
    static std::unique_ptr<MatMul> instance;
    return instance;
}
void make_op() {
    op() = std::make_unique<MatMul>(*Gpu::get().device);
}
void drop_op() {
    op().reset();
}

Runner op_runner(MatMulKind kind, const FormatInfo& format) {
    kind.format = static_cast<std::uint32_t>(format.id);
    op()->prepare(kind).value();
    return [](Recorder& recorder, const MatMul::Args& args) { op()->record(recorder, args); };
}

struct Lanes {
    std::uint32_t row_lanes;
    std::uint32_t seg_lanes;
    std::uint32_t rows;
    std::uint32_t tokens;
};

/// The build for devices that are not CPUs, in any shape.
Runner portable_runner(Gpu& gpu, MatMulKind kind, const FormatInfo& format, const Lanes& lanes) {
    using MatMulKernel = Kernel<shared::MatMulPush, 6, 10>;
    const auto kernel = std::make_shared<MatMulKernel>(
        MatMulKernel::create(*gpu.device, "mat_mul", mat_mul_spv,
                             {static_cast<std::uint32_t>(format.id), lanes.row_lanes,
                              lanes.seg_lanes, lanes.rows, lanes.tokens, kind.epilogue, kind.norm,
                              kind.bias ? 1U : 0U, 0U, lanes.row_lanes * lanes.seg_lanes})
            .value());
    return [=](Recorder& recorder, const MatMul::Args& args) {
        BOOST_TEST_REQUIRE(args.weights->parts.size() == 1U);
        const Matrix::Part& part = args.weights->parts[0];
        const Slice weights = part.buffer.slice();
        kernel->record(recorder,
                       {weights, args.x, args.y, args.norm ? args.norm->slice() : weights,
                        args.bias ? args.bias->slice() : weights, weights},
                       {.n_cols = args.weights->n_cols,
                        .n_rows = part.n_rows,
                        .n_tokens = args.n_tokens,
                        .y_stride = args.y_stride,
                        .y_first = args.y_first,
                        .scales_offset = part.scales_offset,
                        .norm_eps = args.norm_eps,
                        .cap = args.cap},
                       {.x = (part.n_rows + kRowTile - 1) / kRowTile,
                        .y = (args.n_tokens + lanes.tokens - 1) / lanes.tokens});
    };
}

constexpr std::uint32_t kNobody = 0xffffffffU;  // a row of NaN

std::vector<std::uint32_t> first_tokens(std::uint32_t n) {
    std::vector<std::uint32_t> tokens(n);
    std::iota(tokens.begin(), tokens.end(), 0U);
    return tokens;
}

/// y of a batch of the problem's tokens, (tokens.size(), n_out). Whatever lies around it must stay.
std::vector<float> multiply(Gpu& gpu, const Problem& problem, const Runner& runner,
                            const std::vector<std::uint32_t>& tokens) {
    const std::uint32_t n_out = problem.n_out();
    std::vector<float> x;
    std::vector<float> y((tokens.size() + 1) * problem.y_stride(), kUntouched);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        const std::vector<float> nobody(problem.matrix().n_cols, NAN);
        const auto row =
            tokens[i] == kNobody ? std::span<const float>(nobody) : problem.x(tokens[i]);
        x.insert(x.end(), row.begin(), row.end());
        if (tokens[i] != kNobody)
            std::ranges::copy(problem.y_before(tokens[i]),
                              y.data() + i * problem.y_stride() + problem.y_first());
    }
    const Buffer x_buffer = gpu.buffer_of(x);
    const Buffer y_buffer = gpu.buffer_of(y);
    gpu.run([&](Recorder& recorder) {
        runner(recorder, {.weights = &problem.matrix(),
                          .x = x_buffer.slice(),
                          .y = y_buffer.slice(),
                          .n_tokens = static_cast<std::uint32_t>(tokens.size()),
                          .y_stride = problem.y_stride(),
                          .y_first = problem.y_first(),
                          .epilogue = problem.kind().epilogue,
                          .norm = problem.norm(),
                          .norm_kind = problem.kind().norm,
                          .norm_eps = kNormEps,
                          .bias = problem.bias(),
                          .cap = kCap});
    });
    y = contents<float>(y_buffer);
    std::vector<float> out;
    for (std::size_t i = 0; i < y.size(); ++i) {
        const std::size_t column = i % problem.y_stride();
        const bool is_inside = i / problem.y_stride() < tokens.size() &&
                               column >= problem.y_first() && column < problem.y_first() + n_out;
        if (is_inside) {
            out.push_back(y[i]);
        } else if (y[i] != kUntouched) {
            BOOST_FAIL(problem.name() << ": row " << i / problem.y_stride() << " column " << column
                                      << " was written");
        }
    }
    return out;
}

/// All tokens at once, compared with the sums in double.
std::vector<float> check_values(Gpu& gpu, const Problem& problem, const Runner& runner) {
    const auto found = multiply(gpu, problem, runner, first_tokens(problem.n_tokens()));
    double worst = 0;
    std::size_t at = 0;
    for (std::uint32_t t = 0; t < problem.n_tokens(); ++t)
        for (const reference::Sum& sum : problem.expected(t)) {
            const double off = std::abs(found[at++] - sum.value);
            const double error = off == 0 ? 0 : off / sum.magnitude;
            worst = std::max(worst, std::isnan(error) ? INFINITY : error);
        }
    BOOST_TEST_MESSAGE(problem.name() << ", " << problem.n_tokens() << " tokens: off by " << worst);
    BOOST_TEST(worst <= kTolerance, problem.name()
                                        << ", " << problem.n_tokens() << " tokens: off by " << worst
                                        << " of the magnitude");
    return found;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// A batch's rows have the bits that these tokens have in `all`, the batch of every token.
void check_bits(Gpu& gpu, const Problem& problem, const Runner& runner,
                const std::vector<std::uint32_t>& tokens, const std::vector<float>& all) {
    const auto found = multiply(gpu, problem, runner, tokens);
    const std::size_t n = problem.n_out();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (tokens[i] == kNobody) continue;
        BOOST_TEST(
            same_bits(std::span(found).subspan(i * n, n), std::span(all).subspan(tokens[i] * n, n)),
            problem.name() << ": token " << tokens[i] << " as row " << i << " of " << tokens.size()
                           << " has other bits");
    }
}

/// Every tile, every place in it, and company of other tokens, of itself and of NaN.
void check_company(Gpu& gpu, const Problem& problem, const Runner& runner) {
    const auto all = check_values(gpu, problem, runner);
    for (const std::uint32_t n : {1U, 2U, 3U, 4U, 5U, 8U, 9U, 16U, 32U})
        if (n < problem.n_tokens()) check_bits(gpu, problem, runner, first_tokens(n), all);
    auto backwards = first_tokens(problem.n_tokens());
    std::ranges::reverse(backwards);
    check_bits(gpu, problem, runner, backwards, all);
    for (const std::uint32_t n : {1U, 2U, 4U, 8U, 11U})
        for (std::uint32_t at = 0; at < n; at += 3) {
            std::vector<std::uint32_t> batch(n, kNobody);
            batch[at] = 2;
            check_bits(gpu, problem, runner, batch, all);
        }
    check_bits(gpu, problem, runner, {2, 2, 2, 2, 2, 2, 2}, all);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mat_mul, *boost::unit_test::fixture(make_op, drop_op))

BOOST_AUTO_TEST_CASE(every_format_and_epilogue_agrees_with_the_reference) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(1);
    for (const FormatInfo* format : kernel_formats())
        for (const MatMulKind& kind : kinds_of(*format)) {
            const Runner runner = op_runner(kind, *format);
            for (const std::uint32_t n_cols : {8U, 32U, 96U, 136U, 256U, 352U, 768U})
                for (const std::uint32_t n_out : {1U, 31U, 32U, 48U}) {
                    if (!fits(*format, n_cols)) continue;
                    const Problem problem(gpu, *format, kind, {n_out, n_cols}, 13, random);
                    const auto all = check_values(gpu, problem, runner);
                    for (const std::uint32_t n : {1U, 3U})
                        check_bits(gpu, problem, runner, first_tokens(n), all);
                }
        }
}

BOOST_AUTO_TEST_CASE(rare_norms_and_epilogues_agree_with_the_reference_in_any_company) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(7);
    for (const FormatInfo* format :
         {find_format(FormatId{shared::kFormatF32}), find_format(FormatId{shared::kFormatQ8_0})})
        for (const MatMulKind& kind : kRareKinds) {
            const Runner runner = op_runner(kind, *format);
            for (const Shape& shape : {Shape{31, 32}, Shape{48, 352}, Shape{75, 96, 64}})
                check_values(gpu, Problem(gpu, *format, kind, shape, 13, random), runner);
            check_company(gpu, Problem(gpu, *format, kind, {80, 416}, 37, random), runner);
        }
}

BOOST_AUTO_TEST_CASE(a_token_has_the_same_bits_in_every_tile_and_company) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(2);
    for (const FormatInfo* format : kernel_formats())
        for (const MatMulKind& kind : kinds_of(*format)) {
            const Runner runner = op_runner(kind, *format);
            check_company(gpu, Problem(gpu, *format, kind, {80, 416}, 37, random), runner);
        }
}

BOOST_AUTO_TEST_CASE(a_matrix_in_several_bindings_is_one_matrix) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(3);
    for (const FormatInfo* format : kernel_formats())
        for (const MatMulKind& kind : kinds_of(*format)) {
            const Runner runner = op_runner(kind, *format);
            const std::uint32_t n_out = kind.epilogue == kEpilogueSiluMul ? 75 : 150;
            const Problem problem(gpu, *format, kind, {n_out, 96, 64}, 5, random);
            BOOST_TEST_REQUIRE(problem.matrix().parts.size() == 3U);
            check_values(gpu, problem, runner);
        }
}

/// What is not the matrix's in y stays: the columns before and after, and the row after the last.
BOOST_AUTO_TEST_CASE(results_go_to_their_columns_only) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(4);
    const FormatInfo& format = *kernel_formats().front();
    for (const MatMulKind& kind : kKinds) {
        const Runner runner = op_runner(kind, format);
        for (const std::uint32_t part_rows : {0U, 64U})
            check_values(gpu, Problem(gpu, format, kind, {96, 64, part_rows, 5, 7}, 11, random),
                         runner);
    }
}

BOOST_AUTO_TEST_CASE(long_rows_and_many_rows_agree_with_the_reference) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(5);
    for (const FormatInfo* format : kernel_formats())
        for (const MatMulKind& kind : {kKinds[2], kKinds[3], kKinds[6]}) {
            const Runner runner = op_runner(kind, *format);
            for (const Shape& shape : {Shape{33, 8192 + 96}, Shape{1500, 64}})
                check_values(gpu, Problem(gpu, *format, kind, shape, 9, random), runner);
        }
}

/// Lanes, rows a lane and tokens are the device's affair: the sums and their bits are not.
BOOST_AUTO_TEST_CASE(every_shape_of_the_portable_build_gives_the_same_bits) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(6);
    for (const FormatInfo* format : kernel_formats())
        for (const MatMulKind& kind : {kKinds[4], kKinds[6], kRareKinds[2], kRareKinds[3]}) {
            const Problem problem(gpu, *format, kind, {48, 608}, 11, random);
            const auto expected = check_values(gpu, problem, op_runner(kind, *format));
            for (const Lanes& lanes :
                 {Lanes{16, 8, 2, 2}, Lanes{32, 4, 1, 8}, Lanes{32, 1, 1, 1}, Lanes{8, 3, 4, 4}}) {
                if (epilogue_pairs_rows(kind.epilogue) && lanes.rows == 1) continue;
                const Runner runner = portable_runner(gpu, kind, *format, lanes);
                BOOST_TEST(same_bits(check_values(gpu, problem, runner), expected),
                           problem.name() << ": " << lanes.row_lanes << " x " << lanes.seg_lanes
                                          << " lanes of " << lanes.rows << " rows, " << lanes.tokens
                                          << " tokens, give other bits");
            }
        }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir::gpu
