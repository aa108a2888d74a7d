#include <boost/test/unit_test.hpp>
#include <random>

#include "daemon/kvasir/sse_parser.hpp"

namespace {

using namespace kvasir;
using client::SseParser;

std::vector<std::string> parse(const std::vector<std::string>& pieces) {
    SseParser parser;
    std::vector<SseParser::Event> events;
    for (const std::string& piece : pieces) BOOST_REQUIRE(parser.push(piece, events).has_value());
    std::vector<std::string> result;
    for (const auto& event : events) result.push_back(event.name + "|" + event.data);
    return result;
}

using Events = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_SUITE(sse_parser)

BOOST_AUTO_TEST_CASE(events_end_with_an_empty_line) {
    BOOST_TEST((parse({"data: one\n\ndata: two\n\ndata: thr"}) == Events{"|one", "|two"}));
}

BOOST_AUTO_TEST_CASE(any_line_end_is_one) {
    BOOST_TEST((parse({"data: a\r\n\r\ndata: b\r\rdata: c\n\n"}) == Events{"|a", "|b", "|c"}));
    BOOST_TEST((parse({"data: a\r", "\n\r", "\ndata: b\r", "\r"}) == Events{"|a", "|b"}));
}

BOOST_AUTO_TEST_CASE(data_lines_are_joined_and_one_space_goes) {
    BOOST_TEST((parse({"data: a\ndata:b\ndata:  c\n\n"}) == Events{"|a\nb\n c"}));
    BOOST_TEST((parse({"data\ndata\n\n"}) == Events{"|\n"}));  // a field without a colon is empty
}

BOOST_AUTO_TEST_CASE(comments_and_unknown_fields_are_skipped) {
    BOOST_TEST((parse({": hello\n\n:\nid: 7\nretry: 1\nnext: x\ndata: a\n\n"}) == Events{"|a"}));
}

BOOST_AUTO_TEST_CASE(names_belong_to_their_event_only) {
    BOOST_TEST((parse({"event: error\ndata: a\n\ndata: b\n\nevent: lost\n\ndata: c\n\n"}) ==
                Events{"error|a", "|b", "|c"}));
}

BOOST_AUTO_TEST_CASE(a_byte_order_mark_is_skipped_once) {
    BOOST_TEST((parse({"\xEF\xBB", "\xBF", "data: a\n\n"}) == Events{"|a"}));
    BOOST_TEST((parse({"data: a\n\n\xEF\xBB\xBF", "data: b\n\n"}) == Events{"|a"}));
}

BOOST_AUTO_TEST_CASE(pieces_may_be_cut_anywhere) {
    const std::string stream =
        "\xEF\xBB\xBF: c\r\n\r\nevent: x\r\ndata: {\"a\": 1}\r\n\r\ndata: \xC3\xA9\r\rdata: "
        "p\ndata: q\n\n"
        "data: [DONE]\n\n";
    const Events expected = {"x|{\"a\": 1}", "|\xC3\xA9", "|p\nq", "|[DONE]"};
    BOOST_TEST((parse({stream}) == expected));
    std::vector<std::string> bytes;
    for (const char c : stream) bytes.emplace_back(1, c);
    BOOST_TEST((parse(bytes) == expected));
    std::mt19937 random(5);
    for (int round = 0; round < 2000; ++round) {
        std::vector<std::string> pieces;
        for (std::size_t at = 0; at < stream.size();) {
            const std::size_t n = random() % 9;
            pieces.push_back(stream.substr(at, n));
            at += n;
        }
        BOOST_REQUIRE((parse(pieces) == expected));
    }
}

BOOST_AUTO_TEST_CASE(an_endless_line_is_refused) {
    SseParser parser;
    std::vector<SseParser::Event> events;
    const std::string piece(64 << 10, 'x');
    std::size_t n_bytes = 0;
    auto status = parser.push("data: ", events);
    for (; status.has_value() && n_bytes < 4 * SseParser::kMaxLineBytes; n_bytes += piece.size()) {
        status = parser.push(piece, events);
    }
    BOOST_REQUIRE(status.has_error());
    BOOST_TEST((status.error().code == ErrorCode::too_large));
    BOOST_TEST(n_bytes <= SseParser::kMaxLineBytes + piece.size());
}

BOOST_AUTO_TEST_CASE(an_endless_event_is_refused) {
    SseParser parser;
    std::vector<SseParser::Event> events;
    const std::string line = "data: " + std::string(64 << 10, 'x') + "\n";
    std::size_t n_bytes = 0;
    Result<void> status = {};
    for (; status.has_value() && n_bytes < 4 * SseParser::kMaxEventBytes; n_bytes += line.size()) {
        status = parser.push(line, events);
    }
    BOOST_REQUIRE(status.has_error());
    BOOST_TEST((status.error().code == ErrorCode::too_large));
    BOOST_TEST(n_bytes <= SseParser::kMaxEventBytes + 2 * line.size());
}

BOOST_AUTO_TEST_SUITE_END()
