// safetensors files, well formed, cut, flipped and lying.
#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>

#include "daemon/model/hf/safetensors.hpp"
#include "tests/support/hf_builder.hpp"

namespace kvasir {
namespace {

using namespace test;

std::vector<std::byte> count_up(std::size_t n) {
    std::vector<std::byte> bytes(n);
    for (std::size_t i = 0; i < n; ++i) bytes[i] = std::byte(i & 0xff);
    return bytes;
}

std::vector<std::byte> small_file() {
    const std::vector<HfBuilderTensor> tensors = {
        {"a.weight", "F32", {2, 3}, count_up(24)},
        {"b", "BF16", {4}, count_up(8)},
        {"mask", "BOOL", {1, 1, 2, 2}, count_up(4)},
        {"one", "I64", {}, count_up(8)},
        {"none", "F16", {0, 7}, {}},
    };
    return safetensors_bytes(tensors);
}

std::size_t header_end(std::span<const std::byte> bytes) {
    std::uint64_t n = 0;
    std::memcpy(&n, bytes.data(), sizeof(n));
    return sizeof(n) + static_cast<std::size_t>(n);
}

/// Whatever is accepted lies within the file and has the size that its shape says.
void require_well_formed(std::span<const SafetensorsEntry> entries,
                         std::span<const std::byte> file) {
    std::size_t total = 0;
    for (const SafetensorsEntry& entry : entries) {
        BOOST_TEST_REQUIRE(!entry.name.empty());
        if (!entry.data.empty()) {
            BOOST_TEST_REQUIRE(
                (entry.data.data() >= file.data() &&
                 entry.data.data() + entry.data.size() <= file.data() + file.size()));
        }
        std::uint64_t n = entry.format == nullptr ? 0 : entry.format->block_bytes;
        for (const std::uint64_t extent : entry.shape) n *= extent;
        if (entry.format != nullptr) BOOST_TEST_REQUIRE(n == entry.data.size());
        total += entry.data.size();
    }
    BOOST_TEST_REQUIRE(total == file.size() - header_end(file));
}

struct Case {
    std::string header;
    ErrorCode code;
    std::vector<std::string> says;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.header.substr(0, 90);
}

constexpr std::size_t kDataBytes = 16;

std::string tensor(const std::string& entry, const std::string& name = "a") {
    return "{\"" + name + "\": {" + entry + "}}";
}

std::string deep(std::size_t n) {
    return tensor(R"("dtype": "F32", "shape": )" + std::string(n, '[') + std::string(n, ']') +
                  R"(, "data_offsets": [0, 16])");
}

const std::string kRest = R"("shape": [4], "data_offsets": [0, 16])";

const std::vector<Case> kRefused = {
    {"", ErrorCode::corrupt, {"`{`"}},
    {"[]", ErrorCode::corrupt, {"`{`"}},
    {"{", ErrorCode::corrupt, {"no JSON"}},
    {"{} x", ErrorCode::corrupt, {"header byte"}},
    {"{}", ErrorCode::corrupt, {"16 bytes of data", "expected 0"}},
    {R"({"a": 1})", ErrorCode::corrupt, {"`a`", "misplaced number"}},
    {R"({"a": "F32"})", ErrorCode::corrupt, {"`a`", "misplaced string"}},
    {R"({"a": [1]})", ErrorCode::corrupt, {"`a`", "misplaced array"}},
    {R"({"a": null})", ErrorCode::corrupt, {"`a`", "misplaced null"}},
    {R"({"a": {}})", ErrorCode::corrupt, {"`a`", "expected dtype, shape and data_offsets"}},
    {R"({"": {}})", ErrorCode::corrupt, {"a name of 0 bytes"}},
    {R"({"__metadata__": 1})", ErrorCode::corrupt, {"__metadata__", "misplaced number"}},
    {R"({"__metadata__": {"x": {}}})", ErrorCode::corrupt, {"__metadata__"}},
    {R"({"__metadata__": {"x": 1}})", ErrorCode::corrupt, {"__metadata__"}},
    {tensor(kRest), ErrorCode::corrupt, {"`a`", "expected dtype"}},
    {tensor(R"("dtype": "F32", )" + kRest + R"(, "dtype": "F32")"), ErrorCode::corrupt, {"twice"}},
    {tensor(R"("dtype": "F32", )" + kRest + R"(, "x": 1)"), ErrorCode::corrupt, {"unknown", "`x`"}},
    {tensor(R"("dtype": ["F32"], )" + kRest), ErrorCode::corrupt, {"dtype is an array"}},
    {tensor(R"("dtype": 0, )" + kRest), ErrorCode::corrupt, {"misplaced number"}},
    {tensor(R"("dtype": "Q4_0", )" + kRest), ErrorCode::unsupported, {"`a`", "`Q4_0`", "BF16"}},
    {tensor(R"("dtype": "F16", )" + kRest), ErrorCode::corrupt, {"16 bytes", "expected 8", "(4)"}},
    {tensor(R"("dtype": "F32", "shape": "4", "data_offsets": [0, 16])"),
     ErrorCode::corrupt,
     {"`a`"}},
    {tensor(R"("dtype": "F32", "shape": [-4], "data_offsets": [0, 16])"),
     ErrorCode::corrupt,
     {"-4"}},
    {tensor(R"("dtype": "F32", "shape": [4.0], "data_offsets": [0, 16])"),
     ErrorCode::corrupt,
     {"whole number"}},
    {tensor(R"("dtype": "F32", "shape": [true], "data_offsets": [0, 16])"),
     ErrorCode::corrupt,
     {"`a`"}},
    {tensor(R"("dtype": "F32", "shape": [1,1,1,1,1,1,1,1,4], "data_offsets": [0, 16])"),
     ErrorCode::corrupt,
     {"more than 8 dimensions"}},
    {tensor(R"("dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 16])"),
     ErrorCode::corrupt,
     {"2^64"}},
    {tensor(R"("dtype": "F32", "shape": [4611686018427387905], "data_offsets": [0, 16])"),
     ErrorCode::corrupt,
     {"2^64"}},
    {tensor(R"("dtype": "F32", "shape": [99999999999999999999], "data_offsets": [0, 16])"),
     ErrorCode::corrupt,
     {"`a`"}},
    {tensor(R"("dtype": "F32", "shape": [4], "data_offsets": [0])"),
     ErrorCode::corrupt,
     {"of 1 numbers"}},
    {tensor(R"("dtype": "F32", "shape": [4], "data_offsets": [0, 16, 32])"),
     ErrorCode::corrupt,
     {"of 3 numbers"}},
    {tensor(R"("dtype": "F32", "shape": [4], "data_offsets": [16, 0])"),
     ErrorCode::corrupt,
     {"`a`"}},
    {tensor(R"("dtype": "F32", "shape": [5], "data_offsets": [0, 20])"),
     ErrorCode::corrupt,
     {"20"}},
    {tensor(R"("dtype": "F32", "shape": [3], "data_offsets": [4, 16])"),
     ErrorCode::corrupt,
     {"begin at 4", "expected 0"}},
    {tensor(R"("dtype": "F32", "shape": [3], "data_offsets": [0, 12])"),
     ErrorCode::corrupt,
     {"16 bytes of data", "expected 12"}},
    {tensor(R"("dtype": "F32", "shape": [4], "data_offsets": [18446744073709551600, 0])"),
     ErrorCode::corrupt,
     {"`a`"}},
    {R"({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
         "b": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}})",
     ErrorCode::corrupt,
     {"`b`", "begin at 8", "expected 16"}},
    {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
         "a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}})",
     ErrorCode::corrupt,
     {"`a`", "twice"}},
    {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
         "\u0061": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}})",
     ErrorCode::corrupt,
     {"`a`", "twice"}},
    {tensor(R"("dtype": "F31", )" + kRest, "\\u001b[31m"), ErrorCode::unsupported, {"?"}},
    {tensor(R"("dtype": "F32", )" + kRest, std::string(600, 'n')),
     ErrorCode::corrupt,
     {"600 bytes"}},
    {deep(2), ErrorCode::corrupt, {"`a`"}},
    {deep(100000), ErrorCode::corrupt, {"`a`"}},
    {std::string(100000, '{'), ErrorCode::corrupt, {"no JSON"}},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(safetensors)

BOOST_AUTO_TEST_CASE(names_types_shapes_and_bytes_are_read) {
    const auto file = small_file();
    const auto entries = read_safetensors(file, "small").value();
    BOOST_TEST_REQUIRE(entries.size() == 5);
    require_well_formed(entries, file);
    BOOST_TEST(entries[0].name == "a.weight");
    BOOST_TEST(entries[0].format->name == "F32");
    BOOST_TEST(entries[0].shape == (std::vector<std::uint64_t>{2, 3}),
               boost::test_tools::per_element());
    BOOST_TEST((std::ranges::equal(entries[0].data, count_up(24))));
    BOOST_TEST(entries[1].format->name == "BF16");
    BOOST_TEST(entries[1].data.size() == 8U);
    BOOST_TEST(entries[2].format == nullptr);  // known, but no weight
    BOOST_TEST(entries[2].dtype == "BOOL");
    BOOST_TEST(entries[3].shape.empty());
    BOOST_TEST(entries[4].data.empty());
}

BOOST_DATA_TEST_CASE(what_lies_is_refused_by_name, boost::unit_test::data::make(kRefused), c) {
    const auto file = safetensors_bytes(c.header, count_up(kDataBytes));
    const auto entries = read_safetensors(file, "FILE");
    BOOST_TEST_REQUIRE(entries.has_error());
    const Error& error = entries.error();
    BOOST_TEST(static_cast<int>(error.code) == static_cast<int>(c.code), error.message);
    BOOST_TEST(error.message.starts_with("FILE: "));
    for (const std::string& part : c.says) {
        BOOST_TEST(error.message.find(part) != std::string::npos,
                   "\"" << error.message << "\" names " << part);
    }
    BOOST_TEST(error.message.size() < 400U);
}

BOOST_AUTO_TEST_CASE(a_header_longer_than_the_file_or_the_format_allows_is_refused) {
    for (const std::uint64_t n : {std::uint64_t{9}, std::uint64_t{100'000'001}, UINT64_MAX,
                                  UINT64_MAX - 7, std::uint64_t{1} << 63U}) {
        std::vector<std::byte> file(16, std::byte{' '});
        std::memcpy(file.data(), &n, sizeof(n));
        const auto entries = read_safetensors(file, "FILE");
        BOOST_TEST_REQUIRE(entries.has_error());
        BOOST_TEST(entries.error().message.find(std::to_string(n)) != std::string::npos,
                   entries.error().message);
    }
}

BOOST_AUTO_TEST_CASE(a_file_cut_anywhere_is_refused) {
    const auto file = small_file();
    for (std::size_t n = 0; n < file.size(); ++n) {
        const auto entries = read_safetensors(std::span(file).first(n), "FILE");
        BOOST_TEST_REQUIRE(entries.has_error(), "accepted when cut to " << n);
        BOOST_TEST_REQUIRE(!entries.error().message.empty());
    }
}

BOOST_AUTO_TEST_CASE(a_header_with_any_byte_changed_is_refused_or_well_formed) {
    const auto good = small_file();
    std::size_t n_refused = 0;
    for (std::size_t at = 0; at < header_end(good); ++at) {
        for (unsigned change = 1; change < 256; ++change) {
            // In a buffer of its own size, so that a sanitizer sees reads past its end.
            std::vector<std::byte> file(good);
            file[at] ^= std::byte(change);
            const auto entries = read_safetensors(file, "FILE");
            if (entries.has_error()) {
                ++n_refused;
                BOOST_TEST_REQUIRE(!entries.error().message.empty());
            } else {
                require_well_formed(*entries, file);
            }
        }
    }
    BOOST_TEST(n_refused > header_end(good) * 100);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
