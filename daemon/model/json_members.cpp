#include "daemon/model/json_members.hpp"

#include <algorithm>

#include "quant/gguf.hpp"

namespace kvasir {

Result<JsonMembers> JsonMembers::create(const boost::json::value& value, std::string where) {
    if (const auto* object = value.if_object()) return JsonMembers(*object, std::move(where));
    return Error{ErrorCode::corrupt, where + ": not an object"};
}

const boost::json::value* JsonMembers::find(std::string_view key) const {
    const auto* value = object_->if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
}

Result<const boost::json::value*> JsonMembers::get(std::string_view key) const {
    const auto* value = find(key);
    if (value == nullptr) return corrupt("no `" + std::string(key) + "`");
    return value;
}

Result<std::string_view> JsonMembers::get_string(std::string_view key) const {
    KVASIR_TRY(const auto* value, get(key));
    if (const auto* text = value->if_string()) return std::string_view(*text);
    return corrupt("`" + std::string(key) + "` is not a string");
}

Result<std::string_view> JsonMembers::find_string(std::string_view key) const {
    if (find(key) == nullptr) return std::string_view();
    return get_string(key);
}

Result<bool> JsonMembers::get_bool(std::string_view key, bool if_absent) const {
    const auto* value = find(key);
    if (value == nullptr) return if_absent;
    if (const auto* truth = value->if_bool()) return *truth;
    return corrupt("`" + std::string(key) + "` is neither true nor false");
}

Result<const boost::json::array*> JsonMembers::get_array(std::string_view key,
                                                         std::size_t max_size) const {
    KVASIR_TRY(const auto* value, get(key));
    const auto* array = value->if_array();
    if (array == nullptr) return corrupt("`" + std::string(key) + "` is not an array");
    if (array->size() > max_size) {
        return corrupt("`" + std::string(key) + "` has " + std::to_string(array->size()) +
                       " elements, expected at most " + std::to_string(max_size));
    }
    return array;
}

Result<std::uint32_t> JsonMembers::get_id(std::string_view key, std::size_t max) const {
    KVASIR_TRY(const auto* value, get(key));
    if (const auto id = as_id(*value, max)) return *id;
    return corrupt("`" + std::string(key) + "` is not a whole number from 0 to " +
                   std::to_string(max - 1));
}

Result<> JsonMembers::expect_only(std::initializer_list<std::string_view> keys) const {
    for (const auto& member : *object_) {
        const std::string_view key = member.key();
        if (std::find(keys.begin(), keys.end(), key) == keys.end())
            return unsupported("unknown member " + printable(key));
    }
    return {};
}

Error JsonMembers::corrupt(const std::string& what) const {
    return {ErrorCode::corrupt, where_ + ": " + what};
}

Error JsonMembers::unsupported(const std::string& what) const {
    return {ErrorCode::unsupported, where_ + ": " + what};
}

std::optional<std::uint32_t> as_id(const boost::json::value& value, std::size_t max) {
    const auto* number = value.if_int64();  // a positive number that fits is one of these
    if (number == nullptr || *number < 0 || static_cast<std::uint64_t>(*number) >= max)
        return std::nullopt;
    return static_cast<std::uint32_t>(*number);
}

}  // namespace kvasir
