#include <boost/test/unit_test.hpp>

#include "daemon/kvasir/completion_stream.hpp"

using namespace kvasir;
using namespace kvasir::client;

BOOST_AUTO_TEST_SUITE(completion_stream)

BOOST_AUTO_TEST_CASE(a_completion_is_put_together) {
    CompletionStream stream;
    CompletionStream::Pieces pieces;
    const std::string bytes =
        "data: {\"choices\":[{\"text\":\"Once \",\"finish_reason\":null}]}\n\n"
        ": keep-alive\n\n"
        "data: {\"choices\":[{\"text\":\"up\\u00e9n\",\"finish_reason\":null}],\"usage\":null}\n\n"
        "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}]}\n\n"
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3,"
        "\"prompt_tokens_details\":{\"cached_tokens\":5}},\"timings\":{\"predicted_per_second\":31."
        "5}}\n\n"
        "data: [DONE]\n\n";
    for (const char c : bytes) {
        BOOST_TEST(!stream.is_done());
        BOOST_REQUIRE(stream.push(std::string(1, c), pieces).has_value());
    }
    BOOST_TEST(stream.is_done());
    BOOST_TEST(pieces.text == "Once up\xC3\xA9n");
    BOOST_TEST(stream.stats().finish_reason == "length");
    BOOST_TEST(stream.stats().n_prompt_tokens.value() == 12U);
    BOOST_TEST(stream.stats().n_cached_tokens.value() == 5U);
    BOOST_TEST(stream.stats().n_generated_tokens.value() == 3U);
    BOOST_TEST(stream.stats().generate_tokens_per_second.value() == 31.5);
}

BOOST_AUTO_TEST_CASE(a_chat_reply_is_put_together) {
    CompletionStream stream;
    CompletionStream::Pieces pieces;
    BOOST_REQUIRE(
        stream
            .push("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
                  "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"
                  "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
                  pieces)
            .has_value());
    BOOST_TEST(pieces.text == "Hi");
    BOOST_TEST(!stream.is_done());
    BOOST_TEST(!stream.stats().n_prompt_tokens.has_value());
}

BOOST_AUTO_TEST_CASE(thoughts_are_told_apart_from_the_answer) {
    CompletionStream stream;
    CompletionStream::Pieces pieces;
    BOOST_REQUIRE(stream
                      .push("data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"Hm, \"}}]}\n\n"
                            "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"so\"}}]}\n\n"
                            "data: {\"choices\":[{\"delta\":{\"content\":\"Yes\"}}]}\n\n",
                            pieces)
                      .has_value());
    BOOST_TEST(pieces.thoughts == "Hm, so");
    BOOST_TEST(pieces.text == "Yes");
}

BOOST_AUTO_TEST_CASE(an_error_within_the_stream_is_an_error) {
    CompletionStream stream;
    CompletionStream::Pieces pieces;
    const auto status = stream.push(
        "data: {\"choices\":[{\"text\":\"so far\"}]}\n\n"
        "data: {\"error\":{\"message\":\"the device is gone\",\"code\":\"device_lost\"}}\n\n",
        pieces);
    BOOST_REQUIRE(status.has_error());
    BOOST_TEST(status.error().message == "the device is gone (device_lost)");
    BOOST_TEST(pieces.text == "so far");  // what came before is not lost
}

BOOST_AUTO_TEST_CASE(hostile_chunks_are_refused_or_ignored) {
    for (const std::string bad : {"{", "[1]", "nonsense", "\"text\"", "{\"a\":1}}"}) {
        CompletionStream stream;
        CompletionStream::Pieces pieces;
        const auto status = stream.push("data: " + bad + "\n\n", pieces);
        BOOST_REQUIRE(status.has_error());
        BOOST_TEST((status.error().code == ErrorCode::corrupt));
    }
    std::string deep = "data: ";
    for (int i = 0; i < 100000; ++i) deep += "[";
    CompletionStream nested;
    CompletionStream::Pieces pieces;
    BOOST_TEST(nested.push(deep + "\n\n", pieces).has_error());
    for (
        const std::string odd :
        {"{}", R"({"choices":7})", R"({"choices":[]})", R"({"choices":[1]})",
         R"({"choices":[{"text":5,"delta":[],"finish_reason":{}}]})", R"({"usage":[]})",
         R"({"usage":{"prompt_tokens":-1,"completion_tokens":1e300,"prompt_tokens_details":3}})"}) {
        CompletionStream stream;
        BOOST_TEST(stream.push("data: " + odd + "\n\n", pieces).has_value());
        BOOST_TEST(pieces.text.empty());
        BOOST_TEST(!stream.stats().n_prompt_tokens.has_value());
        BOOST_TEST(!stream.stats().n_generated_tokens.has_value());
    }
}

BOOST_AUTO_TEST_CASE(errors_of_every_shape_have_a_message) {
    BOOST_TEST(error_message(R"({"error":{"message":"m","type":"t","param":null,"code":null}})") ==
               "m");
    BOOST_TEST(error_message(R"({"error":{"message":"m","code":"c"}})") == "m (c)");
    BOOST_TEST(error_message(R"({"error":"m"})") == "m");
    BOOST_TEST(error_message("<html>") == "<html>");
    BOOST_TEST(error_message(R"({"error":{}})") == R"({"error":{}})");
    BOOST_TEST(error_message(std::string(1 << 20, 'x')).size() == 1000U);
}

BOOST_AUTO_TEST_SUITE_END()
