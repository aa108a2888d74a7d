// HfConfig: a directory's config.json, its members read by name and type.
#pragma once

#include <boost/json.hpp>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/error.hpp"
#include "daemon/model/json_members.hpp"

namespace kvasir {

/// A JSON file of a directory: at most 16 MiB and 32 levels. Errors: io, too_large, corrupt.
Result<boost::json::value> read_json_file(const std::filesystem::path& path);

bool has_file(const std::filesystem::path& path);

/// A view into a parsed document, which outlives it. Absent and null are the same. Errors of all
/// members: corrupt, naming the key, what was found and expected.
class HfConfig {
public:
    explicit HfConfig(JsonMembers fields) : fields_(std::move(fields)) {}

    const JsonMembers& fields() const { return fields_; }
    bool has(std::string_view key) const { return fields_.find(key) != nullptr; }
    Result<std::uint32_t> u32(std::string_view key) const;  // required
    Result<std::uint32_t> u32_or(std::string_view key, std::uint32_t otherwise) const;
    Result<std::optional<std::uint32_t>> find_u32(std::string_view key) const;
    Result<double> number(std::string_view key) const;  // required
    Result<double> number_or(std::string_view key, double otherwise) const;
    Result<bool> bool_or(std::string_view key, bool otherwise) const;
    Result<std::string_view> string_or(std::string_view key, std::string_view otherwise) const;
    /// nullopt: absent. Errors: corrupt (no object).
    Result<std::optional<HfConfig>> find_object(std::string_view key) const;
    /// Errors: corrupt (absent, other than n numbers).
    Result<std::vector<double>> numbers(std::string_view key, std::size_t most) const;

    /// Errors: unsupported, where the key is none of these; absent: `otherwise`.
    Result<> expect_string(std::string_view key, std::string_view otherwise,
                           std::initializer_list<std::string_view> known) const;
    /// Errors: unsupported.
    Result<> expect_bool(std::string_view key, bool otherwise, bool expected) const;

private:
    JsonMembers fields_;
};

}  // namespace kvasir
