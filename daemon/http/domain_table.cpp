#include "daemon/http/domain_table.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

namespace kvasir {
namespace {

constexpr std::uint32_t kNobody = 65534;
constexpr std::size_t kMostSalts = 4096;

struct Member {
    std::uint32_t number = 0;
    std::string name;  // what the number is called now; empty: nothing
};

std::optional<std::uint32_t> as_number(const std::string& text) {
    std::uint32_t number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

/// Names and numbers both ways, through the system's databases.
std::optional<Member> find_user(const std::string& text) {
    std::array<char, 16384> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    const auto number = as_number(text);
    if (number) {
        (void)::getpwuid_r(*number, &entry, buffer.data(), buffer.size(), &found);
        return Member{*number, found == nullptr ? "" : found->pw_name};
    }
    (void)::getpwnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr) return std::nullopt;
    return Member{found->pw_uid, found->pw_name};
}

std::optional<Member> find_group(const std::string& text) {
    std::array<char, 65536> buffer{};
    group entry{};
    group* found = nullptr;
    const auto number = as_number(text);
    if (number) {
        (void)::getgrgid_r(*number, &entry, buffer.data(), buffer.size(), &found);
        return Member{*number, found == nullptr ? "" : found->gr_name};
    }
    (void)::getgrnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr) return std::nullopt;
    return Member{found->gr_gid, found->gr_name};
}

}  // namespace

Result<DomainTable> DomainTable::resolve(std::span<const DomainSettings> domains) {
    DomainTable table;
    for (const DomainSettings& settings : domains) {
        Domain domain{.name = settings.name, .uids = {}, .gids = {}, .identity = settings.name};
        const auto add = [&](const std::vector<std::string>& members, const char* kind, auto find,
                             std::vector<std::uint32_t>& numbers) -> Result<> {
            for (const std::string& text : members) {
                const std::optional<Member> member = find(text);
                if (!member) {
                    return Error{ErrorCode::invalid_argument,
                                 fmt::format("domain \"{}\": {} \"{}\": there is none of this "
                                             "name here",
                                             settings.name, kind, text.substr(0, 64))};
                }
                numbers.push_back(member->number);
                domain.identity += fmt::format("\n{} {}={}", kind, member->name, member->number);
            }
            return {};
        };
        KVASIR_TRY_VOID(add(settings.users, "user", find_user, domain.uids));
        KVASIR_TRY_VOID(add(settings.groups, "group", find_group, domain.gids));
        table.domains_.push_back(std::move(domain));
    }
    return table;
}

bool DomainTable::needs_groups() const {
    return std::ranges::any_of(domains_, [](const Domain& d) { return !d.gids.empty(); });
}

std::uint32_t DomainTable::domain_of(const Peer& peer) const {
    if (peer.uid < kFirstKey && peer.uid != kNobody) {
        for (std::size_t i = 0; i < domains_.size(); ++i) {
            const Domain& domain = domains_[i];
            const bool is_member =
                std::ranges::find(domain.uids, peer.uid) != domain.uids.end() ||
                std::ranges::find_first_of(domain.gids, peer.groups) != domain.gids.end();
            if (is_member) return kFirstListed + static_cast<std::uint32_t>(i);
        }
        return peer.uid;
    }
    static std::atomic<std::uint32_t> next_loner{0};
    return kFirstLoner | (next_loner++ % ~kFirstLoner);
}

std::optional<std::uint32_t> DomainTable::find(const std::string& name) const {
    const auto found = std::ranges::find(domains_, name, &Domain::name);
    if (found == domains_.end()) return std::nullopt;
    return kFirstListed + static_cast<std::uint32_t>(found - domains_.begin());
}

std::uint32_t DomainTable::salted(std::uint32_t domain, const std::string& salt) const {
    const std::lock_guard lock(salts_->mutex);
    const auto [at, is_new] = salts_->known.try_emplace({domain, salt});
    at->second.asked = ++salts_->n_asked;
    if (!is_new) return at->second.id;
    at->second.id = kFirstSalted + salts_->n_given++ % (kFirstLoner - kFirstSalted);
    const std::uint32_t id = at->second.id;
    if (salts_->known.size() > kMostSalts) {
        const auto oldest = std::ranges::min_element(
            salts_->known, {}, [](const auto& entry) { return entry.second.asked; });
        salts_->known.erase(oldest);
    }
    return id;
}

std::vector<std::pair<std::uint32_t, std::string>> DomainTable::names() const {
    std::vector<std::pair<std::uint32_t, std::string>> names;
    for (std::size_t i = 0; i < domains_.size(); ++i)
        names.emplace_back(kFirstListed + static_cast<std::uint32_t>(i), domains_[i].name);
    return names;
}

std::map<std::uint32_t, std::string> DomainTable::disk_identities() const {
    std::map<std::uint32_t, std::string> identities;
    for (std::size_t i = 0; i < domains_.size(); ++i)
        identities[kFirstListed + static_cast<std::uint32_t>(i)] = domains_[i].identity;
    return identities;
}

}  // namespace kvasir
