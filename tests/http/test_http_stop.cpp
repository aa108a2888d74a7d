// The end of a server: draining, forced, or destroyed in the middle of everything.
#include <boost/test/unit_test.hpp>

#include "tests/http/http_fixture.hpp"

using namespace kvasir;
using namespace kvasir::testing;
using std::chrono::milliseconds;

namespace {

std::string request(bool streamed) {
    return post_request("/v1/completions",
                        streamed ? R"({"prompt":"x","stream":true,"max_tokens":1000000})"
                                 : R"({"prompt":"x","max_tokens":1000000})");
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(http_stop, HttpFixture)

BOOST_AUTO_TEST_CASE(a_stop_lets_running_requests_finish) {
    engine->set_pieces(std::vector<std::string>(60, "a"));
    engine->set_pace(milliseconds(5));
    RawClient whole = client();
    whole.send(request(false));
    RawClient streamed = client();
    streamed.send(request(true));
    RawClient idle = client();
    BOOST_TEST(idle.get("/health").status == 200);
    BOOST_REQUIRE(eventually([&] { return engine->n_running() == 2U; }));
    server().begin_stop();
    BOOST_TEST(idle.closed_within(milliseconds(2000)));
    BOOST_TEST(
        eventually([&] { return !RawClient::connect_unix(options.socket_path).connected(); }));
    BOOST_TEST(!std::filesystem::exists(options.socket_path));
    const RawResponse answer = whole.read_response();
    BOOST_TEST(answer.status == 200);
    BOOST_TEST(answer.headers.at("connection") == "close");
    BOOST_TEST(answer.body.find(std::string(60, 'a')) != std::string::npos);
    BOOST_TEST(events_of(streamed.read_response().body).back() == "[DONE]");
    whole.close();
    streamed.close();
    BOOST_TEST(server().wait_stopped(milliseconds(3000)));
}

BOOST_AUTO_TEST_CASE(after_the_drain_time_requests_end_with_an_error) {
    options.timeouts.drain = milliseconds(200);
    engine->set_endless("a");
    engine->set_pace(milliseconds(2));
    RawClient whole = client();
    whole.send(request(false));
    RawClient streamed = client();
    streamed.send(request(true));
    BOOST_REQUIRE(streamed.read_until("data: "));
    BOOST_REQUIRE(eventually([&] { return engine->n_running() == 2U; }));
    server().begin_stop();
    const RawResponse answer = whole.read_response();
    BOOST_TEST(answer.status == 503);
    BOOST_TEST(error_field(answer, "code") == "server_stopping");
    const RawResponse stream = streamed.read_response();
    BOOST_TEST(stream.complete);
    const std::vector<std::string> events = events_of(stream.body);
    BOOST_TEST(events.back().find("server_stopping") != std::string::npos);
    BOOST_TEST(eventually([&] { return engine->n_cancelled() == 2U; }));
    BOOST_TEST(server().wait_stopped(milliseconds(3000)));
}

BOOST_AUTO_TEST_CASE(stop_now_does_not_wait) {
    options.timeouts.drain = milliseconds(60'000);
    engine->set_endless("a");
    engine->set_pace(milliseconds(2));
    RawClient streamed = client();
    streamed.send(request(true));
    BOOST_REQUIRE(streamed.read_until("data: "));
    server().begin_stop();
    BOOST_TEST(!server().wait_stopped(milliseconds(100)));
    server().stop_now();
    BOOST_TEST(server().wait_stopped(milliseconds(3000)));
}

BOOST_AUTO_TEST_CASE(a_client_that_does_not_read_does_not_hold_up_a_stop) {
    options.timeouts.drain = milliseconds(100);
    options.limits.stream_queue_bytes = 1U << 30;
    engine->set_endless(std::string(4'000, 'a'));
    engine->set_pace(milliseconds(1));
    RawClient streamed = client();
    streamed.send(request(true));
    std::this_thread::sleep_for(milliseconds(500));  // the socket is full by now
    server().begin_stop();
    BOOST_TEST(server().wait_stopped(milliseconds(5000)));
    BOOST_TEST(eventually([&] { return engine->n_running() == 0U; }));
}

BOOST_AUTO_TEST_CASE(half_requests_do_not_hold_up_a_stop) {
    options.timeouts.drain = milliseconds(200);
    RawClient half = client();
    half.send("GET /hea");
    RawClient kept = client();
    BOOST_TEST(kept.get("/health").status == 200);
    server().begin_stop();
    BOOST_TEST(server().wait_stopped(milliseconds(3000)));
}

BOOST_AUTO_TEST_CASE(a_request_completed_during_the_drain_is_refused) {
    RawClient half = client();
    const std::string bytes = request(false);
    half.send(bytes.substr(0, 40));
    BOOST_REQUIRE(eventually([&] { return server().n_connections() == 1U; }));
    std::this_thread::sleep_for(milliseconds(50));
    server().begin_stop();
    std::this_thread::sleep_for(milliseconds(50));
    half.send(bytes.substr(40));
    const RawResponse response = half.read_response();
    BOOST_TEST(response.status == 503);
    BOOST_TEST(error_field(response, "code") == "server_stopping");
}

BOOST_AUTO_TEST_CASE(a_server_destroyed_in_mid_request_cancels_and_leaves_nothing_behind) {
    engine->set_endless("a");
    engine->set_pace(milliseconds(1));  // a flood would drop the client before it reads
    for (int round = 0; round < 20; ++round) {
        std::vector<RawClient> clients;
        for (int i = 0; i < 6; ++i) {
            clients.push_back(client());
            clients.back().send(request(i % 2 == 0));
        }
        if (round % 2 == 0) BOOST_REQUIRE(clients[0].read_until("data: "));
        destroy_server();
        BOOST_TEST(!std::filesystem::exists(options.socket_path));
        BOOST_REQUIRE(eventually([&] { return engine->n_running() == 0U; }));
    }
}

BOOST_AUTO_TEST_SUITE_END()
