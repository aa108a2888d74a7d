// What no single key can tell: settings that contradict each other.
#include <charconv>
#include <fmt/format.h>
#include <sys/un.h>

#include "config/settings_keys.hpp"

namespace kvasir::settings_detail {

namespace {

constexpr std::size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

/// 127.0.0.0/8, [::1] or localhost, and a port. Anything wider would put the model on the network
/// with one shared key.
bool is_loopback_endpoint(std::string_view listen) {
    const auto colon = listen.rfind(':');
    if (colon == std::string_view::npos) return false;
    const std::string_view host = listen.substr(0, colon);
    const std::string_view port_text = listen.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(port_text.begin(), port_text.end(), port);
    if (error != std::errc{} || end != port_text.end()) return false;
    if (host == "localhost" || host == "[::1]") return true;
    if (!host.starts_with("127.")) return false;
    int n_parts = 0;
    for (const char* at = host.begin();; ++at) {
        std::uint8_t part = 0;
        const auto [stop, part_error] = std::from_chars(at, host.end(), part);
        if (part_error != std::errc{}) return false;
        ++n_parts;
        at = stop;
        if (at == host.end()) return n_parts == 4;
        if (*at != '.') return false;
    }
}

}  // namespace

Result<> check_consistency(const Settings& settings) {
    const auto invalid = [](std::string message) {
        return Error{ErrorCode::invalid_argument, std::move(message)};
    };
    const ServerSettings& server = settings.server;
    if (settings.model.empty()) {
        return invalid(
            "model: not set, expected a GGUF file (--model FILE, KVASIR_MODEL, or model = \"FILE\" "
            "in the configuration)");
    }
    if (server.socket.size() > kMaxSocketPath) {
        return invalid(fmt::format("server.socket: {} bytes, expected at most {}",
                                   server.socket.size(), kMaxSocketPath));
    }
    if (server.socket.empty() && server.listen.empty()) {
        return invalid("server.socket: empty, expected a path (or an address in server.listen)");
    }
    if (!server.listen.empty() && !is_loopback_endpoint(server.listen)) {
        return invalid("server.listen: found " + shown(server.listen) +
                       ", expected a loopback address and a port, e.g. 127.0.0.1:8080");
    }
    if (!server.listen.empty() && server.api_key_file.empty()) {
        return invalid(
            "server.api_key_file: not set, expected with server.listen, since TCP does not say who "
            "calls");
    }
    return check_domains(settings);
}

}  // namespace kvasir::settings_detail
