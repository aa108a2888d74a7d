#include <boost/json/serialize.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <sys/stat.h>

#include "daemon/http/http_server.hpp"
#include "tests/http/http_fixture.hpp"

namespace json = boost::json;
using namespace kvasir;
using namespace kvasir::testing;
using std::chrono::milliseconds;

BOOST_FIXTURE_TEST_SUITE(http_server, HttpFixture)

BOOST_AUTO_TEST_CASE(health_says_ok) {
    const RawResponse response = client().get("/health");
    BOOST_TEST(response.status == 200);
    BOOST_TEST(response.body == R"({"status":"ok"})");
    BOOST_TEST(response.headers.at("content-type") == "application/json");
    BOOST_TEST(response.headers.at("x-request-id").starts_with("req_"));
}

BOOST_AUTO_TEST_CASE(while_loading_everything_but_state_is_503_with_progress) {
    engine->set_state({EngineState::Phase::loading, 0.25, {}});
    const RawResponse health = client().get("/health");
    BOOST_TEST(health.status == 503);
    BOOST_TEST(parsed(health).at("status").as_string() == "loading");
    BOOST_TEST(parsed(health).at("progress").as_double() == 0.25);
    const RawResponse completion = client().post("/v1/completions", R"({"prompt":"x"})");
    BOOST_TEST(completion.status == 503);
    BOOST_TEST(error_field(completion, "code") == "model_loading");
    BOOST_TEST(error_field(completion, "message").find("25 %") != std::string::npos);
    BOOST_TEST(completion.headers.count("retry-after") == 1U);
    BOOST_TEST(client().get("/v1/models").status == 503);
    BOOST_TEST(client().get("/metrics").status == 200);
}

BOOST_AUTO_TEST_CASE(a_failed_engine_is_503_with_its_reason) {
    engine->set_state({EngineState::Phase::failed, 0, Error{ErrorCode::io, "model.gguf: absent"}});
    BOOST_TEST(parsed(client().get("/health")).at("message").as_string() == "model.gguf: absent");
    const RawResponse response = client().post("/v1/completions", R"({"prompt":"x"})");
    BOOST_TEST(response.status == 503);
    BOOST_TEST(error_field(response, "code") == "model_failed");
    BOOST_TEST(error_field(response, "message") == "model.gguf: absent");
}

BOOST_AUTO_TEST_CASE(models_are_listed_in_openais_shape) {
    const json::value list = parsed(client().get("/v1/models"));
    BOOST_TEST(list.at("object").as_string() == "list");
    const json::value& model = list.at("data").as_array().at(0);
    BOOST_TEST(model.at("id").as_string() == "tales-5m");
    BOOST_TEST(model.at("object").as_string() == "model");
    BOOST_TEST(model.at("owned_by").as_string() == "kvasir");
    BOOST_TEST(model.at("created").is_number());
    BOOST_TEST(model.at("meta").at("n_ctx").as_int64() == 512);
    BOOST_TEST(parsed(client().get("/v1/models/tales%2D5m")).at("id").as_string() == "tales-5m");
    BOOST_TEST(client().get("/v1/models/other").status == 404);
}

BOOST_AUTO_TEST_CASE(metrics_are_prometheus_text) {
    client().post("/v1/completions", R"({"prompt":"Once"})");
    client().get("/nowhere");
    const RawResponse response = client().get("/metrics");
    BOOST_TEST(response.headers.at("content-type").starts_with("text/plain; version=0.0.4"));
    for (const char* line :
         {"# TYPE kvasir_requests_total counter\n", "\nkvasir_requests_total 1\n",
          "\nkvasir_generated_tokens_total 5\n", "\nkvasir_ready 1\n",
          "kvasir_http_responses_total{route=\"/v1/completions\",status=\"200\"} 1\n",
          "kvasir_http_responses_total{route=\"other\",status=\"404\"} 1\n"})
        BOOST_TEST(response.body.find(line) != std::string::npos, line);
}

BOOST_AUTO_TEST_CASE(unknown_routes_and_methods_are_refused) {
    const RawResponse unknown = client().get("/v2/nothing");
    BOOST_TEST(unknown.status == 404);
    BOOST_TEST(error_field(unknown, "code") == "unknown_url");
    const RawResponse wrong = client().get("/v1/completions");
    BOOST_TEST(wrong.status == 405);
    BOOST_TEST(wrong.headers.at("allow") == "POST");
    const RawResponse posted = client().post("/health", "{}");
    BOOST_TEST(posted.status == 405);
    BOOST_TEST(posted.headers.at("allow") == "GET, HEAD");
}

BOOST_AUTO_TEST_CASE(a_query_is_ignored_and_head_has_no_body) {
    BOOST_TEST(client().get("/health?full=1").status == 200);
    RawClient head = client();
    head.send("HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n");
    const RawResponse response = head.read_response(milliseconds(5000), true);
    BOOST_TEST(response.status == 200);
    BOOST_TEST(response.headers.at("content-length") == "15");
    BOOST_TEST(head.get("/health").body == R"({"status":"ok"})");
}

BOOST_AUTO_TEST_CASE(a_connection_is_kept_for_many_requests) {
    RawClient one = client();
    for (int i = 0; i < 50; ++i) BOOST_REQUIRE(one.get("/health").status == 200);
    BOOST_TEST(one.post("/v1/completions", R"({"prompt":"x"})").status == 200);
    BOOST_TEST(one.get("/health").status == 200);
    BOOST_TEST(server().n_connections() == 1U);
}

BOOST_AUTO_TEST_CASE(pipelined_requests_are_answered_in_order) {
    RawClient one = client();
    std::string requests;
    for (int i = 0; i < 200; ++i)
        requests += i % 3 == 0 ? post_request("/v1/completions", R"({"prompt":"x"})")
                    : i % 3 == 1
                        ? post_request("/tokenize", R"({"content":")" + std::to_string(i) + R"("})")
                        : "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    BOOST_REQUIRE(one.send(requests));
    for (int i = 0; i < 200; ++i) {
        const RawResponse response = one.read_response();
        BOOST_REQUIRE_MESSAGE(response.status == 200, i << ": " << response.body);
        const char* expected = i % 3 == 0 ? "Once upon" : i % 3 == 1 ? "tokens" : "status";
        BOOST_REQUIRE(response.body.find(expected) != std::string::npos);
    }
}

BOOST_AUTO_TEST_CASE(http_1_0_gets_whole_answers_and_unchunked_streams) {
    RawClient one = client();
    one.send("GET /health HTTP/1.0\r\n\r\n");
    BOOST_TEST(one.read_response().body == R"({"status":"ok"})");
    BOOST_TEST(one.closed_within(milliseconds(2000)));
    RawClient stream = client();
    const std::string body = R"({"prompt":"x","stream":true})";
    stream.send("POST /v1/completions HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n\r\n" + body);
    const RawResponse response = stream.read_response();
    BOOST_TEST(response.headers.count("transfer-encoding") == 0U);
    BOOST_TEST(events_of(response.body).back() == "[DONE]");
}

BOOST_AUTO_TEST_CASE(a_client_that_half_closes_still_gets_its_answer) {
    engine->set_pace(milliseconds(30));
    RawClient one = client();
    one.send(post_request("/v1/completions", R"({"prompt":"x"})"));
    one.end_sending();
    const RawResponse response = one.read_response();
    BOOST_TEST(response.status == 200);
    BOOST_TEST(response.complete);
}

BOOST_AUTO_TEST_CASE(expect_continue_is_answered) {
    RawClient one = client();
    const std::string body = R"({"content":"Once"})";
    const std::string request = post_request("/tokenize", body, "Expect: 100-continue\r\n");
    one.send(request.substr(0, request.size() - body.size()));
    BOOST_REQUIRE(one.read_until("HTTP/1.1 100 Continue\r\n\r\n"));
    one.send(body);
    BOOST_REQUIRE(one.read_until("\"tokens\""));
}

BOOST_AUTO_TEST_CASE(a_chunked_body_is_joined) {
    RawClient one = client();
    one.send("POST /tokenize HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    one.send("b\r\n{\"content\":\r\n");
    one.send("7\r\n\"Once\"}\r\n0\r\n\r\n");
    BOOST_TEST(one.read_response().status == 200);
}

BOOST_AUTO_TEST_CASE(tokenize_and_detokenize_are_inverse) {
    const std::string text = "Once upon a time, a princess… <|im_end|>";
    const json::value body{{"content", text}};
    const RawResponse response = client().post("/tokenize", json::serialize(body));
    const json::value tokens = parsed(response).at("tokens");
    BOOST_TEST(!tokens.as_array().empty());
    // As llama-server: special tokens in the text are parsed unless asked otherwise.
    BOOST_TEST(tokens.as_array().back().as_int64() ==
               *tales_tokenizer()->find_special("<|im_end|>"));
    const RawResponse back =
        client().post("/detokenize", json::serialize(json::value{{"tokens", tokens}}));
    BOOST_TEST(parsed(back).at("content").as_string() == text);

    const json::value plain{{"content", text}, {"parse_special", false}};
    const json::value ids = parsed(client().post("/tokenize", json::serialize(plain))).at("tokens");
    BOOST_TEST(ids.as_array().size() > tokens.as_array().size());
    const json::value pieces{{"content", "Ünder"}, {"with_pieces", true}};
    const json::value cut = parsed(client().post("/tokenize", json::serialize(pieces)));
    for (const json::value& one : cut.at("tokens").as_array())
        BOOST_TEST((one.at("piece").is_string() || one.at("piece").is_array()));
    BOOST_TEST(error_field(client().post("/detokenize", R"({"tokens":[1,4096]})"), "param") ==
               "tokens");
    BOOST_TEST(error_field(client().post("/tokenize", R"({"content":7})"), "param") == "content");
}

BOOST_AUTO_TEST_CASE(the_socket_has_the_mode_asked_for_and_goes_with_the_server) {
    options.socket_mode = 0600;
    server();
    struct stat info {};
    BOOST_REQUIRE(::stat(options.socket_path.c_str(), &info) == 0);
    BOOST_TEST((info.st_mode & 07777U) == 0600U);
    BOOST_TEST(S_ISSOCK(info.st_mode));
    destroy_server();
    BOOST_TEST(::stat(options.socket_path.c_str(), &info) != 0);
}

BOOST_AUTO_TEST_CASE(tcp_wants_a_key_and_a_local_host) {
    options.listen = "127.0.0.1:0";
    BOOST_TEST((HttpServer::start(options, engine).error().code == ErrorCode::invalid_argument));
    options.api_keys = {{"sesame-open-0123", {}}, {"another-key-4567", {}}};
    const std::uint16_t port = server().tcp_port();
    const auto ask = [&](const std::string& headers) {
        RawClient one = RawClient::connect_tcp(port);
        one.send("GET /v1/models HTTP/1.1\r\n" + headers + "\r\n");
        return one.read_response();
    };
    BOOST_TEST(ask("Host: localhost\r\nAuthorization: Bearer sesame-open-0123\r\n").status == 200);
    BOOST_TEST(ask("Host: [::1]:80\r\nAuthorization: bearer another-key-4567\r\n").status == 200);
    const RawResponse none = ask("Host: localhost\r\n");
    BOOST_TEST(none.status == 401);
    BOOST_TEST(none.headers.at("www-authenticate") == "Bearer");
    BOOST_TEST(error_field(none, "code") == "invalid_api_key");
    BOOST_TEST(ask("Host: localhost\r\nAuthorization: Bearer sesame-open-012\r\n").status == 401);
    BOOST_TEST(ask("Host: localhost\r\nAuthorization: Bearer \r\n").status == 401);
    BOOST_TEST(ask("Host: evil.example\r\nAuthorization: Bearer sesame-open-0123\r\n").status ==
               421);
    BOOST_TEST(RawClient::connect_tcp(port).get("/health").status == 200);
}

BOOST_AUTO_TEST_SUITE_END()
