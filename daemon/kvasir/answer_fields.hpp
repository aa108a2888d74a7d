// What the server's JSON answers say, leniently: what is absent, null or of another kind is empty.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::client {

/// nullptr: absent or null.
inline const boost::json::value* find_field(const boost::json::object& object,
                                            std::string_view key) {
    const boost::json::value* value = object.if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
}

inline double number_field(const boost::json::object& object, std::string_view key) {
    const boost::json::value* value = find_field(object, key);
    return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

inline std::string text_field(const boost::json::object& object, std::string_view key) {
    const boost::json::value* value = find_field(object, key);
    return value != nullptr && value->is_string() ? std::string(value->get_string())
                                                  : std::string();
}

inline bool is_listing(const boost::json::object& answer) {
    const boost::json::value* data = find_field(answer, "data");
    return data != nullptr && data->is_array();
}

/// The objects of a listing.
inline std::vector<const boost::json::object*> listed(const boost::json::object& answer) {
    std::vector<const boost::json::object*> objects;
    if (!is_listing(answer)) return objects;
    for (const boost::json::value& one : answer.at("data").get_array())
        if (one.is_object()) objects.push_back(&one.get_object());
    return objects;
}

/// Of a GET /v1/models.
inline std::string first_model(const boost::json::object& answer) {
    const auto models = listed(answer);
    return models.empty() ? std::string() : text_field(*models.front(), "id");
}

}  // namespace kvasir::client
