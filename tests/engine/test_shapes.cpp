// Logits of random models of many shapes against plain double-precision loops: heads, widths,
// rotations, biases, pages.
#include <array>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>

#include "tests/support/corrupt.hpp"
#include "tests/support/model_run.hpp"
#include "tests/support/reference_llama.hpp"
#include "tests/support/tiny_model.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;
namespace data = boost::unit_test::data;

struct Shape {
    const char* name;
    TinyShape shape;
};
const std::array kShapes = {
    Shape{"2 heads on 1", {}},
    Shape{"8 heads on 1, 24 channels", {.n_heads = 8, .n_kv_heads = 1, .head_dim = 24}},
    Shape{"5 heads on 1, 72 channels", {.n_heads = 5, .n_kv_heads = 1, .head_dim = 72}},
    Shape{"3 heads on 3, 40 channels", {.n_heads = 3, .n_kv_heads = 3, .head_dim = 40}},
    Shape{"6 heads on 2, 96 channels", {.n_heads = 6, .n_kv_heads = 2, .head_dim = 96}},
    Shape{"no width a multiple of 32",
          {.dim = 72, .ffn_dim = 104, .n_heads = 6, .n_kv_heads = 2, .head_dim = 8, .n_vocab = 77}},
    Shape{"one layer, wider than a segment",
          {.n_layers = 1, .dim = 264, .ffn_dim = 392, .n_heads = 4, .n_kv_heads = 2}},
    Shape{"the least of everything",
          {.n_layers = 1, .dim = 8, .ffn_dim = 8, .n_heads = 1, .head_dim = 8, .n_vocab = 1}}};

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    return out << shape.name;
}

double distance(const std::vector<float>& got, const std::vector<double>& expected) {
    double error = 0;
    double norm = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        error += std::pow(double{got[i]} - expected[i], 2);
        norm += expected[i] * expected[i];
    }
    return std::sqrt(error / norm);
}

/// The largest distance of any position's logits.
double worst(TinyModel& tiny, const TinyShape& shape, const ReferenceRope& rope,
             const std::string& kv, std::size_t n_tokens) {
    const ScratchFile file(tiny.file());
    ModelRun run(file.path(), kv);
    const Tokens tokens = random_tokens(n_tokens, shape.n_vocab, 21);
    const Rows rows = run.cold(tokens, Plan{.chunk = 48, .decode_from = 60});
    const auto expected = ReferenceLlama(tiny, shape, rope).logits(tokens);
    double most = 0;
    for (const auto& [position, row] : rows)
        most = std::max(most, distance(row, expected[position]));
    BOOST_TEST(rows.size() == n_tokens);
    BOOST_TEST(run.model().device().n_validation_messages() == 0);
    return most;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shapes)

BOOST_DATA_TEST_CASE(agree_with_the_reference, data::make(kShapes), shape) {
    TinyModel tiny(shape.shape);
    BOOST_TEST(worst(tiny, shape.shape, {}, "f32", 80) < 2e-5);
}

// Random models amplify what quantization loses; the order of magnitude tells a format from a
// broken one.
BOOST_AUTO_TEST_CASE(smaller_page_formats_stay_near_the_reference) {
    constexpr std::array<std::pair<const char*, double>, 4> kBounds = {
        {{"f16", 3e-3}, {"int8", 3e-2}, {"int8:int4", 0.3}, {"int4", 0.4}}};
    const TinyShape shape{.n_heads = 4, .n_kv_heads = 2, .head_dim = 40};
    TinyModel tiny(shape);
    double before = 0;
    for (const auto& [kv, bound] : kBounds) {
        const double found = worst(tiny, shape, {}, kv, 130);
        BOOST_TEST_MESSAGE(kv << ": " << found);
        BOOST_TEST(found < bound, kv);
        BOOST_TEST(found > before, kv);  // each loses more than the one before: it was used
        before = found;
    }
}

BOOST_AUTO_TEST_CASE(rotations_follow_the_files_keys) {
    const TinyShape shape{.n_layers = 1, .n_heads = 2, .n_kv_heads = 2, .head_dim = 32};
    {
        TinyModel tiny(shape);
        tiny.set("llama.rope.dimension_count", 24U).set("llama.rope.freq_base", 500.0F);
        BOOST_TEST(worst(tiny, shape, {.n_rot = 24, .base = 500}, "f32", 70) < 2e-5);
    }
    {
        TinyModel tiny(shape);
        tiny.set("llama.rope.scaling.type", "linear").set("llama.rope.scaling.factor", 4.0F);
        BOOST_TEST(worst(tiny, shape, {.stretch = 4}, "f32", 70) < 2e-5);
    }
    {
        TinyModel tiny(shape);
        ReferenceRope rope;
        std::vector<float> factors;
        for (int i = 0; i < 16; ++i) factors.push_back(1.0F + 0.5F * static_cast<float>(i));
        rope.factors.assign(factors.begin(), factors.end());
        tiny.tensors.push_back({"rope_freqs.weight", {16}, factors});
        BOOST_TEST(worst(tiny, shape, rope, "f32", 70) < 2e-5);
    }
}

// qwen2: biases on queries, keys and values, rotation of halves; no output matrix: the embedding's.
BOOST_AUTO_TEST_CASE(qwen2_has_biases_and_rotates_halves) {
    const TinyShape shape{.n_heads = 4, .n_kv_heads = 2, .head_dim = 16};
    TinyModel tiny(shape);
    for (auto& [key, value] : tiny.keys) {
        if (key.starts_with("llama.")) key.replace(0, 5, "qwen2");
    }
    tiny.set("general.architecture", "qwen2");
    for (std::uint32_t layer = 0; layer < shape.n_layers; ++layer) {
        const std::string blk = "blk." + std::to_string(layer) + ".";
        for (const auto& [name, n] :
             {std::pair{"attn_q.bias", 64U}, {"attn_k.bias", 32U}, {"attn_v.bias", 32U}}) {
            std::vector<float> bias(n);
            for (std::uint32_t i = 0; i < n; ++i) bias[i] = static_cast<float>(i % 7) * 0.3F - 0.8F;
            tiny.tensors.push_back({blk + name, {n}, std::move(bias)});
        }
    }
    BOOST_TEST(worst(tiny, shape, {.interleaved = false}, "f32", 70) < 2e-5);
}

BOOST_AUTO_TEST_CASE(without_an_output_matrix_the_embedding_is_used) {
    const TinyShape shape{.n_layers = 1};
    TinyModel tiny(shape);
    TinyModel tied = tiny;
    tied.drop_tensor("output.weight");
    tiny.tensor("output.weight").values = tiny.tensor("token_embd.weight").values;
    const ScratchFile file(tiny.file());
    const ScratchFile tied_file(tied.file());
    const Tokens tokens = random_tokens(40, shape.n_vocab, 2);
    const Rows expected = ModelRun(file.path(), "f16").cold(tokens);
    BOOST_TEST(difference(ModelRun(tied_file.path(), "f16").cold(tokens), expected) == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
