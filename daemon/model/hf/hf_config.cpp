#include "daemon/model/hf/hf_config.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>

#include "quant/mapped_file.hpp"
#include "quant/model_source.hpp"

namespace kvasir {

Result<boost::json::value> read_json_file(const std::filesystem::path& path) {
    constexpr std::size_t kMaxBytes = std::size_t{16} << 20U;
    constexpr std::size_t kMaxDepth = 32;
    KVASIR_TRY(const MappedFile file, MappedFile::open(path));
    if (file.bytes().size() > kMaxBytes) {
        return Error{ErrorCode::too_large,
                     fmt::format("{}: {} bytes, expected at most {}", path.string(),
                                 file.bytes().size(), kMaxBytes)};
    }
    boost::json::parse_options options;
    options.max_depth = kMaxDepth;
    boost::system::error_code failed;
    const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                                file.bytes().size());
    boost::json::value document = boost::json::parse(text, failed, {}, options);
    if (failed)
        return Error{ErrorCode::corrupt, fmt::format("{}: {}", path.string(), failed.message())};
    return document;
}

bool has_file(const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
}

Result<std::optional<std::uint32_t>> HfConfig::find_u32(std::string_view key) const {
    if (!has(key)) return std::optional<std::uint32_t>();
    KVASIR_TRY(const std::uint32_t value,
               fields_.get_id(key, std::numeric_limits<std::uint32_t>::max()));
    return std::optional(value);
}

Result<std::uint32_t> HfConfig::u32(std::string_view key) const {
    KVASIR_TRY(const auto* present, fields_.get(key));
    (void)present;
    return u32_or(key, 0);
}

Result<std::uint32_t> HfConfig::u32_or(std::string_view key, std::uint32_t otherwise) const {
    KVASIR_TRY(const auto found, find_u32(key));
    return found.value_or(otherwise);
}

Result<double> HfConfig::number(std::string_view key) const {
    KVASIR_TRY(const auto* present, fields_.get(key));
    (void)present;
    return number_or(key, 0);
}

Result<double> HfConfig::number_or(std::string_view key, double otherwise) const {
    const auto* value = fields_.find(key);
    if (value == nullptr) return otherwise;
    const double number = value->is_number() ? value->to_number<double>() : NAN;
    if (!std::isfinite(number))
        return fields_.corrupt("`" + std::string(key) + "` is not a finite number");
    return number;
}

Result<bool> HfConfig::bool_or(std::string_view key, bool otherwise) const {
    return fields_.get_bool(key, otherwise);
}

Result<std::string_view> HfConfig::string_or(std::string_view key,
                                             std::string_view otherwise) const {
    if (!has(key)) return otherwise;
    return fields_.get_string(key);
}

Result<std::optional<HfConfig>> HfConfig::find_object(std::string_view key) const {
    const auto* value = fields_.find(key);
    if (value == nullptr) return std::optional<HfConfig>();
    KVASIR_TRY(JsonMembers object,
               JsonMembers::create(*value, fields_.where() + ": " + std::string(key)));
    return std::optional(HfConfig(std::move(object)));
}

Result<std::vector<double>> HfConfig::numbers(std::string_view key, std::size_t most) const {
    KVASIR_TRY(const auto* array, fields_.get_array(key, most));
    std::vector<double> all;
    for (const boost::json::value& value : *array) {
        if (!value.is_number())
            return fields_.corrupt("`" + std::string(key) + "` holds more than numbers");
        all.push_back(value.to_number<double>());
    }
    return all;
}

Result<> HfConfig::expect_string(std::string_view key, std::string_view otherwise,
                                 std::initializer_list<std::string_view> known) const {
    KVASIR_TRY(const std::string_view found, string_or(key, otherwise));
    if (std::ranges::find(known, found) != known.end()) return {};
    return fields_.unsupported(
        fmt::format("`{}` is {}, expected {}", key, printable(found), fmt::join(known, " or ")));
}

Result<> HfConfig::expect_bool(std::string_view key, bool otherwise, bool expected) const {
    KVASIR_TRY(const bool found, bool_or(key, otherwise));
    if (found == expected) return {};
    return fields_.unsupported(fmt::format("`{}` is {}, expected {}", key, found, expected));
}

}  // namespace kvasir
