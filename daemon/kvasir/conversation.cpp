#include "daemon/kvasir/conversation.hpp"

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace kvasir::client {
namespace json = boost::json;

void Conversation::add_user(std::string text) {
    turns_.push_back({true, std::move(text)});
}

void Conversation::add_assistant(std::string text) {
    if (text.empty()) return drop_pending_user();
    turns_.push_back({false, std::move(text)});
}

void Conversation::drop_pending_user() {
    if (!turns_.empty() && turns_.back().is_user) turns_.pop_back();
}

std::string Conversation::messages() const {
    json::array messages;
    const auto add = [&messages](const char* role, const std::string& text) {
        messages.push_back(json::object{{"role", role}, {"content", text}});
    };
    if (!system_.empty()) add("system", system_);
    for (const Turn& turn : turns_) add(turn.is_user ? "user" : "assistant", turn.text);
    return json::serialize(messages);
}

Result<void> Conversation::save(const std::string& path) {
    const bool is_ours = path == saved_path_;
    const int fd =
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (is_ours ? O_TRUNC : O_EXCL), 0600);
    if (fd < 0 && errno == EEXIST) {
        return Error{ErrorCode::conflict, path + ": exists already, and is not overwritten"};
    }
    const auto failed = [&path] {
        return Error{ErrorCode::io, path + ": " + std::strerror(errno)};
    };
    if (fd < 0) return failed();
    saved_path_ = path;
    const std::string text = "{\"messages\":" + messages() + "}\n";
    std::string_view rest = text;
    while (!rest.empty()) {
        const ssize_t n = ::write(fd, rest.data(), rest.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            const Error error = failed();
            ::close(fd);
            return error;
        }
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    if (::close(fd) != 0) return failed();
    return {};
}

}  // namespace kvasir::client
