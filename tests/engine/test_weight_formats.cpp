// Models whose tensors are in formats of their own, and blocks of any bits.
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <random>

#include "quant/format.hpp"
#include "tests/support/corrupt.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/model_run.hpp"
#include "tests/support/random_block.hpp"
#include "tests/support/tiny_model.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;

constexpr TinyShape kShape{.n_layers = 3,
                           .dim = 256,
                           .ffn_dim = 512,
                           .n_heads = 4,
                           .n_kv_heads = 2,
                           .head_dim = 24,
                           .n_vocab = 96};

std::vector<std::string> quantized_formats() {
    std::vector<std::string> names;
    for (const FormatInfo& format : all_formats())
        if (format.read_block != nullptr) names.emplace_back(format.name);
    return names;
}

/// Blocks of random bits in a tensor's place, and their values beside. in_range: drawn again until
/// the values are of a size that a model can compute with.
void fill(TinyTensor& tensor, const FormatInfo& format, std::mt19937& random, bool in_range) {
    tensor.type = static_cast<std::uint32_t>(format.id);
    tensor.encoded.resize(tensor.values.size() / format.block_elements * format.block_bytes);
    const BlockRange range = in_range ? BlockRange{.least = 0x1p-12F, .most = 0.25F} : BlockRange{};
    for (std::size_t b = 0; b < tensor.values.size() / format.block_elements; ++b) {
        const auto block =
            std::span(tensor.encoded).subspan(b * format.block_bytes, format.block_bytes);
        const auto out =
            std::span(tensor.values).subspan(b * format.block_elements, format.block_elements);
        draw_block(format, block, out, random, range);
    }
}

bool is_wide_matrix(const TinyTensor& t) {
    return t.shape.size() == 2 && t.shape[1] % 256 == 0;
}

/// A bias for the first layer's queries, keys and values, so that parts of a matrix find theirs.
void add_biases(TinyModel& tiny) {
    std::vector<float> values;
    for (int i = 0; i < 96; ++i) values.push_back(0.03F * static_cast<float>(i % 17) - 0.2F);
    for (const auto& [name, n] : {std::pair{"q", 96U}, std::pair{"k", 48U}, std::pair{"v", 48U}})
        for (std::uint32_t layer = 0; layer < kShape.n_layers; ++layer)
            tiny.tensors.push_back({"blk." + std::to_string(layer) + ".attn_" + name + ".bias",
                                    {n},
                                    {values.begin(), values.begin() + n}});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(weight_formats)

// Every matrix takes the next format: queries, keys and values differ, so do gate and up.
BOOST_DATA_TEST_CASE(a_file_of_mixed_formats_has_the_bits_of_its_values_in_f32,
                     boost::unit_test::data::xrange(3), first) {
    std::mt19937 random(static_cast<unsigned>(first) + 1);
    TinyModel mixed(kShape);
    add_biases(mixed);
    const auto names = quantized_formats();
    std::size_t next = static_cast<std::size_t>(first) * 5;
    for (TinyTensor& t : mixed.tensors)
        if (is_wide_matrix(t)) fill(t, format_named(names[next++ % names.size()]), random, true);
    BOOST_TEST(next - static_cast<std::size_t>(first) * 5 >= names.size());
    TinyModel plain = mixed;
    for (TinyTensor& t : plain.tensors) {
        t.type = 0;
        t.encoded.clear();
    }
    const ScratchFile mixed_file(mixed.file());
    const ScratchFile plain_file(plain.file());
    ModelRun run(mixed_file.path(), "f32");
    ModelRun reference(plain_file.path(), "f32");
    const Tokens tokens = random_tokens(70, kShape.n_vocab, 5);
    const Rows expected = reference.cold(tokens, Plan{.chunk = 64});
    BOOST_TEST(std::isfinite(expected.rbegin()->second[0]));
    for (const std::uint32_t chunk : {64U, 7U, 1U})
        BOOST_TEST(difference(run.cold(tokens, Plan{.chunk = chunk}), expected) == "",
                   "chunk " << chunk);
    BOOST_TEST(run.model().device().n_validation_messages() == 0);
}

// NaN and infinite scales among them: the sequence fails or runs, nothing else happens, and another
// run of the same tokens shows the same.
BOOST_DATA_TEST_CASE(blocks_of_any_bits_end_the_sequence_at_worst,
                     boost::unit_test::data::make(quantized_formats()), name) {
    std::mt19937 random(9);
    TinyModel tiny(kShape);
    for (TinyTensor& t : tiny.tensors)
        if (is_wide_matrix(t)) fill(t, format_named(name), random, false);
    const ScratchFile file(tiny.file());
    ModelRun run(file.path(), "int8");
    const Tokens tokens = random_tokens(70, kShape.n_vocab, 6);
    Job job = run.begin(tokens, Plan{.chunk = 33});
    run.finish({&job});
    BOOST_TEST(!job.rows.empty());
    if (job.finite) job.state.release(0);  // else it has ended
    run.cache().check_invariants();
    BOOST_TEST(run.slots().n_free() == run.model().n_open_slots());
    BOOST_TEST(run.model().device().n_validation_messages() == 0);
}

BOOST_DATA_TEST_CASE(a_file_cut_within_its_data_is_refused,
                     boost::unit_test::data::make(quantized_formats()), name) {
    const auto bytes = read_file(read_golden("quant/" + name).model);
    for (const std::size_t cut : {std::size_t{1}, std::size_t{31}, std::size_t{257},
                                  bytes.size() / 3, bytes.size() / 2, bytes.size() * 9 / 10}) {
        const ScratchFile file(std::span<const std::byte>(bytes).first(bytes.size() - cut));
        ModelOptions options;
        options.path = file.path();
        options.shared_device = gpu::Gpu::get().device;
        const auto model = Model::load(options, {});
        BOOST_TEST(model.has_error(), "cut by " << cut);
        if (model.has_error()) BOOST_TEST(!model.error().message.empty());
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
