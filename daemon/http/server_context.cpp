#include "daemon/http/server_context.hpp"

#include <fmt/format.h>
#include <random>

namespace kvasir {

void HttpCounters::count_response(const std::string& route, int status) {
    const std::lock_guard lock(mutex_);
    ++responses_[{route, status}];
}

std::map<std::pair<std::string, int>, std::uint64_t> HttpCounters::responses() const {
    const std::lock_guard lock(mutex_);
    return responses_;
}

std::string make_id(const char* prefix) {
    thread_local std::random_device entropy;
    const auto word = [] { return static_cast<std::uint64_t>(entropy()); };
    return fmt::format("{}{:08x}{:08x}{:08x}", prefix, word(), word(), word());
}

std::uint64_t unix_seconds() {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                          std::chrono::system_clock::now().time_since_epoch())
                                          .count());
}

}  // namespace kvasir
