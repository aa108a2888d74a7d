// The TOML file. toml++ throws; its exceptions end here.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <optional>

#include "config/settings_keys.hpp"
#include <toml++/toml.h>

namespace kvasir::settings_detail {

namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;

// toml++ 3.3 bounds the depth of nested values (256) but not the parts of a dotted key, and frees
// tables recursively:
// `[a.a.a...]` of a megabyte would overflow the stack.
constexpr int kMaxDotsPerLine = 32;

Error at_line(const std::string& path, std::uint64_t line, const Error& error) {
    return {error.code, path + ":" + std::to_string(line) + ": " + error.message};
}

Result<> check_dots(std::string_view toml, const std::string& path) {
    std::uint64_t line = 1;
    int n_dots = 0;
    for (const char c : toml) {
        if (c == '\n') ++line;
        if (c == '\n' || c == '\r' || c == '\v' || c == '\f') n_dots = 0;
        if (c == '.' && ++n_dots > kMaxDotsPerLine) {
            return at_line(path, line,
                           {ErrorCode::too_large, "more than " + std::to_string(kMaxDotsPerLine) +
                                                      " dots, expected a key of two parts"});
        }
    }
    return {};
}

const char* type_name(toml::node_type type) {
    switch (type) {
        case toml::node_type::table: return "a table";
        case toml::node_type::array: return "an array";
        case toml::node_type::string: return "a string";
        case toml::node_type::integer: return "an integer";
        case toml::node_type::floating_point: return "a floating-point number";
        case toml::node_type::boolean: return "a boolean";
        default: return "a date or time";
    }
}

/// A TOML string is no way to write a number or a boolean, though a shell's text is.
Result<> set_from_string(const SettingKey& key, std::string_view text) {
    const bool typed =
        std::holds_alternative<Flag>(key.slot) || std::holds_alternative<Count>(key.slot);
    return typed ? Result<>(wrong_value(key, "the string " + shown(text)))
                 : set_from_text(key, text);
}

Result<> set_from_node(const SettingKey& key, const toml::node& node) {
    if (const auto* text = node.as_string()) return set_from_string(key, text->get());
    if (const auto* integer = node.as_integer()) return set_from_integer(key, integer->get());
    if (const auto* boolean = node.as_boolean()) return set_from_boolean(key, boolean->get());
    return wrong_value(key, type_name(node.type()));
}

/// Walks the tables; of several errors keeps the first in the file, since toml++ orders tables by
/// key.
class FileWalk {
public:
    FileWalk(std::span<const SettingKey> keys, std::vector<DomainSettings>& domains,
             const std::string& path)
        : keys_(keys), domains_(domains), path_(path) {}

    void apply(const toml::table& table, const std::string& section) {
        for (const auto& [key, node] : table) {
            const std::uint64_t line = key.source().begin.line;
            const std::string name = section + std::string(key.str());
            const SettingKey* setting = find_key(keys_, name);
            const bool dotted =
                key.str().find('.') != std::string_view::npos;  // `"cache.keys" = 1`
            if (name == "domain") {
                apply_domains(node);
            } else if (setting != nullptr && !dotted) {
                note(line, set_from_node(*setting, node));
            } else if (!section.empty() || dotted || !is_section(name)) {
                note(line, unknown_key(keys_, name));
            } else if (const toml::table* inner = node.as_table()) {
                apply(*inner, name + ".");
            } else {
                note(line, Error{ErrorCode::invalid_argument,
                                 fmt::format("{0}: found {1}, expected the section [{0}]", name,
                                             type_name(node.type()))});
            }
        }
    }

    Result<> result() const {
        if (!first_error_) return {};
        return at_line(path_, first_line_, *first_error_);
    }

private:
    void apply_domains(const toml::node& node) {
        const toml::array* tables = node.as_array();
        if (tables == nullptr || !tables->is_homogeneous(toml::node_type::table)) {
            return note(node.source().begin.line,
                        Error{ErrorCode::invalid_argument,
                              "domain: expected tables, each begun by [[domain]]"});
        }
        for (const toml::node& table : *tables) {
            DomainSettings& domain = domains_.emplace_back();
            for (const auto& [key, value] : *table.as_table())
                note(key.source().begin.line,
                     set_domain_field(domain, std::string(key.str()), value));
        }
    }

    static Result<> set_domain_field(DomainSettings& domain, const std::string& key,
                                     const toml::node& value) {
        const auto wrong = [&](const char* expected) {
            return Error{ErrorCode::invalid_argument,
                         fmt::format("domain.{}: found {}, expected {}", key,
                                     type_name(value.type()), expected)};
        };
        if (key == "name") {
            if (!value.is_string()) return wrong("a string");
            domain.name = value.as_string()->get();
            return {};
        }
        if (key == "users" || key == "groups") {
            if (!value.is_array()) return wrong("an array of names and numbers");
            auto& members = key == "users" ? domain.users : domain.groups;
            for (const toml::node& one : *value.as_array()) {
                if (const auto* name = one.as_string()) {
                    members.push_back(name->get());
                } else if (const auto* number = one.as_integer()) {
                    members.push_back(std::to_string(number->get()));
                } else {
                    return wrong("an array of names and numbers");
                }
            }
            return {};
        }
        if (key == "reserve" || key == "cap") {
            std::optional<std::uint64_t> bytes;
            if (const auto* text = value.as_string()) bytes = parse_size(text->get());
            if (const auto* number = value.as_integer(); number != nullptr && number->get() >= 0)
                bytes = static_cast<std::uint64_t>(number->get());
            if (!bytes) return wrong("bytes, as a number or with KiB, MiB, GiB");
            (key == "reserve" ? domain.reserve_bytes : domain.cap_bytes) = *bytes;
            return {};
        }
        return Error{
            ErrorCode::invalid_argument,
            "domain." + shown(key) + ": unknown key, expected name, users, groups, reserve or cap"};
    }

    bool is_section(const std::string& name) const {
        return std::ranges::any_of(
            keys_, [&](const SettingKey& key) { return key.name.starts_with(name + "."); });
    }

    void note(std::uint64_t line, const Result<>& result) {
        if (!result.has_error() || (first_error_ && first_line_ <= line)) return;
        first_error_ = result.error();
        first_line_ = line;
    }

    std::span<const SettingKey> keys_;
    std::vector<DomainSettings>& domains_;
    const std::string& path_;
    std::optional<Error> first_error_;
    std::uint64_t first_line_ = 0;
};

}  // namespace

Result<std::string> read_settings_file(const std::string& path) {
    const auto failure = [&](int error) {
        const bool absent = error == ENOENT || error == ENOTDIR;
        return Error{absent ? ErrorCode::not_found : ErrorCode::io,
                     path + ": " + std::strerror(error)};
    };
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                               &std::fclose);
    if (!file) return failure(errno);
    std::string text(kMaxFileBytes + 1, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file.get()));
    if (std::ferror(file.get()) != 0) return failure(errno);
    if (text.size() > kMaxFileBytes) {
        return Error{ErrorCode::too_large,
                     path + ": more than " + std::to_string(kMaxFileBytes) + " bytes"};
    }
    return text;
}

Result<> apply_toml(std::span<const SettingKey> keys, std::vector<DomainSettings>& domains,
                    std::string_view toml, const std::string& path) {
    KVASIR_TRY_VOID(check_dots(toml, path));
    try {
        const toml::table root = toml::parse(toml, path);
        FileWalk walk(keys, domains, path);
        walk.apply(root, "");
        return walk.result();
    } catch (const toml::parse_error& error) {
        return at_line(path, error.source().begin.line,
                       {ErrorCode::corrupt, "not TOML: " + std::string(error.description())});
    }
}

}  // namespace kvasir::settings_detail
