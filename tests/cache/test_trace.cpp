#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "cache/trace.hpp"

using namespace kvasir;

BOOST_AUTO_TEST_SUITE(trace)

BOOST_AUTO_TEST_CASE(a_line_is_a_request) {
    const auto trace = parse_trace(
        "{\"timestamp\": 27000, \"input_length\": 6955, \"output_length\": 52, \"hash_ids\": [46, "
        "47]}\n"
        "\n"
        " { \"hash_ids\" : [ ] , \"timestamp\":3 }\r\n"
        "{\"hash_ids\":[18446744073709551615]}");
    BOOST_REQUIRE(trace.has_value());
    BOOST_REQUIRE(trace->size() == 3U);
    BOOST_TEST((*trace)[0].timestamp_ms == 27000U);
    BOOST_TEST(((*trace)[0].pages == std::vector<std::uint64_t>{46, 47}));
    BOOST_TEST((*trace)[1].pages.empty());
    BOOST_TEST((*trace)[1].timestamp_ms == 3U);
    BOOST_TEST((*trace)[2].pages[0] == 0xffffffffffffffffU);
}

BOOST_AUTO_TEST_CASE(other_keys_are_stepped_over) {
    const auto trace = parse_trace(
        R"({"a": -1.5e3, "b": "x\"}]", "c": [1, {"d": [null, true]}, []], "e": {}, "hash_ids": [1]})");
    BOOST_REQUIRE(trace.has_value());
    BOOST_TEST((*trace)[0].pages.size() == 1U);
}

BOOST_AUTO_TEST_CASE(an_error_names_the_line_and_what_was_expected) {
    const auto trace = parse_trace("{\"hash_ids\": [1]}\n{\"timestamp\": 1}\n");
    BOOST_REQUIRE(trace.has_error());
    BOOST_TEST((trace.error().code == ErrorCode::corrupt));
    BOOST_TEST(trace.error().message == "trace, line 2, byte 16: expected hash_ids");
}

BOOST_DATA_TEST_CASE(
    malformed_lines_are_refused,
    boost::unit_test::data::make(std::vector<std::string>{
        "x", "[1]", "{", "{\"hash_ids\": [1]", "{\"hash_ids\": [1,]}", "{\"hash_ids\": [1 2]}",
        "{\"hash_ids\": [-1]}", "{\"hash_ids\": [1.5]}", "{\"hash_ids\": [18446744073709551616]}",
        "{\"hash_ids\": 3}", "{\"hash_ids\": [1]} x", "{\"hash_ids\" [1]}", "{hash_ids: [1]}",
        "{\"a\": \"\\", "{\"a\": , \"hash_ids\": [1]}", "{\"a\": [}, \"hash_ids\": []}",
        "{\"hash_ids\": [1] \"a\": 1}", "{\"timestamp\": \"1\", \"hash_ids\": []}",
        "{\"a\": " + std::string(1000, '[') + std::string(1000, ']') + ", \"hash_ids\": []}"}),
    line) {
    const auto trace = parse_trace(line);
    BOOST_REQUIRE(trace.has_error());
    BOOST_TEST((trace.error().code == ErrorCode::corrupt));
}

BOOST_AUTO_TEST_CASE(a_line_cut_anywhere_is_refused_and_does_not_crash) {
    const std::string line = R"({"timestamp": 1, "x": ["\"", {"y": 2}], "hash_ids": [1, 22]})";
    BOOST_REQUIRE(parse_trace(line).has_value());
    for (std::size_t n = 1; n < line.size(); ++n)
        BOOST_TEST(parse_trace(line.substr(0, n)).has_error());
}

BOOST_AUTO_TEST_CASE(a_missing_file_is_an_error) {
    const auto trace = read_trace("/nonexistent/trace.jsonl");
    BOOST_REQUIRE(trace.has_error());
    BOOST_TEST((trace.error().code == ErrorCode::io));
}

BOOST_AUTO_TEST_SUITE_END()
