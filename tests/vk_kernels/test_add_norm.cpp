#include <boost/test/unit_test.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "tests/support/gpu_fixture.hpp"
#include "tests/support/reference_ops.hpp"
#include "tests/support/weight_fixture.hpp"
#include "vk_kernels/ops/add_norm.hpp"

namespace kvasir::gpu {
namespace {

constexpr float kEps = 1e-6F;

std::vector<float> add(Gpu& gpu, const AddNorm& op, const std::vector<float>& y, const Vector& norm,
                       const std::vector<float>& x) {
    const Buffer y_buffer = gpu.buffer_of(y);
    const Buffer x_buffer = gpu.buffer_of(x);
    gpu.run([&](Recorder& recorder) {
        op.record(recorder, y_buffer.slice(), norm, kEps, x_buffer.slice(),
                  static_cast<std::uint32_t>(y.size() / norm.n));
    });
    return contents<float>(x_buffer);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(add_norm)

BOOST_AUTO_TEST_CASE(it_is_the_references_norm_and_no_row_sees_another) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(1);
    const AddNorm op = AddNorm::create(*gpu.device).value();
    Uploader uploader = Uploader::create(*gpu.device, *gpu.recorder).value();
    for (const std::uint32_t n : {8U, 24U, 64U, 200U, 2304U}) {
        constexpr std::uint32_t kRows = 5;
        const auto weights = normal_values(n, random);
        const Vector norm = uploader.upload_vector(weights).value();
        const auto y = normal_values(std::size_t{kRows} * n, random, 7);
        const auto x = normal_values(std::size_t{kRows} * n, random);
        const auto found = add(gpu, op, y, norm, x);
        for (std::uint32_t row = 0; row < kRows; ++row) {
            const auto at = std::size_t{row} * n;
            const auto normed = reference::rms_norm(std::span(y).subspan(at, n), weights, kEps);
            for (std::size_t k = 0; k < n; ++k) {
                const double expected = x[at + k] + normed[k];
                const double size = std::abs(x[at + k]) + std::abs(normed[k]);
                BOOST_TEST_REQUIRE(std::abs(found[at + k] - expected) <= 2e-6 * size,
                                   n << " columns, row " << row << ", column " << k);
            }
            const std::vector<float> y_alone(y.begin() + static_cast<std::ptrdiff_t>(at),
                                             y.begin() + static_cast<std::ptrdiff_t>(at + n));
            const std::vector<float> x_alone(x.begin() + static_cast<std::ptrdiff_t>(at),
                                             x.begin() + static_cast<std::ptrdiff_t>(at + n));
            const auto alone = add(gpu, op, y_alone, norm, x_alone);
            BOOST_TEST(std::equal(alone.begin(), alone.end(),
                                  found.begin() + static_cast<std::ptrdiff_t>(at)));
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir::gpu
