#include "daemon/http/json_fields.hpp"

#include <boost/json/parse.hpp>
#include <fmt/format.h>
#include <limits>

namespace kvasir {

namespace json = boost::json;

ApiResult<json::object> parse_json_object(std::string_view text, std::size_t max_depth) {
    json::parse_options options;
    options.max_depth = max_depth;
    boost::system::error_code ec;
    json::value value = json::parse({text.data(), text.size()}, ec, {}, options);
    if (ec == json::error::too_deep) {
        return ApiError{ErrorKind::invalid_request,
                        fmt::format("body: nested deeper than {} levels", max_depth),
                        {}};
    }
    if (ec) {
        return ApiError{ErrorKind::invalid_request,
                        fmt::format("body: not valid JSON in UTF-8: {}", ec.message()),
                        {}};
    }
    if (!value.is_object()) {
        return ApiError{ErrorKind::invalid_request,
                        fmt::format("body: {}, expected a JSON object", json_kind_name(value)),
                        {}};
    }
    return std::move(value.get_object());
}

const char* json_kind_name(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null: return "null";
        case json::kind::bool_: return "a boolean";
        case json::kind::int64:
        case json::kind::uint64: return "an integer";
        case json::kind::double_: return "a number";
        case json::kind::string: return "a string";
        case json::kind::array: return "an array";
        case json::kind::object: return "an object";
    }
    return "something else";
}

ApiError field_error(std::string_view param, std::string_view what) {
    return {ErrorKind::invalid_request, fmt::format("{}: {}", param, what), std::string(param)};
}

const json::value* JsonFields::find(std::string_view name) const {
    const json::value* value = object_.if_contains({name.data(), name.size()});
    return value == nullptr || value->is_null() ? nullptr : value;
}

std::string JsonFields::param(std::string_view name) const {
    return prefix_ + std::string(name);
}

ApiError JsonFields::wrong_type(std::string_view name, const char* expected,
                                const json::value& found) const {
    return field_error(param(name),
                       fmt::format("{}, expected {}", json_kind_name(found), expected));
}

ApiResult<std::optional<bool>> JsonFields::boolean(std::string_view name) const {
    const json::value* value = find(name);
    if (value == nullptr) return std::optional<bool>();
    if (!value->is_bool()) return wrong_type(name, "true or false", *value);
    return std::optional(value->get_bool());
}

ApiResult<std::optional<std::int64_t>> JsonFields::integer(std::string_view name, std::int64_t low,
                                                           std::int64_t high) const {
    const json::value* value = find(name);
    if (value == nullptr) return std::optional<std::int64_t>();
    if (!value->is_int64() && !value->is_uint64()) return wrong_type(name, "an integer", *value);
    // uint64 is the kind of what int64 cannot hold, so it is over any bound.
    const bool fits = value->is_int64() && value->get_int64() >= low && value->get_int64() <= high;
    if (!fits) {
        const std::string found = value->is_int64() ? fmt::format("{}", value->get_int64())
                                                    : fmt::format("{}", value->get_uint64());
        if (high == std::numeric_limits<std::int64_t>::max())
            return field_error(param(name), fmt::format("{}, expected at least {}", found, low));
        return field_error(param(name), fmt::format("{}, expected {} to {}", found, low, high));
    }
    return std::optional(value->get_int64());
}

ApiResult<std::optional<double>> JsonFields::number(std::string_view name, double low,
                                                    double high) const {
    const json::value* value = find(name);
    if (value == nullptr) return std::optional<double>();
    if (!value->is_number()) return wrong_type(name, "a number", *value);
    const double found = value->is_double()  ? value->get_double()
                         : value->is_int64() ? static_cast<double>(value->get_int64())
                                             : static_cast<double>(value->get_uint64());
    if (!(found >= low && found <= high))
        return field_error(param(name), fmt::format("{}, expected {} to {}", found, low, high));
    return std::optional(found);
}

ApiResult<std::optional<std::string_view>> JsonFields::string(std::string_view name) const {
    const json::value* value = find(name);
    if (value == nullptr) return std::optional<std::string_view>();
    if (!value->is_string()) return wrong_type(name, "a string", *value);
    const json::string& text = value->get_string();
    return std::optional(std::string_view(text.data(), text.size()));
}

}  // namespace kvasir
