// What every connection and handler of one server shares.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "daemon/engine/generation.hpp"
#include "daemon/http/http_options.hpp"
#include "daemon/http/item_memory.hpp"

namespace kvasir {

/// Counts for /metrics. Any thread.
class HttpCounters {
public:
    void count_response(const std::string& route, int status);
    std::map<std::pair<std::string, int>, std::uint64_t> responses() const;

    std::atomic<std::uint64_t> n_connections{0};  // open now
    std::atomic<std::uint64_t> n_accepted{0};
    std::atomic<std::uint64_t> n_refused{0};        // over the connection limit
    std::atomic<std::uint64_t> n_timed_out{0};      // half a request, or none
    std::atomic<std::uint64_t> n_clients_gone{0};   // left before their answer was complete
    std::atomic<std::uint64_t> n_slow_clients{0};   // stopped reading
    std::atomic<std::uint64_t> body_bytes_held{0};  // bodies in memory now

private:
    mutable std::mutex mutex_;
    std::map<std::pair<std::string, int>, std::uint64_t> responses_;
};

struct ServerContext {
    HttpOptions options;
    std::shared_ptr<GenerationEngine> engine;
    HttpCounters counters;
    std::shared_ptr<ItemMemory> items;
    std::atomic<bool> stopping{false};
    /// Runs work on a worker thread, in order of arrival. May throw std::bad_alloc.
    std::function<void(std::function<void()>)> run_on_worker;
};

/// A fresh id, e.g. "req_9f86d081884c7d65"; unique in this process, not guessable from others.
std::string make_id(const char* prefix);

/// Seconds since 1970, for `created`.
std::uint64_t unix_seconds();

}  // namespace kvasir
