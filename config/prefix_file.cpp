#include "config/prefix_file.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <limits>

#include <toml++/toml.h>

namespace kvasir {
namespace {

constexpr std::uintmax_t kMostBytes = 8U << 20U;
constexpr std::int64_t kMostSeconds = 10LL * 365 * 86'400;

/// Reads one table; remembers nothing but where it is.
class Fields {
public:
    Fields(const toml::table& table, std::string path) : table_(table), path_(std::move(path)) {}

    Error wrong(std::string_view key, const toml::node& node, std::string_view expected) const {
        return {ErrorCode::invalid_argument, fmt::format("{}:{}: {}: expected {}", path_,
                                                         node.source().begin.line, key, expected)};
    }

    Result<> only(std::initializer_list<std::string_view> known) const {
        for (const auto& [key, node] : table_) {
            if (std::ranges::find(known, key.str()) == known.end())
                return wrong(key.str(), node, fmt::format("one of {}", fmt::join(known, ", ")));
        }
        return {};
    }

    Result<std::optional<std::string>> text(std::string_view key) const {
        const toml::node* node = table_.get(key);
        if (node == nullptr) return std::optional<std::string>();
        if (!node->is_string()) return wrong(key, *node, "a string");
        return std::optional(node->as_string()->get());
    }

    Result<std::optional<std::uint64_t>> seconds(std::string_view key) const {
        const toml::node* node = table_.get(key);
        if (node == nullptr) return std::optional<std::uint64_t>();
        const auto* number = node->as_integer();
        if (number == nullptr || number->get() < 1 || number->get() > kMostSeconds)
            return wrong(key, *node, fmt::format("seconds from 1 to {}", kMostSeconds));
        return std::optional(static_cast<std::uint64_t>(number->get()));
    }

    Result<std::vector<TokenId>> tokens() const {
        std::vector<TokenId> ids;
        const toml::node* node = table_.get("tokens");
        if (node == nullptr) return ids;
        const toml::array* array = node->as_array();
        if (array == nullptr || array->empty()) return wrong("tokens", *node, "an array of ids");
        for (const toml::node& one : *array) {
            const auto* number = one.as_integer();
            if (number == nullptr || number->get() < 0 ||
                number->get() > std::numeric_limits<TokenId>::max())
                return wrong("tokens", one, "an array of ids");
            ids.push_back(static_cast<TokenId>(number->get()));
        }
        return ids;
    }

    Result<std::vector<PrefixFile::Message>> messages() const {
        std::vector<PrefixFile::Message> messages;
        const toml::node* node = table_.get("messages");
        if (node == nullptr) return messages;
        const toml::array* array = node->as_array();
        if (array == nullptr || array->empty() || !array->is_homogeneous(toml::node_type::table))
            return wrong("messages", *node, "tables, each begun by [[messages]]");
        for (const toml::node& one : *array) {
            const Fields fields(*one.as_table(), path_);
            KVASIR_TRY_VOID(fields.only({"role", "content"}));
            KVASIR_TRY(auto role, fields.text("role"));
            KVASIR_TRY(auto content, fields.text("content"));
            if (!role || !content) return wrong("messages", one, "a role and a content each");
            messages.push_back({std::move(*role), std::move(*content)});
        }
        return messages;
    }

private:
    const toml::table& table_;
    std::string path_;
};

Result<PrefixFile> read_fields(const toml::table& table, const std::string& path) {
    const Fields fields(table, path);
    KVASIR_TRY_VOID(
        fields.only({"name", "text", "messages", "tokens", "idle_seconds", "absolute_seconds"}));
    PrefixFile file;
    KVASIR_TRY(const auto name, fields.text("name"));
    // A file without a name is called as itself.
    file.name = name.value_or(std::filesystem::path(path).stem().string());
    KVASIR_TRY(file.text, fields.text("text"));
    KVASIR_TRY(file.messages, fields.messages());
    KVASIR_TRY(file.tokens, fields.tokens());
    KVASIR_TRY(file.idle_seconds, fields.seconds("idle_seconds"));
    KVASIR_TRY(file.absolute_seconds, fields.seconds("absolute_seconds"));
    const int n_given =
        int{file.text.has_value()} + int{!file.messages.empty()} + int{!file.tokens.empty()};
    if (n_given != 1) {
        return Error{ErrorCode::invalid_argument,
                     path + ": expected exactly one of text, messages and tokens"};
    }
    return file;
}

}  // namespace

Result<PrefixFile> read_prefix_file(const std::filesystem::path& path) {
    std::error_code failed;
    const std::uintmax_t bytes = std::filesystem::file_size(path, failed);
    if (failed) return Error{ErrorCode::io, fmt::format("{}: {}", path.string(), failed.message())};
    if (bytes > kMostBytes) {
        return Error{ErrorCode::too_large, fmt::format("{}: {} bytes, expected at most {}",
                                                       path.string(), bytes, kMostBytes)};
    }
    std::ifstream stream(path, std::ios::binary);
    const std::string toml{std::istreambuf_iterator<char>(stream), {}};
    if (stream.bad()) return Error{ErrorCode::io, path.string() + ": cannot be read"};
    try {
        const toml::table table = toml::parse(toml, path.string());
        return read_fields(table, path.string());
    } catch (const toml::parse_error& error) {
        return Error{ErrorCode::corrupt,
                     fmt::format("{}:{}: not TOML: {}", path.string(), error.source().begin.line,
                                 error.description())};
    }
}

Result<std::vector<std::filesystem::path>> list_prefix_files(const std::filesystem::path& dir) {
    std::vector<std::filesystem::path> paths;
    std::error_code failed;
    if (!std::filesystem::exists(dir, failed)) return paths;
    for (const auto& entry : std::filesystem::directory_iterator(dir, failed))
        if (entry.path().extension() == ".toml") paths.push_back(entry.path());
    if (failed) return Error{ErrorCode::io, fmt::format("{}: {}", dir.string(), failed.message())};
    std::ranges::sort(paths);
    return paths;
}

}  // namespace kvasir
