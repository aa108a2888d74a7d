// DomainTable: which isolation domain a caller belongs to, by the credentials its socket gives.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/base/error.hpp"
#include "config/settings.hpp"

namespace kvasir {

/// Numbers of domains, as the cache knows them:
///   0 to 2^31 - 1      a user that no [[domain]] lists, by its uid
///   kFirstKey          keys of the TCP door, in the order of their file
///   kFirstListed       [[domain]] tables, in the order of the file
///   kFirstSalted       what a request's cache_salt makes of one of these
///   kFirstLoner        callers that share with nobody, each request for itself
inline constexpr std::uint32_t kFirstKey = 0x80000000U;
inline constexpr std::uint32_t kFirstListed = 0xa0000000U;
inline constexpr std::uint32_t kFirstSalted = 0xb0000000U;
inline constexpr std::uint32_t kFirstLoner =
    0xc0000000U;  // the last number is the common prefixes'

/// A process on the other end of the Unix socket, as it was when it connected.
struct Peer {
    std::uint32_t uid = 65534;
    std::vector<std::uint32_t> groups;  // its own and the supplementary ones
};

/// Copies share the salts that were seen. Any thread.
class DomainTable {
public:
    DomainTable() = default;
    /// Looks users and groups up. Errors: invalid_argument (unknown, or no number of one), naming
    /// domain and member.
    static Result<DomainTable> resolve(std::span<const DomainSettings> domains);

    bool needs_groups() const;
    /// The domain of a caller on the Unix socket; another one at each call for the user nobody.
    std::uint32_t domain_of(const Peer& peer) const;
    std::optional<std::uint32_t> find(const std::string& name) const;
    /// The part of a domain whose requests have this salt. Among the last 4096 pairs asked for it
    /// is the same number each time; one that is forgotten gets a new one, which shares nothing.
    std::uint32_t salted(std::uint32_t domain, const std::string& salt) const;

    /// Domain and name, of the listed ones.
    std::vector<std::pair<std::uint32_t, std::string>> names() const;
    /// What a domain is called on disk: its name and members, with the names they have now, so that
    /// who gets a number or a name later does not inherit. The listed ones alone.
    std::map<std::uint32_t, std::string> disk_identities() const;

private:
    struct Domain {
        std::string name;
        std::vector<std::uint32_t> uids;
        std::vector<std::uint32_t> gids;
        std::string identity;
    };
    struct Salts {
        std::mutex mutex;
        std::uint32_t n_given = 0;
        std::uint64_t n_asked = 0;
        struct Entry {
            std::uint32_t id = 0;
            std::uint64_t asked = 0;  // in the order of asking
        };
        std::map<std::pair<std::uint32_t, std::string>, Entry> known;
    };
    std::vector<Domain> domains_;
    std::shared_ptr<Salts> salts_ = std::make_shared<Salts>();
};

}  // namespace kvasir
