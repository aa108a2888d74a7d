// POST /v1/responses over a socket: the object, the events and their order, errors.
#include <boost/json/serialize.hpp>
#include <boost/test/unit_test.hpp>
#include <sstream>

#include "tests/http/http_fixture.hpp"

namespace json = boost::json;
using namespace kvasir;
using namespace kvasir::testing;
using std::chrono::milliseconds;

namespace {

struct ResponsesFixture : HttpFixture {
    RawResponse respond(const json::value& body) {
        return client().post("/v1/responses", json::serialize(body));
    }
    /// Each event's data; its name is checked to be its type.
    std::vector<json::value> stream(json::object body) {
        body["stream"] = true;
        const RawResponse response = respond(body);
        BOOST_TEST(response.status == 200);
        BOOST_TEST(response.complete);
        BOOST_TEST(response.headers.at("content-type").starts_with("text/event-stream"));
        std::vector<json::value> events;
        std::istringstream lines(response.body);
        std::string line;
        std::string name;
        while (std::getline(lines, line)) {
            if (line.starts_with("event: ")) name = line.substr(7);
            if (!line.starts_with("data: ")) continue;
            events.push_back(json::parse(line.substr(6)));
            BOOST_TEST(events.back().at("type").as_string() == name);
            BOOST_TEST(events.back().at("sequence_number").as_int64() ==
                       static_cast<std::int64_t>(events.size() - 1));
        }
        return events;
    }
    static std::string text_of(const json::value& response) {
        return std::string(response.at("output").at(0).at("content").at(0).at("text").as_string());
    }
    static std::string types_of(const std::vector<json::value>& events) {
        std::string types;
        for (const json::value& event : events)
            types += std::string(event.at("type").as_string()).substr(9) + " ";
        return types;
    }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(http_responses, ResponsesFixture)

BOOST_AUTO_TEST_CASE(a_whole_response_has_openais_shape) {
    engine->set_cached_tokens(3);
    const json::value body = parsed(respond(
        {{"model", "any"}, {"input", "Hello"}, {"store", true}, {"metadata", {{"a", "b"}}}}));
    BOOST_TEST(body.at("id").as_string().starts_with("resp_"));
    BOOST_TEST(body.at("object").as_string() == "response");
    BOOST_TEST(body.at("status").as_string() == "completed");
    BOOST_TEST(body.at("model").as_string() == "tales-5m");
    BOOST_TEST(body.at("store").as_bool() == false);
    BOOST_TEST(body.at("error").is_null());
    BOOST_TEST(body.at("incomplete_details").is_null());
    BOOST_TEST(body.at("previous_response_id").is_null());
    BOOST_TEST(json::serialize(body.at("metadata")) == R"({"a":"b"})");
    BOOST_REQUIRE(body.at("output").as_array().size() == 1U);
    const json::value& item = body.at("output").at(0);
    BOOST_TEST(item.at("id").as_string().starts_with("msg_"));
    BOOST_TEST(item.at("type").as_string() == "message");
    BOOST_TEST(item.at("status").as_string() == "completed");
    BOOST_TEST(item.at("role").as_string() == "assistant");
    BOOST_TEST(item.at("content").at(0).at("type").as_string() == "output_text");
    BOOST_TEST(text_of(body) == "Once upon a time.");
    const json::value& usage = body.at("usage");
    const std::int64_t n_prompt = static_cast<std::int64_t>(engine->requests().at(0).prompt.size());
    BOOST_TEST(usage.at("input_tokens").as_int64() == n_prompt);
    BOOST_TEST(usage.at("input_tokens_details").at("cached_tokens").as_int64() == 3);
    BOOST_TEST(usage.at("output_tokens").as_int64() == 5);
    BOOST_TEST(usage.at("output_tokens_details").at("reasoning_tokens").as_int64() == 0);
    BOOST_TEST(usage.at("total_tokens").as_int64() == n_prompt + 5);
}

BOOST_AUTO_TEST_CASE(the_length_limit_makes_it_incomplete) {
    const json::value body = parsed(respond({{"input", "Hello"}, {"max_output_tokens", 2}}));
    BOOST_TEST(body.at("status").as_string() == "incomplete");
    BOOST_TEST(body.at("incomplete_details").at("reason").as_string() == "max_output_tokens");
    BOOST_TEST(body.at("output").at(0).at("status").as_string() == "incomplete");
    BOOST_TEST(text_of(body) == "Once upon");
}

BOOST_AUTO_TEST_CASE(a_stream_has_typed_events_in_openais_order) {
    const std::vector<json::value> events = stream({{"input", "Hello"}});
    BOOST_TEST(types_of(events) ==
               "created in_progress output_item.added content_part.added output_text.delta "
               "output_text.delta output_text.delta output_text.delta output_text.delta "
               "output_text.done content_part.done output_item.done completed ");
    BOOST_TEST(events[0].at("response").at("status").as_string() == "in_progress");
    BOOST_TEST(events[0].at("response").at("output").as_array().empty());
    BOOST_TEST(events[0].at("response").at("usage").is_null());
    BOOST_TEST(events[2].at("item").at("content").as_array().empty());
    BOOST_TEST(events[3].at("part").at("text").as_string() == "");
    const std::string item_id(events[2].at("item").at("id").as_string());
    std::string text;
    for (std::size_t i = 4; i < 9; ++i) {
        BOOST_TEST(events[i].at("item_id").as_string() == item_id);
        BOOST_TEST(events[i].at("output_index").as_int64() == 0);
        BOOST_TEST(events[i].at("content_index").as_int64() == 0);
        text += events[i].at("delta").as_string();
    }
    BOOST_TEST(text == "Once upon a time.");
    BOOST_TEST(events[9].at("text").as_string() == text);
    BOOST_TEST(events[10].at("part").at("text").as_string() == text);
    BOOST_TEST(events[11].at("item").at("status").as_string() == "completed");
    const json::value& last = events[12].at("response");
    BOOST_TEST(last.at("id").as_string() == events[0].at("response").at("id").as_string());
    BOOST_TEST(text_of(last) == text);
    BOOST_TEST(last.at("usage").at("output_tokens").as_int64() == 5);
}

BOOST_AUTO_TEST_CASE(a_stream_cut_by_its_limit_ends_as_incomplete) {
    const std::vector<json::value> events = stream({{"input", "Hello"}, {"max_output_tokens", 1}});
    BOOST_TEST(events.back().at("type").as_string() == "response.incomplete");
    BOOST_TEST(text_of(events.back().at("response")) == "Once");
}

BOOST_AUTO_TEST_CASE(it_is_the_same_conversation_as_a_chats) {
    respond({{"instructions", "be brief"}, {"input", "Hello"}, {"prompt_cache_key", "bedtime"}});
    client().post("/v1/chat/completions",
                  R"({"messages":[{"role":"system","content":"be brief"},
                                  {"role":"user","content":"Hello"}]})");
    const std::vector<GenerationRequest> requests = engine->requests();
    BOOST_TEST(requests.at(0).prompt == requests.at(1).prompt, boost::test_tools::per_element());
    BOOST_TEST(requests.at(0).max_tokens == requests.at(1).max_tokens);
    BOOST_TEST(requests.at(0).domain == requests.at(1).domain);
    BOOST_TEST(requests.at(0).session == "bedtime");
    BOOST_TEST(requests.at(0).is_chat);
}

BOOST_AUTO_TEST_CASE(errors_name_the_input) {
    const RawResponse response = respond({{"input", std::string(1 << 20, 'a')}});
    BOOST_TEST(response.status == 400);
    BOOST_TEST(error_field(response, "code") == "context_length_exceeded");
    BOOST_TEST(error_field(response, "param") == "input");
    BOOST_TEST(error_field(response, "message").starts_with("input: 1048576 bytes"));
    BOOST_TEST(error_field(respond({{"input", "a"}, {"previous_response_id", "resp_1"}}),
                           "param") == "previous_response_id");
    engine->set_on_submit([](const GenerationRequest&) -> std::optional<Error> {
        return Error{ErrorCode::exhausted, "queue: 64 requests wait"};
    });
    const RawResponse busy = respond({{"input", "a"}, {"stream", true}});
    BOOST_TEST(busy.status == 429);
    BOOST_TEST(busy.headers.count("retry-after") == 1U);
}

BOOST_AUTO_TEST_CASE(a_failure_in_mid_stream_ends_as_failed) {
    engine->fail_after(2, {ErrorCode::device_lost, "the device is gone"});
    const std::vector<json::value> events = stream({{"input", "Hello"}});
    BOOST_TEST(events.back().at("type").as_string() == "response.failed");
    const json::value& response = events.back().at("response");
    BOOST_TEST(response.at("status").as_string() == "failed");
    BOOST_TEST(response.at("error").at("code").as_string() == "server_error");
    BOOST_TEST(response.at("error").at("message").as_string() == "the device is gone");
    BOOST_TEST(text_of(response) == "Once upon");
    BOOST_TEST(respond({{"input", "Hello"}}).status == 503);
}

BOOST_AUTO_TEST_CASE(an_item_may_be_named_by_its_id) {
    const auto refer = [](const json::value& item) {
        return json::value{{"type", "item_reference"}, {"id", item.at("id")}};
    };
    const json::value user{{"role", "user"}, {"content", "Hello"}};
    const json::value said = parsed(respond({{"input", "Hello"}})).at("output").at(0);
    const json::value more = stream({{"input", "Hello"}}).back().at("response").at("output").at(0);
    for (const json::value& item : {said, more}) {
        BOOST_TEST(respond({{"input", {user, item, user}}}).status == 200);
        BOOST_TEST(respond({{"input", {user, refer(item), user}}}).status == 200);
        const std::vector<GenerationRequest> requests = engine->requests();
        BOOST_TEST(requests.back().prompt == requests[requests.size() - 2].prompt,
                   boost::test_tools::per_element());
    }
    const auto refused = [&](const json::value& item) {
        const RawResponse response = respond({{"input", {user, refer(item), user}}});
        BOOST_TEST(response.status == 404);
        BOOST_TEST(error_field(response, "param") == "input[1].id");
    };
    refused({{"id", "msg_none"}});
    const json::value secret =
        parsed(respond({{"input", "Hello"}, {"store", false}})).at("output").at(0);
    refused(secret);
    // A session's items go with the session.
    const json::value kept =
        parsed(respond({{"input", "Hello"}, {"session_id", "bedtime"}})).at("output").at(0);
    BOOST_TEST(respond({{"input", {user, refer(kept), user}}}).status == 200);
    const std::uint32_t domain = engine->requests().back().domain;
    item_memory->forget_session(domain, "another");
    BOOST_TEST(respond({{"input", {user, refer(kept), user}}}).status == 200);
    item_memory->forget_session(domain, "bedtime");
    refused(kept);
}

BOOST_AUTO_TEST_CASE(a_client_that_leaves_cancels_its_request) {
    engine->set_endless("a");
    engine->set_pace(milliseconds(1));
    RawClient one = client();
    one.send(post_request("/v1/responses", R"({"input":"x","stream":true})"));
    BOOST_REQUIRE(one.read_until("response.output_text.delta"));
    one.close();
    BOOST_TEST(eventually([&] { return engine->n_cancelled() == 1U; }));
}

BOOST_AUTO_TEST_SUITE_END()
