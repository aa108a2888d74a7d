#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <limits>
#include <sys/stat.h>

#include "quant/gguf.hpp"
#include "tests/support/corrupt.hpp"
#include "tests/support/gguf_builder.hpp"

namespace kvasir {
namespace {

using test::GgufBuilder;
using test::ScratchFile;

constexpr std::uint32_t kF32 = 0;
constexpr std::uint32_t kQ8_0 = 8;
constexpr std::uint32_t kUnknownType = 77;

/// A little of everything; its last tensor ends where the file ends.
std::vector<std::byte> small_file(std::uint32_t version = 3) {
    GgufBuilder b;
    b.version = version;
    b.key("general.architecture", "llama")
        .key("n", std::uint32_t{7})
        .key("eps", 0.5F)
        .key("flag", true);
    b.array("tokens", std::vector<std::string>{"a", "", "ccc"})
        .array("types", std::vector<std::int32_t>{1, -3});
    b.array("scores", std::vector<float>{0.25F});
    b.tensor("w", {32, 2}, kQ8_0, 0)
        .tensor("odd", {3}, kUnknownType, 96)
        .tensor("norm", {4}, kF32, 128);
    return b.file(144);
}

Result<GgufFile> open_bytes(std::span<const std::byte> bytes) {
    const ScratchFile file(bytes);
    return GgufFile::open(file.path());  // the mapping outlives the name
}

/// Whatever was accepted must be consistent and readable to its last byte.
void require_well_formed(const GgufFile& file) {
    unsigned sum = 0;
    for (const TensorInfo& tensor : file.tensors()) {
        BOOST_TEST_REQUIRE((!tensor.shape.empty() && tensor.shape.size() <= 4));
        BOOST_TEST_REQUIRE(file.find_tensor(tensor.name) == &tensor);
        if (tensor.format == nullptr) {
            BOOST_TEST_REQUIRE(tensor.data.empty());
            continue;
        }
        const std::uint64_t blocks = tensor.n_elements() / tensor.format->block_elements;
        BOOST_TEST_REQUIRE(blocks * tensor.format->block_elements == tensor.n_elements());
        BOOST_TEST_REQUIRE(tensor.data.size() == blocks * tensor.format->block_bytes);
        for (const std::byte b : tensor.data) sum += std::to_integer<unsigned>(b);
    }
    for (const char* key : {"tokens", "tokenizer.ggml.tokens", "tokenizer.ggml.merges"}) {
        const GgufValue* value = file.find(key);
        const auto* array = value == nullptr ? nullptr : std::get_if<GgufArray>(value);
        const auto* strings =
            array == nullptr ? nullptr : std::get_if<std::vector<std::string_view>>(array);
        if (strings == nullptr) continue;
        for (const std::string_view text : *strings)
            for (const char c : text) sum += static_cast<unsigned char>(c);
    }
    [[maybe_unused]] static volatile unsigned sink;
    sink = sum;
}

bool is_refusal(const Error& error) {
    return (error.code == ErrorCode::corrupt || error.code == ErrorCode::unsupported ||
            error.code == ErrorCode::too_large) &&
           !error.message.empty();
}

void check_refused(std::span<const std::byte> bytes, ErrorCode code, std::string_view part) {
    const auto file = open_bytes(bytes);
    BOOST_TEST_REQUIRE(file.has_error());
    BOOST_TEST((file.error().code == code), file.error().message);
    BOOST_TEST(file.error().message.find(part) != std::string::npos, file.error().message);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gguf)

BOOST_DATA_TEST_CASE(reads_metadata_and_tensors_of_versions_2_and_3,
                     boost::unit_test::data::make({2, 3}), version) {
    const auto bytes = small_file(static_cast<std::uint32_t>(version));
    const GgufFile file = open_bytes(bytes).value();
    BOOST_TEST(file.get_string("general.architecture").value() == "llama");
    BOOST_TEST(file.get_u32("n").value() == 7U);
    BOOST_TEST(file.get_f32("eps").value() == 0.5F);
    BOOST_TEST(file.find_bool("flag").value().value());
    const auto& tokens =
        std::get<std::vector<std::string_view>>(std::get<GgufArray>(*file.find("tokens")));
    BOOST_TEST(tokens == (std::vector<std::string_view>{"a", "", "ccc"}),
               boost::test_tools::per_element());
    const auto& types =
        std::get<std::vector<std::int64_t>>(std::get<GgufArray>(*file.find("types")));
    BOOST_TEST(types == (std::vector<std::int64_t>{1, -3}), boost::test_tools::per_element());
    BOOST_TEST(std::get<std::vector<double>>(std::get<GgufArray>(*file.find("scores")))[0] == 0.25);

    BOOST_TEST_REQUIRE(file.tensors().size() == 3U);
    const TensorInfo& w = *file.find_tensor("w");
    BOOST_TEST(w.shape == (std::vector<std::uint64_t>{2, 32}), boost::test_tools::per_element());
    BOOST_TEST(w.format->name == "Q8_0");
    BOOST_TEST(w.data.size() == 68U);
    BOOST_TEST(std::to_integer<int>(w.data[5]) == 5);
    const TensorInfo& norm = *file.find_tensor("norm");
    BOOST_TEST(norm.data.size() == 16U);
    BOOST_TEST(std::to_integer<int>(norm.data[0]) == 128);
    BOOST_TEST(file.find_tensor("absent") == nullptr);
    BOOST_TEST(file.find("absent") == nullptr);
}

BOOST_AUTO_TEST_CASE(a_tensor_of_an_unknown_type_is_listed_without_data) {
    const GgufFile file = open_bytes(small_file()).value();
    const TensorInfo* odd = file.find_tensor("odd");
    BOOST_TEST_REQUIRE(odd != nullptr);
    BOOST_TEST(odd->format == nullptr);
    BOOST_TEST(odd->type == kUnknownType);
    BOOST_TEST(odd->data.empty());
    BOOST_TEST(odd->n_elements() == 3U);
}

BOOST_AUTO_TEST_CASE(every_scalar_type_arrives_widened) {
    GgufBuilder b;
    b.key("u8", std::uint8_t{200}).key("i8", std::int8_t{-100}).key("u16", std::uint16_t{60000});
    b.key("i16", std::int16_t{-30000})
        .key("u32", std::uint32_t{4'000'000'000})
        .key("i32", std::int32_t{-2'000'000'000});
    b.key("u64", std::numeric_limits<std::uint64_t>::max())
        .key("i64", std::numeric_limits<std::int64_t>::min());
    b.key("f32", 1.5F).key("f64", 1e300).key("false", false);
    const GgufFile file = open_bytes(b.header()).value();
    BOOST_TEST(std::get<std::uint64_t>(*file.find("u8")) == 200U);
    BOOST_TEST(std::get<std::int64_t>(*file.find("i8")) == -100);
    BOOST_TEST(std::get<std::uint64_t>(*file.find("u16")) == 60000U);
    BOOST_TEST(std::get<std::int64_t>(*file.find("i16")) == -30000);
    BOOST_TEST(std::get<std::uint64_t>(*file.find("u32")) == 4'000'000'000U);
    BOOST_TEST(std::get<std::int64_t>(*file.find("i32")) == -2'000'000'000);
    BOOST_TEST(std::get<std::uint64_t>(*file.find("u64")) ==
               std::numeric_limits<std::uint64_t>::max());
    BOOST_TEST(std::get<std::int64_t>(*file.find("i64")) ==
               std::numeric_limits<std::int64_t>::min());
    BOOST_TEST(std::get<double>(*file.find("f32")) == 1.5);
    BOOST_TEST(std::get<double>(*file.find("f64")) == 1e300);
    BOOST_TEST(!std::get<bool>(*file.find("false")));
}

BOOST_AUTO_TEST_CASE(typed_getters_refuse_another_type_and_what_does_not_fit) {
    GgufBuilder b;
    b.key("text", "x").key("negative", std::int32_t{-1}).key("large", std::uint64_t{1} << 32);
    b.key("fits", std::int8_t{5}).key("huge", 1e300).key("one", std::uint8_t{1});
    const GgufFile file = open_bytes(b.header()).value();
    BOOST_TEST(file.get_u32("fits").value() == 5U);
    for (const char* key : {"text", "negative", "large", "huge"}) {
        const auto wrong = file.find_u32(key);
        BOOST_TEST_REQUIRE(wrong.has_error());
        BOOST_TEST((wrong.error().code == ErrorCode::corrupt));
        BOOST_TEST(wrong.error().message.find(key) != std::string::npos);
    }
    BOOST_TEST(file.find_f32("huge").has_error());
    BOOST_TEST(file.find_f32("one").has_error());
    BOOST_TEST(file.find_bool("one").has_error());
    BOOST_TEST(file.find_string("one").has_error());
    BOOST_TEST(!file.find_u32("absent").value().has_value());
    BOOST_TEST(!file.find_string("absent").value().has_value());
    BOOST_TEST((file.get_u32("absent").error().code == ErrorCode::corrupt));
    BOOST_TEST(file.get_f32("absent").error().message.find("absent") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(nested_arrays_are_walked_and_not_kept) {
    GgufBuilder b;
    auto& sink = b.begin_key("nested", 9).put(std::uint32_t{9}).put(std::uint64_t{2});
    sink.put(std::uint32_t{8}).put(std::uint64_t{1}).put_string("x");
    sink.put(std::uint32_t{0})
        .put(std::uint64_t{3})
        .put(std::uint8_t{1})
        .put(std::uint8_t{2})
        .put(std::uint8_t{3});
    b.key("after", std::uint32_t{9});
    const GgufFile file = open_bytes(b.header()).value();
    BOOST_TEST(file.find("nested") == nullptr);
    BOOST_TEST(file.get_u32("after").value() == 9U);

    b.key("nested", std::uint32_t{1});
    check_refused(b.header(), ErrorCode::corrupt, "twice");

    GgufBuilder deep;
    auto& levels = deep.begin_key("deep", 9);
    for (int i = 0; i < 1000; ++i) levels.put(std::uint32_t{9}).put(std::uint64_t{1});
    check_refused(deep.header(), ErrorCode::corrupt, "nested deeper");
}

BOOST_AUTO_TEST_CASE(a_file_cut_at_any_offset_is_refused) {
    const auto bytes = small_file();
    std::size_t n_refused = 0;
    test::for_each_truncation(bytes, bytes.size(), 1, [&](const auto& path, std::size_t n_bytes) {
        const auto file = GgufFile::open(path);
        BOOST_TEST_REQUIRE(file.has_error(), "accepted when cut to " << n_bytes);
        BOOST_TEST_REQUIRE(is_refusal(file.error()), file.error().message);
        ++n_refused;
    });
    BOOST_TEST(n_refused == bytes.size());
}

BOOST_AUTO_TEST_CASE(any_flipped_header_bit_gives_an_error_or_a_well_formed_file) {
    const auto bytes = small_file();
    const std::size_t header_bytes = bytes.size() - 144;
    std::size_t n_refused = 0;
    test::for_each_flipped_bit(
        bytes, 0, header_bytes, 1, [&](const auto& path, std::size_t offset, unsigned bit) {
            BOOST_TEST_CONTEXT("byte " << offset << " bit " << bit) {
                const auto file = GgufFile::open(path);
                if (file.has_error()) {
                    BOOST_TEST_REQUIRE(is_refusal(file.error()), file.error().message);
                    ++n_refused;
                } else {
                    require_well_formed(*file);
                }
                if (offset < 4) BOOST_TEST(file.has_error());  // the magic
                if (offset >= 4 && offset < 8)
                    BOOST_TEST((file.has_error() || (offset == 4 && bit == 0)));  // 3 -> 2
            }
        });
    BOOST_TEST(n_refused > header_bytes);  // most of a header is counts, lengths and offsets
}

BOOST_AUTO_TEST_CASE(the_bundled_model_is_read_whole) {
    const GgufFile file = GgufFile::open(KVASIR_TEST_DATA "/tales-5m-q8_0.gguf").value();
    require_well_formed(file);
    BOOST_TEST(file.tensors().size() == 56U);
    BOOST_TEST(file.get_string("general.architecture").value() == "llama");
    BOOST_TEST(file.get_u32("llama.context_length").value() == 512U);
    const TensorInfo* embedding = file.find_tensor("token_embd.weight");
    BOOST_TEST_REQUIRE(embedding != nullptr);
    BOOST_TEST(embedding->shape == (std::vector<std::uint64_t>{4096, 256}),
               boost::test_tools::per_element());
    BOOST_TEST(embedding->data.size() == 4096U * 256 / 32 * 34);
}

BOOST_AUTO_TEST_CASE(the_bundled_model_cut_or_flipped_never_crashes) {
    const auto bytes = test::read_file(KVASIR_TEST_DATA "/tales-5m-q8_0.gguf");
    constexpr std::size_t header_bytes = 133'019;
    constexpr std::size_t directory_begin = header_bytes - 3'500;
    const auto refused = [](const auto& path, std::size_t n_bytes) {
        BOOST_TEST_REQUIRE(GgufFile::open(path).has_error(), "accepted when cut to " << n_bytes);
    };
    test::for_each_truncation(bytes, 1'100, 1, refused);
    test::for_each_truncation(bytes, header_bytes, 307, refused);
    test::for_each_truncation(bytes, bytes.size(), 99'991, refused);
    std::size_t n_refused = 0;
    const auto survives = [&](const auto& path, std::size_t, unsigned) {
        const auto file = GgufFile::open(path);
        if (file.has_error()) {
            BOOST_TEST_REQUIRE(is_refusal(file.error()), file.error().message);
            ++n_refused;
        } else {
            BOOST_TEST_REQUIRE(file->tensors().size() <= 56U);
        }
    };
    test::for_each_flipped_bit(bytes, 0, 1'100, 7, survives);
    test::for_each_flipped_bit(bytes, 1'100, directory_begin, 1'301, survives);
    test::for_each_flipped_bit(bytes, directory_begin, header_bytes, 11, survives);
    BOOST_TEST(n_refused > 1000U);
}

BOOST_AUTO_TEST_CASE(counts_and_lengths_beyond_the_file_are_refused_before_memory_is_taken) {
    for (const std::uint64_t n : {std::uint64_t{1}, std::uint64_t{1} << 32, std::uint64_t{1} << 61,
                                  std::numeric_limits<std::uint64_t>::max()}) {
        GgufBuilder keys;
        keys.extra_keys = n;
        check_refused(keys.header(), ErrorCode::corrupt, "key count");
        GgufBuilder tensors;
        tensors.extra_tensors = n;
        check_refused(tensors.header(), ErrorCode::corrupt, "tensor count");
        for (const std::uint32_t type : {0U, 6U, 8U, 9U, 12U}) {
            GgufBuilder array;
            array.begin_key("a", 9).put(type).put(n);
            check_refused(array.header(), ErrorCode::corrupt, "expected");
        }
        GgufBuilder text;
        text.begin_key("s", 8).put(n);
        check_refused(text.header(), ErrorCode::corrupt, "bytes expected");
    }
}

BOOST_AUTO_TEST_CASE(more_array_elements_than_the_limit_are_refused) {
    GgufBuilder b;
    b.array("a", std::vector<std::uint8_t>((std::size_t{1} << 24) - 1))
        .array("b", std::vector<std::uint8_t>(2));
    check_refused(b.header(), ErrorCode::too_large, "array elements");
}

BOOST_AUTO_TEST_CASE(contradictions_in_the_metadata_are_refused) {
    check_refused(GgufBuilder().key("k", 1.0F).key("k", 1.0F).header(), ErrorCode::corrupt,
                  "twice");
    check_refused(GgufBuilder().key("", 1.0F).header(), ErrorCode::corrupt, "key 0");
    check_refused(GgufBuilder().key(std::string(65536, 'k'), 1.0F).header(), ErrorCode::corrupt,
                  "65536");
    GgufBuilder boolean;
    boolean.begin_key("b", 7).put(std::uint8_t{2});
    check_refused(boolean.header(), ErrorCode::corrupt, "bool 2");
    GgufBuilder type;
    type.begin_key("t", 13).put(std::uint64_t{0});
    check_refused(type.header(), ErrorCode::corrupt, "value type 13");
    GgufBuilder element;
    element.begin_key("t", 9).put(std::uint32_t{13}).put(std::uint64_t{0}).put(std::uint64_t{0});
    check_refused(element.header(), ErrorCode::corrupt, "element type 13");
    check_refused(
        GgufBuilder().array("u", std::vector<std::uint64_t>{std::uint64_t{1} << 63}).header(),
        ErrorCode::corrupt, "2^63");
    for (const std::uint32_t alignment : {0U, 3U, 24U, 1U << 21})
        check_refused(GgufBuilder().key("general.alignment", alignment).header(),
                      ErrorCode::corrupt, "alignment");
    check_refused(GgufBuilder().key("general.alignment", "32").header(), ErrorCode::corrupt,
                  "alignment");
}

BOOST_AUTO_TEST_CASE(versions_that_are_not_2_or_3_are_named) {
    GgufBuilder b;
    for (const std::uint32_t version : {0U, 1U, 4U}) {
        b.version = version;
        check_refused(b.header(), ErrorCode::unsupported, "version " + std::to_string(version));
    }
    b.version = 0x03000000;
    check_refused(b.header(), ErrorCode::unsupported, "big-endian");
    b.magic = 0x47475546;
    check_refused(b.header(), ErrorCode::corrupt, "not a GGUF file");
}

BOOST_AUTO_TEST_CASE(contradictions_in_the_tensor_directory_are_refused) {
    const auto one = [](const std::vector<std::uint64_t>& dims, std::uint32_t type,
                        std::uint64_t offset) {
        return GgufBuilder().tensor("t", dims, type, offset).file(256);
    };
    BOOST_TEST(open_bytes(one({8, 8}, kF32, 0)).has_value());
    check_refused(one({}, kF32, 0), ErrorCode::corrupt, "0 dimensions");
    check_refused(one({1, 1, 1, 1, 1}, kF32, 0), ErrorCode::corrupt, "5 dimensions");
    check_refused(one({4, 0}, kF32, 0), ErrorCode::corrupt, "dimension 1 is 0");
    check_refused(one({std::uint64_t{1} << 32, std::uint64_t{1} << 32}, kF32, 0),
                  ErrorCode::corrupt, "dimension 1");
    check_refused(one({std::uint64_t{1} << 63}, kF32, 0), ErrorCode::corrupt, "dimension 0");
    check_refused(one({std::uint64_t{1} << 62}, kF32, 0), ErrorCode::corrupt,
                  "bytes of the file are left");
    check_refused(one({65}, kF32, 0), ErrorCode::corrupt, "256 bytes of the file are left");
    check_refused(one({33}, kQ8_0, 0), ErrorCode::corrupt, "rows of 33");
    check_refused(one({16, 2}, kQ8_0, 0), ErrorCode::corrupt, "rows of 16");
    check_refused(one({1}, kF32, 4), ErrorCode::corrupt, "multiple of 32");
    check_refused(one({1}, kF32, 256), ErrorCode::corrupt, "0 bytes of the file are left");
    check_refused(one({1}, kF32, 288), ErrorCode::corrupt, "data offset");
    check_refused(one({1}, kUnknownType, std::uint64_t{1} << 63), ErrorCode::corrupt,
                  "data offset");
    check_refused(GgufBuilder().tensor("t", {1}, kF32, 0).tensor("t", {1}, kF32, 32).file(64),
                  ErrorCode::corrupt, "twice");
    check_refused(GgufBuilder().tensor("a", {9}, kF32, 32).tensor("b", {16}, kF32, 0).file(128),
                  ErrorCode::corrupt, "overlap");
    check_refused(GgufBuilder().tensor(std::string(65, 'n'), {1}, kF32, 0).file(64),
                  ErrorCode::corrupt, "65 bytes");
    check_refused(GgufBuilder().tensor("", {1}, kF32, 0).file(64), ErrorCode::corrupt, "0 bytes");
}

BOOST_AUTO_TEST_CASE(another_alignment_moves_the_data) {
    GgufBuilder b;
    b.key("general.alignment", std::uint32_t{256}).tensor("t", {4}, kF32, 256);
    const GgufFile file = open_bytes(b.file(272, 256)).value();
    BOOST_TEST(std::to_integer<int>(file.find_tensor("t")->data[3]) == 3);
    GgufBuilder unaligned;
    unaligned.key("general.alignment", std::uint32_t{256}).tensor("t", {4}, kF32, 32);
    check_refused(unaligned.file(272, 256), ErrorCode::corrupt, "multiple of 256");
}

BOOST_AUTO_TEST_CASE(names_from_the_file_cannot_forge_a_log_line) {
    GgufBuilder b;
    b.key("a\n\x1b[31mforged", 1.0F).key("a\n\x1b[31mforged", 1.0F);
    const auto file = open_bytes(b.header());
    BOOST_TEST_REQUIRE(file.has_error());
    for (const char c : file.error().message) BOOST_TEST_REQUIRE((c >= ' ' && c <= '~'));
}

BOOST_AUTO_TEST_CASE(what_is_no_file_is_an_io_error) {
    BOOST_TEST((GgufFile::open("/nonexistent/model.gguf").error().code == ErrorCode::io));
    BOOST_TEST((GgufFile::open("/tmp").error().code == ErrorCode::io));
    const auto pipe =
        std::filesystem::temp_directory_path() / ("kvasir-pipe-" + std::to_string(::getpid()));
    BOOST_TEST_REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    BOOST_TEST(
        (GgufFile::open(pipe).error().code == ErrorCode::io));  // and does not wait for a writer
    std::filesystem::remove(pipe);
    check_refused({}, ErrorCode::corrupt, "empty");
}

BOOST_AUTO_TEST_CASE(a_moved_file_keeps_its_views) {
    GgufFile first = open_bytes(small_file()).value();
    const GgufFile second = std::move(first);
    require_well_formed(second);
    BOOST_TEST(second.find_tensor("norm")->data.size() == 16U);
    BOOST_TEST(second.get_string("general.architecture").value() == "llama");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
