#include "daemon/http/access.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/log.hpp"

namespace kvasir {

namespace {

constexpr std::size_t kMaxKeyFileBytes = 1 << 20;
constexpr std::string_view kScheme = "bearer ";

constexpr std::uint32_t kNobody = 65534;

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

/// Host without its port: `[::1]:80` and `localhost:80` lose the `:80`.
std::string_view host_name(std::string_view host) {
    if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
    return host.substr(0, host.find(':'));
}

bool is_local_name(std::string_view host) {
    const std::string name = lower(host_name(host));
    in_addr address{};
    if (::inet_pton(AF_INET, name.c_str(), &address) == 1)
        return (ntohl(address.s_addr) >> 24U) == 127;
    return name == "localhost" || name == "[::1]";
}

/// Takes as long for a wrong key as for a right one of its length.
bool equal_in_constant_time(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    unsigned difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
    return difference == 0;
}

/// Which of the keys the request presents.
std::optional<std::size_t> find_key(const HttpOptions& options, const HttpRequest& request) {
    std::string_view value = request.authorization;
    if (value.size() < kScheme.size() || lower(value.substr(0, kScheme.size())) != kScheme)
        return std::nullopt;
    value.remove_prefix(kScheme.size());
    std::optional<std::size_t> found;
    for (std::size_t i = 0; i < options.api_keys.size(); ++i)
        if (equal_in_constant_time(options.api_keys[i].key, value)) found = i;
    return found;
}

}  // namespace

std::optional<ApiError> check_access(const HttpOptions& options, const HttpRequest& request,
                                     bool is_health) {
    if (!request.over_tcp) return std::nullopt;
    if (!is_local_name(request.host)) {
        return ApiError{ErrorKind::misdirected,
                        fmt::format("Host: \"{}\", expected localhost, 127.0.0.1 or [::1]",
                                    request.host.substr(0, 128)),
                        {}};
    }
    if (is_health || find_key(options, request)) return std::nullopt;
    return ApiError{ErrorKind::invalid_api_key,
                    request.authorization.empty()
                        ? "Authorization: missing, expected Bearer with a key of this server"
                        : "Authorization: not a key of this server",
                    {}};
}

std::uint32_t isolation_domain(const HttpOptions& options, const HttpRequest& request) {
    if (!request.over_tcp) return options.domains.domain_of(request.peer);
    const std::size_t key = find_key(options, request).value_or(0);
    return options.api_keys[key].domain.value_or(kFirstKey + static_cast<std::uint32_t>(key));
}

bool is_administrator(const HttpOptions& options, const HttpRequest& request) {
    if (request.over_tcp || request.peer.uid == kNobody) return false;
    if (options.administrators.empty()) return request.peer.uid == ::geteuid();
    return std::ranges::find(options.administrators, request.peer.uid) !=
           options.administrators.end();
}

Caller caller_of(const HttpOptions& options, const HttpRequest& request) {
    return {.domain = isolation_domain(options, request),
            .is_administrator = is_administrator(options, request)};
}

Result<std::vector<ApiKey>> load_api_keys(const std::filesystem::path& path,
                                          const DomainTable& domains) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0)
        return Error{ErrorCode::io, fmt::format("{}: {}", path.string(), std::strerror(errno))};
    if ((info.st_mode & S_IROTH) != 0)
        log_warn("key file is readable by everybody", {{"file", path.string()}});
    if (static_cast<std::uintmax_t>(info.st_size) > kMaxKeyFileBytes) {
        return Error{ErrorCode::too_large,
                     fmt::format("{}: {} bytes, expected at most {}", path.string(), info.st_size,
                                 kMaxKeyFileBytes)};
    }
    std::ifstream file(path);
    if (!file) return Error{ErrorCode::io, fmt::format("{}: cannot be read", path.string())};
    std::vector<ApiKey> keys;
    std::string line;
    for (std::size_t n = 1; std::getline(file, line); ++n) {
        std::istringstream words(line);
        ApiKey key;
        std::string domain;
        if (!(words >> key.key) || key.key.starts_with('#')) continue;
        if (words >> domain && !domain.starts_with('#')) {
            key.domain = domains.find(domain);
            if (!key.domain) {
                return Error{ErrorCode::invalid_argument,
                             fmt::format("{}:{}: domain \"{}\", expected the name of a [[domain]]",
                                         path.string(), n, domain.substr(0, 64))};
            }
        }
        keys.push_back(std::move(key));
    }
    if (keys.empty()) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("{}: no key, expected lines of KEY [DOMAIN]", path.string())};
    }
    return keys;
}

}  // namespace kvasir
