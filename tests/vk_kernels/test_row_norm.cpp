#include <algorithm>
#include <array>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "tests/support/gpu_fixture.hpp"
#include "tests/support/reference_ops.hpp"
#include "tests/support/weight_fixture.hpp"
#include "vk_kernels/ops/mat_mul.hpp"
#include "vk_kernels/ops/row_norm.hpp"

namespace kvasir::gpu {
namespace {

constexpr float kEps = 1e-6F;
constexpr std::uint32_t kRows = 5;
constexpr std::array kKinds{shared::kNormRms, shared::kNormLayer};

/// Rows of x with a mean of their own, so that a layer norm has something to take away.
struct NormCase {
    NormCase(std::uint32_t columns, std::uint32_t norm_kind) : n(columns), kind(norm_kind) {
        std::mt19937 random(columns + norm_kind);
        Uploader uploader = Uploader::create(*Gpu::get().device, *Gpu::get().recorder).value();
        weights = normal_values((kind == shared::kNormLayer ? 2 : 1) * std::size_t{n}, random);
        norm = uploader.upload_vector(weights).value();
        x = normal_values(std::size_t{kRows} * n, random, 3);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] += static_cast<float>(i / n);
    }
    std::span<const float> row(std::uint32_t i) const {
        return std::span(x).subspan(std::size_t{i} * n, n);
    }

    std::uint32_t n;
    std::uint32_t kind;
    std::vector<float> weights;
    Vector norm;
    std::vector<float> x;  // (kRows, n)
};

/// Rows first to first + n_rows of x into rows y_first and following of NaNs.
std::vector<float> normalized(const NormCase& c, std::uint32_t first, std::uint32_t n_rows,
                              std::uint32_t y_first) {
    Gpu& gpu = Gpu::get();
    const RowNorm op = RowNorm::create(*gpu.device).value();
    const Buffer x = gpu.buffer_of(c.x);
    const Buffer y = gpu.filled_buffer<float>(std::size_t{kRows} * c.n);
    gpu.run([&](Recorder& recorder) {
        op.record(recorder, {.x = x.slice(),
                             .y = y.slice(),
                             .norm = &c.norm,
                             .norm_kind = c.kind,
                             .eps = kEps,
                             .n_cols = c.n,
                             .n_rows = n_rows,
                             .x_first = first,
                             .y_first = y_first});
    });
    return contents<float>(y);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(row_norm)

BOOST_DATA_TEST_CASE(it_is_the_references_norm_of_the_rows_asked_for,
                     boost::unit_test::data::make(kKinds), kind) {
    for (const std::uint32_t n : {8U, 24U, 64U, 200U, 2304U}) {
        const NormCase c(n, kind);
        constexpr std::uint32_t kFirst = 1;
        constexpr std::uint32_t kTaken = 3;
        constexpr std::uint32_t kTo = 2;
        const auto found = normalized(c, kFirst, kTaken, kTo);
        for (std::uint32_t i = 0; i < kRows; ++i) {
            const auto y = std::span(found).subspan(std::size_t{i} * n, n);
            if (i < kTo) {
                BOOST_TEST(std::ranges::all_of(y, [](float v) { return std::isnan(v); }),
                           "row " << i << " was not asked for");
                continue;
            }
            const auto row = c.row(i - kTo + kFirst);
            const auto expected = kind == shared::kNormRms
                                      ? reference::rms_norm(row, c.weights, kEps)
                                      : reference::layer_norm(row, c.weights, kEps);
            double error = 0;
            double size = 0;
            for (std::size_t k = 0; k < n; ++k) {
                error += std::pow(y[k] - expected[k], 2);
                size += std::pow(expected[k], 2);
            }
            BOOST_TEST(std::sqrt(error / size) <= 1e-6, n << " columns, row " << i);
        }
    }
}

/// A product with ones and zeros hands through what the matrix product makes of its input.
BOOST_DATA_TEST_CASE(it_has_the_bits_that_a_matrix_product_reads,
                     boost::unit_test::data::make(kKinds), kind) {
    Gpu& gpu = Gpu::get();
    constexpr std::uint32_t n = 264;
    const NormCase c(n, kind);
    TestMatrix identity{find_format(FormatId{shared::kFormatF32}), n, n, {}, {}};
    identity.values.resize(std::size_t{n} * n);
    for (std::size_t i = 0; i < n; ++i) identity.values[i * n + i] = 1;
    const auto bytes = std::as_bytes(std::span(identity.values));
    identity.bytes.assign(bytes.begin(), bytes.end());
    const Matrix matrix = identity.upload(gpu);
    MatMul mat_mul(*gpu.device);
    mat_mul.prepare({matrix.format, shared::kEpilogueStore, kind}).value();
    const Buffer x = gpu.buffer_of(c.x);
    const Buffer y = gpu.filled_buffer<float>(c.x.size());
    const Vector* norm = &c.norm;
    gpu.run([&](Recorder& recorder) {
        mat_mul.record(recorder, {.weights = &matrix,
                                  .x = x.slice(),
                                  .y = y.slice(),
                                  .n_tokens = kRows,
                                  .y_stride = n,
                                  .norm = norm,
                                  .norm_kind = kind,
                                  .norm_eps = kEps});
    });
    BOOST_TEST(contents<float>(y) == normalized(c, 0, kRows, 0), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir::gpu
