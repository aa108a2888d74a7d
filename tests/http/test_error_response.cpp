#include <boost/json/parse.hpp>
#include <boost/test/unit_test.hpp>
#include <fstream>

#include "daemon/http/access.hpp"
#include "daemon/http/error_response.hpp"
#include "tests/http/http_fixture.hpp"

using namespace kvasir;
using kvasir::testing::TempDir;

BOOST_AUTO_TEST_SUITE(error_response)

BOOST_AUTO_TEST_CASE(each_error_code_has_its_status) {
    const std::vector<std::pair<ErrorCode, int>> expected{{ErrorCode::invalid_argument, 400},
                                                          {ErrorCode::unauthorized, 401},
                                                          {ErrorCode::not_found, 404},
                                                          {ErrorCode::conflict, 409},
                                                          {ErrorCode::too_large, 400},
                                                          {ErrorCode::corrupt, 500},
                                                          {ErrorCode::unsupported, 501},
                                                          {ErrorCode::exhausted, 429},
                                                          {ErrorCode::io, 500},
                                                          {ErrorCode::device_lost, 503}};
    for (const auto& [code, status] : expected) {
        const HttpResponse response =
            kvasir::error_response(to_api_error({code, "subject: found"}));
        BOOST_TEST(response.status == status, to_string(code));
        BOOST_TEST(std::string(status_text(status)) != "Unknown");
    }
}

BOOST_AUTO_TEST_CASE(the_shape_is_openais) {
    const boost::json::value body = boost::json::parse(
        error_json({ErrorKind::context_length_exceeded, "too \"long\"", "prompt"}));
    const boost::json::object& error = body.at("error").as_object();
    BOOST_TEST(error.size() == 4U);
    BOOST_TEST(error.at("message").as_string() == "too \"long\"");
    BOOST_TEST(error.at("type").as_string() == "invalid_request_error");
    BOOST_TEST(error.at("param").as_string() == "prompt");
    BOOST_TEST(error.at("code").as_string() == "context_length_exceeded");
    const boost::json::value plain =
        boost::json::parse(error_json({ErrorKind::invalid_request, "x", {}}));
    BOOST_TEST(plain.at("error").at("param").is_null());
    BOOST_TEST(plain.at("error").at("code").is_null());
}

BOOST_AUTO_TEST_CASE(every_kind_has_a_known_status) {
    for (int kind = 0; kind <= static_cast<int>(ErrorKind::cancelled); ++kind) {
        const int status = http_status(static_cast<ErrorKind>(kind));
        BOOST_TEST(std::string(status_text(status)) != "Unknown", kind);
        BOOST_TEST(status >= 400);
    }
}

BOOST_AUTO_TEST_SUITE_END()
