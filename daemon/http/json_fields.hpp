// JsonFields: reads a request's JSON object field by field; whatever is wrong is named in the
// error's param.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/http/error_response.hpp"

namespace kvasir {

/// Errors: not JSON, not UTF-8, nested deeper than max_depth, not an object.
ApiResult<boost::json::object> parse_json_object(std::string_view text, std::size_t max_depth);

/// "a string", "an array", ... for messages.
const char* json_kind_name(const boost::json::value& value);

/// param with a sentence "param: what".
ApiError field_error(std::string_view param, std::string_view what);

/// Getters: absent and null are nullopt; another type or a value out of range is an error. prefix
/// ("messages[2].") stands before the name in errors.
class JsonFields {
public:
    explicit JsonFields(const boost::json::object& object, std::string prefix = {})
        : object_(object), prefix_(std::move(prefix)) {}

    /// nullptr where absent or null.
    const boost::json::value* find(std::string_view name) const;
    std::string param(std::string_view name) const;

    ApiResult<std::optional<bool>> boolean(std::string_view name) const;
    ApiResult<std::optional<std::int64_t>> integer(std::string_view name, std::int64_t low,
                                                   std::int64_t high) const;
    ApiResult<std::optional<double>> number(std::string_view name, double low, double high) const;
    /// The view lives as long as the object.
    ApiResult<std::optional<std::string_view>> string(std::string_view name) const;

private:
    ApiError wrong_type(std::string_view name, const char* expected,
                        const boost::json::value& found) const;

    const boost::json::object& object_;
    std::string prefix_;
};

}  // namespace kvasir
