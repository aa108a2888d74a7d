// What every request parser is tried with, and how a refusal reads.
#pragma once

#include <boost/test/unit_test.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "daemon/http/error_response.hpp"

namespace kvasir::testing {

struct Wrong {
    std::string field;  // as JSON members, beside a good prompt, messages or input
    std::string param;
};
inline std::ostream& operator<<(std::ostream& out, const Wrong& wrong) {
    return out << wrong.field;
}

/// Values of every kind, for fields of every kind.
inline const std::vector<std::string> kAnything{"null",
                                                "true",
                                                "false",
                                                "0",
                                                "-1",
                                                "7",
                                                "0.5",
                                                "-1e308",
                                                "1e308",
                                                "18446744073709551615",
                                                "-9223372036854775808",
                                                R"("")",
                                                R"("x")",
                                                R"("\u0000")",
                                                "\"" + std::string(2000, 'y') + "\"",
                                                "[]",
                                                "[0]",
                                                R"(["x"])",
                                                "[null]",
                                                "[[[]]]",
                                                R"([{"a":1}])",
                                                "{}",
                                                R"({"x":1})",
                                                R"({"type":"text"})",
                                                R"({"":[{}]})"};

template <class Request>
void check_refused(const ApiResult<Request>& parsed, const std::string& param) {
    BOOST_REQUIRE(parsed.has_error());
    BOOST_TEST(parsed.error().param == param);
    BOOST_TEST(http_status(parsed.error().kind) == 400);
    BOOST_TEST(parsed.error().message.starts_with(param));
}

/// Of whatever was sent: understood, or the sender's fault by name.
template <class Request>
void check_taken_or_refused(const ApiResult<Request>& parsed, const std::string& fields) {
    BOOST_TEST((parsed.has_value() || http_status(parsed.error().kind) == 400), fields);
    if (parsed.has_error()) BOOST_TEST(!parsed.error().param.empty(), fields);
}

}  // namespace kvasir::testing
