#include <boost/test/unit_test.hpp>
#include <cmath>
#include <vector>

#include "daemon/model/rope.hpp"
#include "quant/gguf.hpp"
#include "tests/support/corrupt.hpp"
#include "tests/support/tiny_model.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;

constexpr std::uint32_t kHeadDim = 32;

Result<Rope> read(const TinyModel& tiny, std::uint32_t context = 512) {
    const ScratchFile file(tiny.file());
    const GgufFile gguf = GgufFile::open(file.path()).value();
    return read_rope(gguf, "llama", {.head_dim = kHeadDim, .context = context});
}

double plain(std::size_t i) {
    return std::pow(10000.0, -2.0 * static_cast<double>(i) / kHeadDim);
}

TinyModel with_factors() {
    TinyModel tiny;
    tiny.set("llama.rope.scaling.original_context_length", 128U)
        .set("llama.rope.scaling.attn_factor", 1.25F);
    std::vector<float> factors(16);
    for (std::size_t i = 0; i < 16; ++i) factors[i] = 1.0F + 0.25F * static_cast<float>(i);
    tiny.tensors.push_back({"rope_factors_short.weight", {16}, factors});
    for (float& factor : factors) factor *= 8;
    tiny.tensors.push_back({"rope_factors_long.weight", {16}, factors});
    return tiny;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rope)

BOOST_AUTO_TEST_CASE(positions_turn_by_their_frequencies) {
    const Rope rope = read(TinyModel()).value();
    BOOST_TEST(rope.frequencies.size() == 16U);
    BOOST_TEST(rope.amplitude == 1.0);
    std::vector<float> pairs(32);
    rope.fill(77, pairs);
    for (std::size_t i = 0; i < 16; ++i) {
        BOOST_TEST(rope.frequencies[i] == plain(i), boost::test_tools::tolerance(1e-12));
        BOOST_TEST(pairs[2 * i] == static_cast<float>(std::cos(77 * plain(i))),
                   boost::test_tools::tolerance(1e-5F));
        BOOST_TEST(pairs[2 * i + 1] == static_cast<float>(std::sin(77 * plain(i))),
                   boost::test_tools::tolerance(1e-5F));
    }
}

// Factors are chosen by the context the model runs with, not by how long a sequence got.
BOOST_AUTO_TEST_CASE(longrope_has_factors_for_short_and_for_long_contexts) {
    for (const bool has_type : {true, false}) {
        TinyModel tiny = with_factors();
        if (has_type) tiny.set("llama.rope.scaling.type", "longrope");
        const Rope within = read(tiny, 128).value();
        const Rope beyond = read(tiny, 129).value();
        BOOST_TEST(within.amplitude == 1.25);
        for (std::size_t i = 0; i < 16; ++i) {
            const double factor = 1 + 0.25 * static_cast<double>(i);
            BOOST_TEST(within.frequencies[i] == plain(i) / factor,
                       boost::test_tools::tolerance(1e-12));
            BOOST_TEST(beyond.frequencies[i] == plain(i) / (8 * factor),
                       boost::test_tools::tolerance(1e-12));
        }
    }
}

// 4096 tokens at base 10000 over 32 channels: pair i makes 4096 f_i / 2 pi turns; those with more
// than 32 stay, those with less than 1 are stretched whole.
BOOST_AUTO_TEST_CASE(yarn_stretches_what_turns_seldom) {
    TinyModel tiny;
    tiny.set("llama.rope.scaling.type", "yarn")
        .set("llama.rope.scaling.factor", 8.0F)
        .set("llama.rope.scaling.original_context_length", 4096U);
    const Rope rope = read(tiny).value();
    BOOST_TEST(rope.amplitude == 0.1 * std::log(8.0) + 1, boost::test_tools::tolerance(1e-12));
    std::size_t n_kept = 0;
    std::size_t n_stretched = 0;
    double last = 1;
    for (std::size_t i = 0; i < 16; ++i) {
        const double turns = 4096 * plain(i) / (2 * M_PI);
        const double share = rope.frequencies[i] / plain(i);
        BOOST_TEST(share <= last + 1e-12);
        last = share;
        if (turns > 64) {
            BOOST_TEST(share == 1.0, boost::test_tools::tolerance(1e-12));
            ++n_kept;
        }
        if (turns < 0.5) {
            BOOST_TEST(share == 0.125, boost::test_tools::tolerance(1e-12));
            ++n_stretched;
        }
    }
    BOOST_TEST(n_kept > 2U);
    BOOST_TEST(n_stretched > 2U);
    // Other borders move the mix.
    tiny.set("llama.rope.scaling.yarn_beta_fast", 4.0F);
    const Rope other = read(tiny).value();
    BOOST_TEST(other.frequencies[6] > rope.frequencies[6]);
}

BOOST_AUTO_TEST_CASE(a_base_of_its_own_turns_plainly) {
    const Rope rope = plain_rope({.n_rot = 8, .interleaved = false}, 100);
    const std::vector<double> expected{1, std::pow(100, -0.25), 0.1, std::pow(100, -0.75)};
    BOOST_TEST(rope.frequencies == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
