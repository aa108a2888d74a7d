#include <boost/test/unit_test.hpp>

#include "daemon/http/loading_engine.hpp"
#include "tests/http/http_fixture.hpp"

using namespace kvasir;
using namespace kvasir::testing;

BOOST_AUTO_TEST_SUITE(loading_engine)

BOOST_FIXTURE_TEST_CASE(a_server_answers_before_and_after_its_model_is_there, HttpFixture) {
    const auto loading = std::make_shared<LoadingEngine>();
    const auto server = HttpServer::start(options, loading).value();
    const auto ask = [&] { return RawClient::connect_unix(options.socket_path); };
    loading->set_progress(0.5);
    BOOST_TEST(ask().get("/health").body == R"({"status":"loading","progress":0.5})");
    BOOST_TEST(ask().post("/v1/completions", R"({"prompt":"x"})").status == 503);
    BOOST_TEST(ask().get("/metrics").status == 200);
    loading->set_engine(engine);
    BOOST_TEST(ask().get("/health").status == 200);
    BOOST_TEST(ask().post("/v1/completions", R"({"prompt":"x"})").status == 200);
}

BOOST_AUTO_TEST_CASE(progress_stays_between_0_and_1_and_failure_keeps_its_reason) {
    LoadingEngine loading;
    loading.set_progress(7);
    BOOST_TEST(loading.state().progress == 1.0);
    loading.set_failed({ErrorCode::corrupt, "model: bad magic"});
    BOOST_TEST((loading.state().phase == EngineState::Phase::failed));
    BOOST_TEST(loading.state().error->message == "model: bad magic");
    BOOST_TEST(loading.submit({}, nullptr).has_error());
    BOOST_TEST(loading.model() == nullptr);
    loading.cancel(RequestId{1});
}

BOOST_AUTO_TEST_SUITE_END()
