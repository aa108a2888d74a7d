// HttpServer: the daemon's face. HTTP/1.1 on a Unix socket and, where asked for, on loopback TCP.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "config/base/error.hpp"
#include "daemon/engine/generation.hpp"
#include "daemon/http/http_options.hpp"
#include "daemon/http/item_memory.hpp"

namespace kvasir {

class HttpServer {
public:
    /// Listens at once, whatever state the engine is in: until it is ready, requests get 503 with
    /// its progress. items: told by whoever ends sessions and contexts. Errors: conflict (a daemon
    /// answers on the socket; the port is taken), invalid_argument (path too long, address not
    /// loopback, TCP without a key), io.
    static Result<std::unique_ptr<HttpServer>> start(
        HttpOptions options, std::shared_ptr<GenerationEngine> engine,
        std::shared_ptr<ItemMemory> items = std::make_shared<ItemMemory>());
    /// Closes everything at once and cancels what runs.
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// Takes no new connections or requests, removes the socket's file, lets running requests
    /// finish until the drain timeout, then ends them with an error. Returns at once; any thread.
    void begin_stop();
    /// Cuts the drain short.
    void stop_now();
    /// True once the last connection is closed. REQUIRES: begin_stop was called, else it waits for
    /// nothing.
    bool wait_stopped(std::chrono::milliseconds timeout);

    std::uint16_t tcp_port() const;  // 0 without TCP
    std::size_t n_connections() const;

private:
    struct Impl;
    explicit HttpServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace kvasir
