// What a key's value must be to be used as this or that, and where a tensor's rows are.
#include "quant/model_source.hpp"

#include <cmath>
#include <limits>

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

Error wrong(const ModelSource& source, std::string_view key, const GgufValue& value,
            const char* expected) {
    return {ErrorCode::corrupt, source.path().string() + ": " + source.label(key) + ": " +
                                    describe(value) + ", expected " + expected};
}

template <class T>
Result<T> required(const ModelSource& source, std::string_view key,
                   Result<std::optional<T>> found) {
    if (found.has_error()) return std::move(found).error();
    if (!found->has_value()) {
        return Error{ErrorCode::corrupt,
                     source.path().string() + ": " + source.label(key) + ": absent, but required"};
    }
    return **found;
}

}  // namespace

std::string printable(std::string_view text) {
    std::string out = "`";
    for (const char c : text.substr(0, 96)) out += (c >= ' ' && c <= '~') ? c : '?';
    return out + (text.size() > 96 ? "...`" : "`");
}

std::uint64_t TensorInfo::n_elements() const {
    std::uint64_t n = 1;
    for (const std::uint64_t extent : shape) n *= extent;  // checked when the directory was read
    return n;
}

std::uint64_t TensorInfo::row_bytes() const {
    return shape.back() / format->block_elements * format->block_bytes;
}

std::uint64_t TensorInfo::n_bytes() const {
    return n_elements() / format->block_elements * format->block_bytes;
}

std::span<const std::byte> TensorInfo::row(std::uint64_t i, std::vector<std::byte>& scratch) const {
    if (make_row) return make_row(i, scratch);
    const auto n_bytes = static_cast<std::size_t>(row_bytes());
    return data.subspan(static_cast<std::size_t>(i) * n_bytes, n_bytes);
}

Result<std::optional<std::uint32_t>> ModelSource::find_u32(std::string_view key) const {
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

Result<std::optional<float>> ModelSource::find_f32(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::optional<float>();
    const auto* d = std::get_if<double>(value);
    if (d == nullptr || !(std::abs(*d) <= static_cast<double>(std::numeric_limits<float>::max())))
        return wrong(*this, key, *value, "a finite float");
    return std::optional(static_cast<float>(*d));
}

Result<std::optional<bool>> ModelSource::find_bool(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::optional<bool>();
    const auto* b = std::get_if<bool>(value);
    if (b == nullptr) return wrong(*this, key, *value, "a bool");
    return std::optional(*b);
}

Result<std::optional<std::string_view>> ModelSource::find_string(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::optional<std::string_view>();
    const auto* s = std::get_if<std::string_view>(value);
    if (s == nullptr) return wrong(*this, key, *value, "a string");
    return std::optional(*s);
}

Result<std::uint32_t> ModelSource::get_u32(std::string_view key) const {
    return required(*this, key, find_u32(key));
}

Result<float> ModelSource::get_f32(std::string_view key) const {
    return required(*this, key, find_f32(key));
}

Result<std::string_view> ModelSource::get_string(std::string_view key) const {
    return required(*this, key, find_string(key));
}

}  // namespace kvasir
