// GgufFile's typed getters: what a key's value must be to be used as this or that.
#include <cmath>
#include <limits>

#include "quant/gguf.hpp"

namespace kvasir {
namespace {

std::string describe(const GgufValue& value) {
    struct Visitor {
        std::string operator()(std::uint64_t v) const { return std::to_string(v); }
        std::string operator()(std::int64_t v) const { return std::to_string(v); }
        std::string operator()(double v) const { return std::to_string(v); }
        std::string operator()(bool v) const { return v ? "true" : "false"; }
        std::string operator()(std::string_view) const { return "a string"; }
        std::string operator()(const GgufArray&) const { return "an array"; }
    };
    return std::visit(Visitor{}, value);
}

Error wrong(const GgufFile& file, std::string_view key, const GgufValue& value,
            const char* expected) {
    return {ErrorCode::corrupt, file.path().string() + ": " + std::string(key) + ": " +
                                    describe(value) + ", expected " + expected};
}

template <class T>
Result<T> required(const GgufFile& file, std::string_view key, Result<std::optional<T>> found) {
    if (found.has_error()) return std::move(found).error();
    if (!found->has_value()) {
        return Error{ErrorCode::corrupt,
                     file.path().string() + ": " + std::string(key) + ": absent, but required"};
    }
    return **found;
}

}  // namespace

Result<std::optional<std::uint32_t>> GgufFile::find_u32(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::optional<std::uint32_t>();
    constexpr std::uint64_t limit = std::numeric_limits<std::uint32_t>::max();
    if (const auto* u = std::get_if<std::uint64_t>(value); u != nullptr && *u <= limit)
        return std::optional(static_cast<std::uint32_t>(*u));
    if (const auto* i = std::get_if<std::int64_t>(value);
        i != nullptr && *i >= 0 && static_cast<std::uint64_t>(*i) <= limit)
        return std::optional(static_cast<std::uint32_t>(*i));
    return wrong(*this, key, *value, "an integer from 0 to 4294967295");
}

Result<std::optional<float>> GgufFile::find_f32(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::optional<float>();
    const auto* d = std::get_if<double>(value);
    if (d == nullptr || !(std::abs(*d) <= static_cast<double>(std::numeric_limits<float>::max())))
        return wrong(*this, key, *value, "a finite float");
    return std::optional(static_cast<float>(*d));
}

Result<std::optional<bool>> GgufFile::find_bool(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::optional<bool>();
    const auto* b = std::get_if<bool>(value);
    if (b == nullptr) return wrong(*this, key, *value, "a bool");
    return std::optional(*b);
}

Result<std::optional<std::string_view>> GgufFile::find_string(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::optional<std::string_view>();
    const auto* s = std::get_if<std::string_view>(value);
    if (s == nullptr) return wrong(*this, key, *value, "a string");
    return std::optional(*s);
}

Result<std::uint32_t> GgufFile::get_u32(std::string_view key) const {
    return required(*this, key, find_u32(key));
}

Result<float> GgufFile::get_f32(std::string_view key) const {
    return required(*this, key, find_f32(key));
}

Result<std::string_view> GgufFile::get_string(std::string_view key) const {
    return required(*this, key, find_string(key));
}

}  // namespace kvasir
