// A JSON object of a file, its members read by name and type; errors say where in the file.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/error.hpp"

namespace kvasir {

/// Views into a parsed document, which outlives it.
class JsonMembers {
public:
    /// where: what the value is, such as `pre_tokenizer`. Errors: corrupt (not an object).
    static Result<JsonMembers> create(const boost::json::value& value, std::string where);

    const std::string& where() const { return where_; }
    const boost::json::object& object() const { return *object_; }
    /// nullptr: absent or null.
    const boost::json::value* find(std::string_view key) const;
    Result<const boost::json::value*> get(std::string_view key) const;
    Result<std::string_view> get_string(std::string_view key) const;
    /// Absent: empty.
    Result<std::string_view> find_string(std::string_view key) const;
    Result<bool> get_bool(std::string_view key, bool if_absent) const;
    Result<const boost::json::array*> get_array(std::string_view key, std::size_t max_size) const;
    /// Errors: corrupt (absent, no integer, negative, max or more).
    Result<std::uint32_t> get_id(std::string_view key, std::size_t max) const;

    /// Errors: unsupported, naming the first member that is none of these.
    Result<> expect_only(std::initializer_list<std::string_view> keys) const;

    Error corrupt(const std::string& what) const;
    Error unsupported(const std::string& what) const;

private:
    JsonMembers(const boost::json::object& object, std::string where)
        : object_(&object), where_(std::move(where)) {}
    const boost::json::object* object_;
    std::string where_;
};

/// An integer from 0 to max - 1, or nothing.
std::optional<std::uint32_t> as_id(const boost::json::value& value, std::size_t max);

}  // namespace kvasir
