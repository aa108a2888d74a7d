// Ollama's routes over a socket: shapes, streams, errors.
#include <boost/json/serialize.hpp>
#include <boost/test/unit_test.hpp>
#include <unistd.h>

#include "tests/http/http_fixture.hpp"

namespace json = boost::json;
using namespace kvasir;
using namespace kvasir::testing;
using std::chrono::milliseconds;

namespace {

struct OllamaFixture : HttpFixture {
    RawResponse post(const char* path, const json::value& body) {
        return client().post(path, json::serialize(body));
    }
    static std::vector<json::value> lines_of(const RawResponse& response) {
        BOOST_TEST(response.status == 200);
        BOOST_TEST(response.complete);
        BOOST_TEST(response.headers.at("content-type") == "application/x-ndjson");
        std::vector<json::value> lines;
        std::size_t from = 0;
        for (std::size_t end = 0; (end = response.body.find('\n', from)) != std::string::npos;
             from = end + 1)
            lines.push_back(json::parse(response.body.substr(from, end - from)));
        BOOST_TEST(from == response.body.size());
        return lines;
    }
    static std::string error_of(const RawResponse& response) {
        const json::value body = parsed(response);
        BOOST_TEST(body.as_object().size() == 1U);
        return std::string(body.at("error").as_string());
    }
    const json::array hello{{{"role", "user"}, {"content", "Hello"}}};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(http_ollama, OllamaFixture)

BOOST_AUTO_TEST_CASE(a_whole_answer_has_ollamas_shape) {
    const RawResponse response =
        post("/api/generate", {{"model", "any"}, {"prompt", "Once upon"}, {"stream", false}});
    BOOST_TEST(response.headers.at("content-type") == "application/json");
    const json::value body = parsed(response);
    BOOST_TEST(body.at("model").as_string() == "tales-5m");
    const std::string created(body.at("created_at").as_string());
    BOOST_TEST(created.size() == std::string("2026-01-01T00:00:00.000000000Z").size());
    BOOST_TEST(created.back() == 'Z');
    BOOST_TEST(body.at("response").as_string() == "Once upon a time.");
    BOOST_TEST(body.at("done").as_bool());
    BOOST_TEST(body.at("done_reason").as_string() == "stop");
    const std::vector<TokenId> prompt = engine->requests().at(0).prompt;
    json::array context;
    for (const TokenId id : prompt) context.emplace_back(id);
    for (std::size_t i = 0; i < 5; ++i) context.emplace_back(FakeEngine::token_of(i));
    BOOST_TEST(json::serialize(body.at("context")) == json::serialize(context));
    BOOST_TEST(body.at("prompt_eval_count").as_int64() == static_cast<std::int64_t>(prompt.size()));
    BOOST_TEST(body.at("prompt_eval_duration").as_int64() == 2'000'000);
    BOOST_TEST(body.at("eval_count").as_int64() == 5);
    BOOST_TEST(body.at("eval_duration").as_int64() == 4'000'000);
    BOOST_TEST(body.at("total_duration").as_int64() > 0);
    BOOST_TEST(body.at("load_duration").as_int64() == 0);
}

BOOST_AUTO_TEST_CASE(a_chat_has_a_message_and_no_context) {
    const json::value body = parsed(post(
        "/api/chat", {{"messages", hello}, {"stream", false}, {"options", {{"num_predict", 2}}}}));
    BOOST_TEST(json::serialize(body.at("message")) ==
               R"({"role":"assistant","content":"Once upon"})");
    BOOST_TEST(body.at("done_reason").as_string() == "length");
    BOOST_TEST(!body.as_object().contains("context"));
    BOOST_TEST(!body.as_object().contains("response"));
}

BOOST_AUTO_TEST_CASE(streams_are_the_default_and_lines) {
    const std::vector<json::value> lines = lines_of(post("/api/generate", {{"prompt", "x"}}));
    BOOST_REQUIRE(lines.size() == 6U);
    std::string text;
    for (std::size_t i = 0; i < 5; ++i) {
        BOOST_TEST(lines[i].as_object().size() == 4U);
        BOOST_TEST(!lines[i].at("done").as_bool());
        text += lines[i].at("response").as_string();
    }
    BOOST_TEST(text == "Once upon a time.");
    BOOST_TEST(lines[5].at("response").as_string() == "");
    BOOST_TEST(lines[5].at("done").as_bool());
    BOOST_TEST(lines[5].at("done_reason").as_string() == "stop");
    BOOST_TEST(lines[5].at("context").as_array().size() ==
               engine->requests().at(0).prompt.size() + 5);

    const std::vector<json::value> chat = lines_of(post("/api/chat", {{"messages", hello}}));
    BOOST_REQUIRE(chat.size() == 6U);
    BOOST_TEST(chat[1].at("message").at("content").as_string() == " upon");
    BOOST_TEST(chat[5].at("message").at("content").as_string() == "");
    BOOST_TEST(chat[5].at("eval_count").as_int64() == 5);
}

BOOST_AUTO_TEST_CASE(text_held_back_makes_no_line) {
    engine->set_pieces({"a", "", "", "b"});
    const std::vector<json::value> lines = lines_of(post("/api/generate", {{"prompt", "x"}}));
    BOOST_REQUIRE(lines.size() == 3U);
    BOOST_TEST(lines[2].at("context").as_array().size() ==
               engine->requests().at(0).prompt.size() + 4);
}

BOOST_AUTO_TEST_CASE(a_chat_is_the_same_conversation_as_openais) {
    post("/api/chat", {{"messages", hello}});
    client().post("/v1/chat/completions", json::serialize(json::value{{"messages", hello}}));
    post("/api/generate", {{"prompt", "Hello"}});
    const std::vector<GenerationRequest> requests = engine->requests();
    BOOST_TEST(requests.at(0).prompt == requests.at(1).prompt, boost::test_tools::per_element());
    BOOST_TEST(requests.at(0).prompt == requests.at(2).prompt, boost::test_tools::per_element());
    BOOST_TEST(requests.at(0).max_tokens == requests.at(1).max_tokens);
    BOOST_TEST(requests.at(0).is_chat);
    BOOST_TEST(requests.at(0).domain == ::getuid());
}

BOOST_AUTO_TEST_CASE(a_context_goes_on_where_it_ended) {
    const json::value first = parsed(post("/api/generate", {{"prompt", "a"}, {"stream", false}}));
    post("/api/generate", {{"prompt", "b"}, {"context", first.at("context")}});
    post("/api/generate", {{"prompt", "b"}});
    const std::vector<GenerationRequest> requests = engine->requests();
    const std::vector<TokenId>& both = requests.at(1).prompt;
    const std::size_t n_before = first.at("context").as_array().size();
    BOOST_TEST(both.size() == n_before + requests.at(2).prompt.size());
    for (std::size_t i = 0; i < n_before; ++i)
        BOOST_TEST(both[i] == first.at("context").at(i).as_int64());
}

BOOST_AUTO_TEST_CASE(a_raw_prompt_is_as_a_completions) {
    const json::value body =
        parsed(post("/api/generate", {{"prompt", "Hello"}, {"raw", true}, {"stream", false}}));
    BOOST_TEST(!body.as_object().contains("context"));
    client().post("/v1/completions", R"({"prompt":"Hello"})");
    const std::vector<GenerationRequest> requests = engine->requests();
    BOOST_TEST(requests.at(0).prompt == requests.at(1).prompt, boost::test_tools::per_element());
    BOOST_TEST(requests.at(0).max_tokens == 512U - requests.at(0).prompt.size());
}

BOOST_AUTO_TEST_CASE(a_load_is_answered_at_once) {
    for (const char* path : {"/api/generate", "/api/chat"}) {
        const json::value body = parsed(post(path, {{"model", "x"}, {"keep_alive", 0}}));
        BOOST_TEST(body.at("done").as_bool());
        BOOST_TEST(body.at("done_reason").as_string() == "load");
    }
    BOOST_TEST(engine->requests().empty());
}

BOOST_AUTO_TEST_CASE(a_session_is_named_by_the_header_too) {
    RawClient one = client();
    one.send(post_request("/api/chat",
                          R"({"messages":[{"role":"user","content":"a"}],"stream":false})",
                          "X-Session-Id: bedtime\r\n"));
    BOOST_TEST(one.read_response().status == 200);
    BOOST_TEST(engine->requests().at(0).session == "bedtime");
}

BOOST_AUTO_TEST_CASE(errors_have_ollamas_shape_and_the_status_of_every_door) {
    const RawResponse wrong = post("/api/generate", {{"prompt", 1}});
    BOOST_TEST(wrong.status == 400);
    BOOST_TEST(error_of(wrong).starts_with("prompt: an integer"));
    const RawResponse long_prompt = post("/api/generate", {{"prompt", std::string(1 << 20, 'a')}});
    BOOST_TEST(long_prompt.status == 400);
    BOOST_TEST(error_of(long_prompt).starts_with("prompt: 1048576 bytes"));
    const RawResponse unknown = client().get("/api/nowhere");
    BOOST_TEST(unknown.status == 404);
    BOOST_TEST(error_of(unknown) == "GET /api/nowhere: no such route");
    const RawResponse method = client().get("/api/chat");
    BOOST_TEST(method.status == 405);
    BOOST_TEST(method.headers.at("allow") == "POST");
    error_of(method);
    RawClient large = client();
    large.send(
        "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n");
    const RawResponse too_large = large.read_response();
    BOOST_TEST(too_large.status == 413);
    error_of(too_large);
    engine->set_on_submit([](const GenerationRequest&) -> std::optional<Error> {
        return Error{ErrorCode::exhausted, "queue: 64 requests wait"};
    });
    for (const bool streamed : {false, true}) {
        const RawResponse busy = post("/api/chat", {{"messages", hello}, {"stream", streamed}});
        BOOST_TEST(busy.status == 429);
        BOOST_TEST(busy.headers.count("retry-after") == 1U);
        BOOST_TEST(error_of(busy) == "queue: 64 requests wait");
    }
    engine->set_state({EngineState::Phase::loading, 0.5, {}});
    BOOST_TEST(error_of(client().get("/api/tags")) == "the model is loading: 50 %");
    BOOST_TEST(client().get("/api/version").status == 200);
}

BOOST_AUTO_TEST_CASE(over_tcp_a_key_is_needed) {
    options.listen = "127.0.0.1:0";
    options.api_keys = {{"sesame-open-0123", {}}};
    server();
    RawClient nobody = RawClient::connect_tcp(server().tcp_port());
    const RawResponse refused = nobody.post("/api/generate", R"({"prompt":"x"})");
    BOOST_TEST(refused.status == 401);
    error_of(refused);
    RawClient one = RawClient::connect_tcp(server().tcp_port());
    one.send(post_request("/api/generate", R"({"prompt":"x"})",
                          "Authorization: Bearer sesame-open-0123\r\n"));
    BOOST_TEST(one.read_response().status == 200);
}

BOOST_AUTO_TEST_CASE(a_failure_in_mid_stream_is_a_line) {
    engine->fail_after(2, {ErrorCode::device_lost, "the device is gone"});
    const std::vector<json::value> lines = lines_of(post("/api/generate", {{"prompt", "x"}}));
    BOOST_REQUIRE(lines.size() == 3U);
    BOOST_TEST(json::serialize(lines[2]) == R"({"error":"the device is gone"})");
    BOOST_TEST(post("/api/generate", {{"prompt", "x"}, {"stream", false}}).status == 503);
}

BOOST_AUTO_TEST_CASE(a_client_that_leaves_cancels_its_request) {
    engine->set_endless("a");
    engine->set_pace(milliseconds(1));
    for (const char* streamed : {"true", "false"}) {
        RawClient one = client();
        one.send(post_request("/api/generate",
                              R"({"prompt":"x","stream":)" + std::string(streamed) + "}"));
        BOOST_REQUIRE(eventually([&] { return engine->n_running() == 1U; }));
        one.close();
        BOOST_TEST(eventually([&] { return engine->n_running() == 0U; }));
    }
    BOOST_TEST(engine->n_cancelled() == 2U);
}

BOOST_AUTO_TEST_CASE(a_silent_stream_shows_life_in_lines_that_clients_can_read) {
    options.timeouts.keep_alive = milliseconds(50);
    engine->set_pace(milliseconds(400));
    engine->set_pieces({"a", "b"});
    const std::vector<json::value> lines = lines_of(post("/api/chat", {{"messages", hello}}));
    BOOST_TEST(lines.size() > 4U);
    std::string text;
    for (const json::value& line : lines) text += line.at("message").at("content").as_string();
    BOOST_TEST(text == "ab");
}

BOOST_AUTO_TEST_CASE(the_model_is_listed_shown_and_running) {
    const json::value tags = parsed(client().get("/api/tags"));
    const json::value& model = tags.at("models").at(0);
    BOOST_TEST(model.at("name").as_string() == "tales-5m");
    BOOST_TEST(model.at("model").as_string() == "tales-5m");
    BOOST_TEST(model.at("digest").as_string().size() == 64U);
    BOOST_TEST(model.at("details").at("parameter_size").as_string() == "5.4M");
    const json::value ps = parsed(client().get("/api/ps"));
    BOOST_TEST(ps.at("models").at(0).at("digest").as_string() == model.at("digest").as_string());
    BOOST_TEST(ps.at("models").at(0).at("context_length").as_int64() == 512);
    BOOST_TEST(ps.at("models").at(0).as_object().contains("expires_at"));
    const json::value show = parsed(post("/api/show", {{"model", "whatever"}}));
    BOOST_TEST(json::serialize(show.at("capabilities")) == R"(["completion","embedding"])");
    BOOST_TEST(show.at("model_info").at("general.parameter_count").as_int64() == 5'400'000);
    for (const json::value& wrong :
         {json::value{{"model", 1}}, json::value{{"name", json::array{}}},
          json::value{{"verbose", "yes"}}, json::value(nullptr)}) {
        const RawResponse refused = post("/api/show", wrong);
        BOOST_TEST(refused.status == 400);
        error_of(refused);
    }
    BOOST_TEST(!parsed(client().get("/api/version")).at("version").as_string().empty());
}

BOOST_AUTO_TEST_SUITE_END()
