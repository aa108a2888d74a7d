// The [[domain]] tables: what they contradict, and how they are written.
#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "config/settings_keys.hpp"

namespace kvasir::settings_detail {

namespace {

constexpr std::size_t kLongestName = 64;
constexpr std::size_t kMostDomains = 256;

bool is_fit_name(std::string_view name) {
    return !name.empty() && name.size() <= kLongestName && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
}

std::string list_to_toml(const std::vector<std::string>& list) {
    std::string text;
    for (const std::string& one : list)
        text += fmt::format("{}{}", text.empty() ? "" : ", ", quoted_toml(one));
    return "[" + text + "]";
}

Result<> check_domain(const DomainSettings& domain) {
    const auto invalid = [&](std::string message) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("domain {}: {}", shown(domain.name), message)};
    };
    if (!is_fit_name(domain.name)) {
        return invalid(fmt::format("name: expected 1 to {} of a-z, 0-9, - and _", kLongestName));
    }
    if (domain.name == "common" || domain.name == "unlisted")
        return invalid("name: taken, expected another");
    if (domain.cap_bytes > 0 && domain.reserve_bytes > domain.cap_bytes) {
        return invalid(fmt::format("reserve: {}, expected at most the cap, {}",
                                   size_text(domain.reserve_bytes), size_text(domain.cap_bytes)));
    }
    return {};
}

}  // namespace

Result<> check_domains(const Settings& settings) {
    if (settings.domains.size() > kMostDomains) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("domain: {} of them, expected at most {}", settings.domains.size(),
                                 kMostDomains)};
    }
    std::set<std::string_view> names;
    std::uint64_t reserved = 0;
    for (const DomainSettings& domain : settings.domains) {
        KVASIR_TRY_VOID(check_domain(domain));
        if (!names.insert(domain.name).second) {
            return Error{ErrorCode::invalid_argument,
                         fmt::format("domain \"{}\": there are two of this name", domain.name)};
        }
        reserved += std::min(domain.reserve_bytes, UINT64_MAX - reserved);
    }
    const std::uint64_t budget = settings.cache.budget_bytes;
    if (budget > 0 && reserved > budget) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("domain: reserves of {} bytes, expected at most "
                                 "cache.budget_bytes, {}",
                                 reserved, budget)};
    }
    return {};
}

std::string domains_to_toml(std::span<const DomainSettings> domains) {
    std::string text =
        "\n# Who shares a cache: the first of these that a caller on the socket belongs to, by "
        "user "
        "or group, is its own.\n"
        "# Users that none lists share with nobody, and nothing of theirs reaches the disk.\n";
    if (domains.empty()) {
        return text +
               "#\n# [[domain]]\n# name = \"photos\"\n# users = [\"alice\", 1001]\n"
               "# groups = [\"photos\"]\n"
               "# reserve = \"64MiB\"  # of cache.budget_bytes: others never take it\n"
               "# cap = \"128MiB\"     # at most; 0: all of it\n";
    }
    for (const DomainSettings& domain : domains) {
        text += fmt::format(
            "\n[[domain]]\nname = {}\nusers = {}\ngroups = {}\nreserve = \"{}\"\ncap = "
            "\"{}\"\n",
            quoted_toml(domain.name), list_to_toml(domain.users), list_to_toml(domain.groups),
            size_text(domain.reserve_bytes), size_text(domain.cap_bytes));
    }
    return text;
}

}  // namespace kvasir::settings_detail
