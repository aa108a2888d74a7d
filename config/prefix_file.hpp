// prefixes.d/*.toml: openings that the operator wants computed before anybody asks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/base/error.hpp"
#include "config/base/types.hpp"

namespace kvasir {

/// One file. Exactly one of text, messages and tokens is there.
struct PrefixFile {
    struct Message {
        std::string role;
        std::string content;
    };
    std::string name;
    std::optional<std::string> text;
    std::vector<Message> messages;
    std::vector<TokenId> tokens;
    std::optional<std::uint64_t> idle_seconds;  // time to live
    std::optional<std::uint64_t> absolute_seconds;
};

/// Errors: invalid_argument (path, line, key, found, expected), io, too_large (8 MiB), corrupt
/// (syntax).
Result<PrefixFile> read_prefix_file(const std::filesystem::path& path);

/// The directory's *.toml, in the order of their names; none where there is no directory. Errors:
/// io.
Result<std::vector<std::filesystem::path>> list_prefix_files(const std::filesystem::path& dir);

}  // namespace kvasir
