// Model files that are cut, flipped, contradictory or hold NaNs: a clear error or a working model,
// never a crash.
#include <array>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <limits>
#include <ostream>

#include "daemon/model/read_metadata.hpp"
#include "quant/gguf.hpp"
#include "tests/support/corrupt.hpp"
#include "tests/support/gpu_fixture.hpp"
#include "tests/support/model_run.hpp"
#include "tests/support/tiny_model.hpp"
#include "tests/support/vocabulary.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;
namespace data = boost::unit_test::data;

struct Case {
    const char* name;
    void (*change)(TinyModel&);
    ErrorCode code;
    std::vector<std::string> says;  // what the message names: subject, expected, found
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.name;
}

void check_refused(const Case& c) {
    TinyModel tiny;
    c.change(tiny);
    const ScratchFile file(tiny.file());
    const auto model = load_model(file.path());
    BOOST_TEST_REQUIRE(model.has_error(), c.name);
    const Error error = model.error();
    BOOST_TEST(static_cast<int>(error.code) == static_cast<int>(c.code), error.message);
    for (const std::string& part : c.says) {
        BOOST_TEST(error.message.find(part) != std::string::npos,
                   "\"" << error.message << "\" names " << part);
    }
    const bool printable = std::all_of(error.message.begin(), error.message.end(),
                                       [](char ch) { return ch >= ' ' && ch <= '~'; });
    BOOST_TEST(printable);
    BOOST_TEST(error.message.size() < 400);
}

TinyModel& rename_to(TinyModel& m, const std::string& architecture) {
    for (auto& [key, value] : m.keys) {
        if (key.starts_with("llama.")) key.replace(0, 5, architecture);
    }
    return m.set("general.architecture", architecture);
}

const std::vector<Case> kMetadata = {
    {"an unknown architecture",
     [](TinyModel& m) { m.set("general.architecture", "mamba"); },
     ErrorCode::unsupported,
     {"general.architecture", "mamba", "llama"}},
    {"no architecture",
     [](TinyModel& m) { m.drop_key("general.architecture"); },
     ErrorCode::corrupt,
     {"general.architecture", "absent"}},
    {"an architecture that would draw on a terminal",
     [](TinyModel& m) { m.set("general.architecture", "\x1b[31m\n" + std::string(5000, 'x')); },
     ErrorCode::unsupported,
     {"general.architecture", "llama"}},
    {"no layers",
     [](TinyModel& m) { m.set("llama.block_count", 0U); },
     ErrorCode::corrupt,
     {"llama.block_count", "0", "expected 1 to"}},
    {"2^31 layers",
     [](TinyModel& m) { m.set("llama.block_count", 1U << 31U); },
     ErrorCode::corrupt,
     {"llama.block_count", "2147483648", "expected 1 to"}},
    {"layers as a string",
     [](TinyModel& m) { m.set("llama.block_count", "2"); },
     ErrorCode::corrupt,
     {"llama.block_count", "a string", "integer"}},
    {"layers as a float",
     [](TinyModel& m) { m.set("llama.block_count", 2.0F); },
     ErrorCode::corrupt,
     {"llama.block_count", "integer"}},
    {"no layer count",
     [](TinyModel& m) { m.drop_key("llama.block_count"); },
     ErrorCode::corrupt,
     {"llama.block_count", "absent"}},
    {"no width",
     [](TinyModel& m) { m.set("llama.embedding_length", 0U); },
     ErrorCode::corrupt,
     {"llama.embedding_length", "0"}},
    {"a width of 2^30",
     [](TinyModel& m) { m.set("llama.embedding_length", 1U << 30U); },
     ErrorCode::corrupt,
     {"llama.embedding_length", "1073741824"}},
    {"a width that is not the embedding's",
     [](TinyModel& m) { m.set("llama.embedding_length", 128U); },
     ErrorCode::corrupt,
     {"token_embd.weight", "(96, 64)", "128"}},
    {"a feed-forward width of 2^31",
     [](TinyModel& m) { m.set("llama.feed_forward_length", 1U << 31U); },
     ErrorCode::corrupt,
     {"llama.feed_forward_length", "2147483648"}},
    {"no heads",
     [](TinyModel& m) { m.set("llama.attention.head_count", 0U); },
     ErrorCode::corrupt,
     {"llama.attention.head_count", "0"}},
    {"2^31 heads",
     [](TinyModel& m) { m.set("llama.attention.head_count", 1U << 31U); },
     ErrorCode::corrupt,
     {"llama.attention.head_count", "2147483648"}},
    {"no KV heads",
     [](TinyModel& m) { m.set("llama.attention.head_count_kv", 0U); },
     ErrorCode::corrupt,
     {"llama.attention.head_count_kv", "0"}},
    {"more KV heads than heads",
     [](TinyModel& m) { m.set("llama.attention.head_count_kv", 4U); },
     ErrorCode::corrupt,
     {"llama.attention.head_count_kv", "4", "1 to 2"}},
    {"KV heads that do not divide the heads",
     [](TinyModel& m) {
         m.set("llama.attention.head_count", 6U).set("llama.attention.head_count_kv", 4U);
     },
     ErrorCode::corrupt,
     {"llama.attention.head_count_kv", "4", "divisor of 6"}},
    {"heads of 4 channels",
     [](TinyModel& m) {
         m.set("llama.attention.key_length", 4U).set("llama.attention.value_length", 4U);
     },
     ErrorCode::unsupported,
     {"head dimension", "4", "multiples of 8 up to 256"}},
    {"heads of 260 channels",
     [](TinyModel& m) {
         m.set("llama.attention.key_length", 260U).set("llama.attention.value_length", 260U);
     },
     ErrorCode::unsupported,
     {"head dimension", "260", "256"}},
    {"heads of 2^31 channels",
     [](TinyModel& m) {
         m.set("llama.attention.key_length", 1U << 31U);
         m.set("llama.attention.value_length", 1U << 31U);
     },
     ErrorCode::unsupported,
     {"head dimension", "2147483648"}},
    {"keys and values of two lengths",
     [](TinyModel& m) { m.set("llama.attention.value_length", 64U); },
     ErrorCode::unsupported,
     {"head dimension", "32", "64"}},
    {"no context",
     [](TinyModel& m) { m.set("llama.context_length", 0U); },
     ErrorCode::corrupt,
     {"llama.context_length", "0"}},
    {"a context of 2^31",
     [](TinyModel& m) { m.set("llama.context_length", 1U << 31U); },
     ErrorCode::corrupt,
     {"llama.context_length", "2147483648"}},
    {"a negative epsilon",
     [](TinyModel& m) { m.set("llama.attention.layer_norm_rms_epsilon", -1.0F); },
     ErrorCode::corrupt,
     {"layer_norm_rms_epsilon", "-1"}},
    {"an epsilon that is no number",
     [](TinyModel& m) {
         m.set("llama.attention.layer_norm_rms_epsilon", std::numeric_limits<float>::quiet_NaN());
     },
     ErrorCode::corrupt,
     {"layer_norm_rms_epsilon", "finite"}},
    {"an odd number of rotated channels",
     [](TinyModel& m) { m.set("llama.rope.dimension_count", 31U); },
     ErrorCode::corrupt,
     {"llama.rope.dimension_count", "31", "even", "32"}},
    {"no rotated channels",
     [](TinyModel& m) { m.set("llama.rope.dimension_count", 0U); },
     ErrorCode::corrupt,
     {"llama.rope.dimension_count", "0"}},
    {"more rotated channels than a head has",
     [](TinyModel& m) { m.set("llama.rope.dimension_count", 34U); },
     ErrorCode::corrupt,
     {"llama.rope.dimension_count", "34", "32"}},
    {"a rotation base of 0",
     [](TinyModel& m) { m.set("llama.rope.freq_base", 0.0F); },
     ErrorCode::corrupt,
     {"llama.rope.freq_base", "0", "positive"}},
    {"a negative stretch",
     [](TinyModel& m) {
         m.set("llama.rope.scaling.type", "linear").set("llama.rope.scaling.factor", -4.0F);
     },
     ErrorCode::corrupt,
     {"llama.rope.scaling.factor", "-4", "positive"}},
    {"a scaling rule nobody knows",
     [](TinyModel& m) { m.set("llama.rope.scaling.type", "spiral\a"); },
     ErrorCode::unsupported,
     {"llama.rope.scaling.type", "spiral", "linear"}},
    {"a yarn that begins at no context",
     [](TinyModel& m) {
         m.set("llama.rope.scaling.type", "yarn")
             .set("llama.rope.scaling.original_context_length", 0U);
     },
     ErrorCode::corrupt,
     {"llama.rope.scaling.original_context_length", "0", "at least 1"}},
    {"experts of which nobody says how many are used",
     [](TinyModel& m) { m.set("llama.expert_count", 8U); },
     ErrorCode::corrupt,
     {"llama.expert_used_count", "absent"}},
    {"more experts a token than there are",
     [](TinyModel& m) { m.set("llama.expert_count", 4U).set("llama.expert_used_count", 5U); },
     ErrorCode::corrupt,
     {"llama.expert_used_count", "5", "1 to 4"}},
    {"a million experts",
     [](TinyModel& m) {
         m.set("llama.expert_count", 1'000'000U).set("llama.expert_used_count", 2U);
     },
     ErrorCode::corrupt,
     {"llama.expert_count", "1000000", "1 to 256"}},
    {"experts where the family has none",
     [](TinyModel& m) { rename_to(m, "qwen2").set("qwen2.expert_count", 8U); },
     ErrorCode::unsupported,
     {"qwen2.expert_count", "8", "none"}},
    {"a soft cap below 0",
     [](TinyModel& m) { rename_to(m, "gemma2").set("gemma2.attn_logit_softcapping", -50.0F); },
     ErrorCode::corrupt,
     {"gemma2.attn_logit_softcapping", "-50", "positive"}},
    {"a local rotation base of 0",
     [](TinyModel& m) { rename_to(m, "gemma3").set("gemma3.rope.freq_base_swa", 0.0F); },
     ErrorCode::corrupt,
     {"gemma3.rope.freq_base_swa", "0", "positive"}},
    {"a layer norm's epsilon under the other norm's name",
     [](TinyModel& m) { rename_to(m, "gpt2"); },
     ErrorCode::corrupt,
     {"gpt2.attention.layer_norm_epsilon", "absent"}}};

const std::vector<Case> kTensors = {
    {"no embedding",
     [](TinyModel& m) { m.drop_tensor("token_embd.weight"); },
     ErrorCode::corrupt,
     {"token_embd.weight", "missing"}},
    {"an embedding of one dimension",
     [](TinyModel& m) { m.reshape("token_embd.weight", {64}); },
     ErrorCode::corrupt,
     {"token_embd.weight", "(64)"}},
    {"a missing matrix",
     [](TinyModel& m) { m.drop_tensor("blk.1.ffn_down.weight"); },
     ErrorCode::corrupt,
     {"blk.1.ffn_down.weight", "missing"}},
    {"a missing norm",
     [](TinyModel& m) { m.drop_tensor("blk.0.attn_norm.weight"); },
     ErrorCode::corrupt,
     {"blk.0.attn_norm.weight", "missing"}},
    {"a missing output norm",
     [](TinyModel& m) { m.drop_tensor("output_norm.weight"); },
     ErrorCode::corrupt,
     {"output_norm.weight", "missing"}},
    {"fewer layers than announced",
     [](TinyModel& m) { m.set("llama.block_count", 3U); },
     ErrorCode::corrupt,
     {"blk.2.attn_norm.weight", "missing"}},
    {"keys of too many rows",
     [](TinyModel& m) {
         m.reshape("blk.1.attn_k.weight", {64, 64});
     },
     ErrorCode::corrupt,
     {"blk.1.attn_k.weight", "(64, 64)", "expected (32, 64)"}},
    {"a matrix transposed",
     [](TinyModel& m) {
         m.reshape("blk.0.ffn_up.weight", {64, 96});
     },
     ErrorCode::corrupt,
     {"blk.0.ffn_up.weight", "(64, 96)", "expected (96, 64)"}},
    {"a matrix of three dimensions",
     [](TinyModel& m) {
         m.reshape("blk.0.attn_output.weight", {1, 64, 64});
     },
     ErrorCode::corrupt,
     {"blk.0.attn_output.weight", "(1, 64, 64)", "expected (64, 64)"}},
    {"an output of fewer tokens",
     [](TinyModel& m) {
         m.reshape("output.weight", {95, 64});
     },
     ErrorCode::corrupt,
     {"output.weight", "(95, 64)", "expected (96, 64)"}},
    {"a norm too short",
     [](TinyModel& m) { m.reshape("blk.0.ffn_norm.weight", {63}); },
     ErrorCode::corrupt,
     {"blk.0.ffn_norm.weight", "(63)", "expected (64)"}},
    {"an unknown tensor type",
     [](TinyModel& m) { m.tensor("blk.0.attn_v.weight").type = 4711; },
     ErrorCode::unsupported,
     {"blk.0.attn_v.weight", "type 4711", "not supported"}},
    {"rows that are no whole blocks",
     [](TinyModel& m) { m.tensor("blk.0.ffn_up.weight").type = 12; },
     ErrorCode::corrupt,
     {"blk.0.ffn_up.weight", "rows of 64", "multiple of 256", "Q4_K"}},
    {"rope factors of another head size",
     [](TinyModel& m) {
         m.tensors.push_back({"rope_freqs.weight", {15}, std::vector<float>(15, 1.0F)});
     },
     ErrorCode::corrupt,
     {"rope_freqs.weight", "15", "16"}},
    {"a rope factor of 0",
     [](TinyModel& m) {
         m.tensors.push_back({"rope_freqs.weight", {16}, std::vector<float>(16, 0.0F)});
     },
     ErrorCode::corrupt,
     {"rope_freqs.weight", "element 0"}},
    {"rope factors as a matrix",
     [](TinyModel& m) {
         m.tensors.push_back({"rope_freqs.weight", {4, 4}, std::vector<float>(16, 1.0F)});
     },
     ErrorCode::corrupt,
     {"rope_freqs.weight"}},
    {"long rope factors of another head size",
     [](TinyModel& m) {
         m.set("llama.rope.scaling.original_context_length", 128U);
         m.tensors.push_back({"rope_factors_long.weight", {15}, std::vector<float>(15, 1.0F)});
     },
     ErrorCode::corrupt,
     {"rope_factors_long.weight", "15", "16"}},
    {"heads that are to be normalized, without a norm",
     [](TinyModel& m) { rename_to(m, "qwen3"); },
     ErrorCode::corrupt,
     {"blk.0.attn_q_norm.weight", "missing"}},
    {"a fused tensor in parts",
     [](TinyModel& m) { rename_to(m, "phi3"); },
     ErrorCode::corrupt,
     {"blk.0.attn_qkv.weight", "missing"}},
    {"a router without experts",
     [](TinyModel& m) {
         m.set("llama.expert_count", 4U).set("llama.expert_used_count", 2U);
         m.tensors.push_back({"blk.0.ffn_gate_inp.weight", {4, 64}, std::vector<float>(256, 1.0F)});
     },
     ErrorCode::corrupt,
     {"blk.0.ffn_gate_exps.weight", "missing"}},
    {"a router for fewer experts",
     [](TinyModel& m) {
         m.set("llama.expert_count", 4U).set("llama.expert_used_count", 2U);
         m.tensors.push_back({"blk.0.ffn_gate_inp.weight", {3, 64}, std::vector<float>(192, 1.0F)});
     },
     ErrorCode::corrupt,
     {"blk.0.ffn_gate_inp.weight", "(3, 64)", "expected (4, 64)"}},
    {"no norm behind a half",
     [](TinyModel& m) { rename_to(m, "gemma2"); },
     ErrorCode::corrupt,
     {"blk.0.post_attention_norm.weight", "missing"}},
    {"no learned positions",
     [](TinyModel& m) { rename_to(m, "gpt2").set("gpt2.attention.layer_norm_epsilon", 1e-5F); },
     ErrorCode::corrupt,
     {"position_embd.weight", "missing"}},
    {"fewer learned positions than the context has",
     [](TinyModel& m) {
         rename_to(m, "gpt2").set("gpt2.attention.layer_norm_epsilon", 1e-5F);
         m.tensors.push_back({"position_embd.weight", {100, 64}, std::vector<float>(6400, 1.0F)});
     },
     ErrorCode::corrupt,
     {"position_embd.weight", "(100, 64)", "expected (512, 64)"}},
    {"rows that no kernel reads",
     [](TinyModel& m) { m = TinyModel({.dim = 60}); },
     ErrorCode::unsupported,
     {"token_embd.weight", "60", "multiple of 8"}},
    {"a tokenizer larger than the embedding",
     [](TinyModel& m) {
         m.more_keys = [](GgufBuilder& builder) {
             const Vocabulary vocabulary;
             builder.key("tokenizer.ggml.model", vocabulary.model)
                 .key("tokenizer.ggml.pre", vocabulary.pre)
                 .array("tokenizer.ggml.tokens", vocabulary.tokens)
                 .array("tokenizer.ggml.token_type", vocabulary.types)
                 .array("tokenizer.ggml.merges", vocabulary.merges);
         };
     },
     ErrorCode::corrupt,
     {"tokenizer", "256", "token_embd.weight", "96"}}};

/// What Model::load does with a file before it asks for a device.
bool header_is_accepted(const std::filesystem::path& path) {
    const auto file = GgufFile::open(path);
    if (file.has_error()) return false;
    const auto name = file->get_string("general.architecture");
    if (name.has_error()) return false;
    const auto architecture = find_architecture(*name);
    if (architecture.has_error()) return false;
    const auto shape = (*architecture)->read_shape(*file, *name, 0);
    if (shape.has_error()) return false;
    BOOST_TEST(shape->n_layers >= 1);
    BOOST_TEST(shape->heads.n_heads % shape->heads.n_kv_heads == 0);
    BOOST_TEST(shape->spans.size() == shape->n_layers);
    for (const Rope& rope : shape->ropes)
        BOOST_TEST(rope.frequencies.size() == rope.shape.n_rot / 2);
    return true;
}

const TinyShape kSmall{.n_layers = 1, .dim = 32, .ffn_dim = 32, .n_heads = 1, .n_vocab = 40};

}  // namespace

BOOST_AUTO_TEST_SUITE(bad_models)

BOOST_AUTO_TEST_CASE(the_tiny_model_loads_when_nothing_is_broken) {
    const ScratchFile file(TinyModel().file());
    const auto model = load_model(file.path());
    BOOST_TEST_REQUIRE(model.has_value());
    BOOST_TEST((*model)->name() == "tiny");
}

BOOST_DATA_TEST_CASE(metadata_that_contradict_are_refused_by_name, data::make(kMetadata), c) {
    check_refused(c);
}

BOOST_DATA_TEST_CASE(tensors_that_do_not_fit_are_refused_by_name, data::make(kTensors), c) {
    check_refused(c);
}

BOOST_AUTO_TEST_CASE(a_name_that_is_no_text_is_not_used) {
    for (const std::string& name :
         {std::string("\xff\xfe"), std::string("a\nb"), std::string(200, 'n'),
          std::string("half a character \xe2\x82")}) {
        TinyModel tiny;
        tiny.set("general.name", name);
        const ScratchFile file(tiny.file());
        const auto model = load_model(file.path());
        BOOST_TEST_REQUIRE(model.has_value());
        BOOST_TEST((*model)->name() == file.path().stem().string());
    }
}

BOOST_AUTO_TEST_CASE(a_file_cut_anywhere_is_refused) {
    const auto bytes = TinyModel(kSmall).file();
    std::size_t n = 0;
    for_each_truncation(bytes, bytes.size(), 97, [&](const auto& path, std::size_t n_bytes) {
        const auto model = load_model(path);
        BOOST_TEST(model.has_error(), "cut to " << n_bytes);
        if (model.has_error()) BOOST_TEST(!model.error().message.empty());
        ++n;
    });
    BOOST_TEST(n > 100);
}

BOOST_AUTO_TEST_CASE(a_header_with_any_bit_flipped_is_read_or_refused) {
    const TinyModel tiny(kSmall);
    const auto bytes = tiny.file();
    std::size_t n_data = 0;
    for (const TinyTensor& t : tiny.tensors) n_data += (t.values.size() * 4 + 31) / 32 * 32;
    std::size_t n_accepted = 0;
    std::size_t n_refused = 0;
    for_each_flipped_bit(bytes, 0, bytes.size() - n_data, 1,
                         [&](const auto& path, std::size_t, unsigned) {
                             ++(header_is_accepted(path) ? n_accepted : n_refused);
                         });
    BOOST_TEST(n_accepted > 100);  // a name nobody reads, a type that widens to the same
    BOOST_TEST(n_refused > 1000);
}

BOOST_AUTO_TEST_CASE(a_model_with_a_flipped_bit_loads_and_runs_or_is_refused) {
    const auto bytes = TinyModel(kSmall).file();
    std::size_t n_ran = 0;
    for_each_flipped_bit(
        bytes, 5, bytes.size(), 997, [&](const auto& path, std::size_t offset, unsigned bit) {
            if (bit != offset % 8) return;
            auto model = load_model(path);
            if (model.has_error()) {
                BOOST_TEST(!model.error().message.empty());
                return;
            }
            KvCache cache({.n_pages = (*model)->n_pages()});
            OpenSlots slots((*model)->n_open_slots());
            const std::vector<TokenId> tokens(std::min(40U, (*model)->context_length()), 7);
            auto sequence = SequenceState::begin({**model, cache, slots}, DomainId{0}, tokens,
                                                 static_cast<std::uint32_t>(tokens.size()), 0,
                                                 KvCache::Lookup::allowed);
            BOOST_TEST_REQUIRE(sequence.has_value());
            const auto step = sequence->prepare(sequence->n_pending(), {0});
            BOOST_TEST_REQUIRE(step.has_value());
            BOOST_TEST((*model)->step({&*step, 1}).has_value());
            ++n_ran;
        });
    BOOST_TEST(n_ran > 10);
}

// Token 5 is a NaN from its embedding on: its sequence ends with the page it fills, its neighbours
// keep their bits.
BOOST_DATA_TEST_CASE(a_nan_ends_its_own_sequence_only,
                     data::make(std::array<std::string, 5>{"f32", "f16", "int8", "int4",
                                                           "int8:int4"}),
                     kv) {
    const TinyShape shape;
    TinyModel tiny(shape);
    auto& embedding = tiny.tensor("token_embd.weight").values;
    std::fill_n(embedding.begin() + 5 * shape.dim, shape.dim,
                std::numeric_limits<float>::quiet_NaN());
    const ScratchFile file(tiny.file());
    ModelRun run(file.path(), kv);
    Tokens tokens = random_tokens(90, shape.n_vocab, 3);
    for (TokenId& token : tokens) token = token == 5 ? 6 : token;
    const Rows expected = run.cold(tokens);
    Tokens bad = tokens;
    bad[45] = 5;
    for (const std::uint32_t chunk : {90U, 7U, 1U}) {
        run.cache().drop_all();
        Job poisoned = run.begin(bad, Plan{.chunk = chunk});
        Job neighbour = run.begin(tokens, Plan{.chunk = chunk}, 0, KvCache::Lookup::refused);
        run.finish({&poisoned, &neighbour});
        BOOST_TEST(!poisoned.finite);
        BOOST_TEST(std::isnan(poisoned.rows.at(45)[0]));
        poisoned.rows.erase(poisoned.rows.lower_bound(45), poisoned.rows.end());
        BOOST_TEST(difference(poisoned.rows, expected) == "");
        BOOST_TEST(neighbour.finite);
        BOOST_TEST(difference(neighbour.rows, expected) == "");
        neighbour.state.release(0);
        // Nothing of the bad page is found again; what it wrote shows nobody anything.
        Job again = run.begin(bad, Plan{.chunk = chunk});
        BOOST_TEST(again.state.n_cached() <= 32);
        run.finish({&again});
        BOOST_TEST(!again.finite);
        Job after = run.begin(tokens, Plan{.chunk = 64}, 0, KvCache::Lookup::refused);
        run.finish({&after});
        BOOST_TEST(difference(after.rows, expected) == "");
        after.state.release(0);
    }
    run.cache().check_invariants();
    BOOST_TEST(run.slots().n_free() == run.model().n_open_slots());
    BOOST_TEST(run.model().device().n_validation_messages() == 0);
}

// Keys beyond what f16 holds become infinite: refused where pages are f16, computed where they are
// f32.
BOOST_AUTO_TEST_CASE(keys_too_large_for_a_page_end_the_sequence) {
    TinyModel tiny;
    for (float& value : tiny.tensor("blk.1.attn_k.weight").values) value *= 1e6F;
    const ScratchFile file(tiny.file());
    for (const char* kv : {"f32", "f16", "int8", "int4"}) {
        ModelRun run(file.path(), kv);
        Job job = run.begin(random_tokens(40, 96, 1), Plan{});
        run.finish({&job});
        BOOST_TEST(job.finite == (std::string(kv) == "f32"), kv);
    }
}

BOOST_AUTO_TEST_CASE(a_window_is_refused_without_sinks_or_rotations) {
    const auto refusal = [](const std::string& path, std::uint32_t sinks, std::uint32_t recent) {
        ModelOptions options;
        options.path = path;
        options.sinks = sinks;
        options.recent = recent;
        const auto model = Model::load(options, {});
        BOOST_TEST_REQUIRE(model.has_error());
        BOOST_TEST((model.error().code == ErrorCode::invalid_argument), model.error().message);
        return model.error().message;
    };
    const std::string goldens = std::string(KVASIR_TEST_DATA) + "/golden/arch/";
    const std::string no_sinks = refusal(goldens + "llama.gguf", 0, 40);
    BOOST_TEST(no_sinks.find("0 sinks and 40 recent") != std::string::npos, no_sinks);
    const std::string learned = refusal(goldens + "gpt2.gguf", 4, 40);
    BOOST_TEST(learned.find("learned positions") != std::string::npos, learned);
}

BOOST_AUTO_TEST_CASE(sinks_alone_take_the_rest_of_the_context_where_the_model_allows_it) {
    const auto window_length = [](const char* golden, std::uint32_t context) {
        ModelOptions options;
        options.path = std::string(KVASIR_TEST_DATA) + "/golden/arch/" + golden;
        options.context = context;
        options.sinks = 4;
        options.shared_device = gpu::Gpu::get().device;
        return Model::load(options, {}).value()->window_length();
    };
    BOOST_TEST(window_length("llama.gguf", 64) == 4 * 64);
    BOOST_TEST(window_length("llama.gguf", 4) == 0);  // no room for recent ones
    BOOST_TEST(window_length("gpt2.gguf", 64) == 0);  // learned positions
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
