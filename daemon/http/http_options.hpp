// What the HTTP server is told: where to listen, whom to trust, how much to take, how long to wait.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/http/domain_table.hpp"

namespace kvasir {

struct HttpLimits {
    std::size_t n_connections = 1024;
    std::size_t n_reserved_connections = 16;  // beyond those, for GET /health and /metrics alone
    std::size_t header_bytes = 16 << 10;
    std::size_t body_bytes = 8 << 20;          // of one request
    std::size_t all_body_bytes = 64 << 20;     // of all requests being received or parsed
    std::size_t json_depth = 64;               // nested arrays and objects
    std::size_t n_choices = 16;                // prompts x n of a request
    std::size_t n_inputs = 2048;               // to embed, of a request
    std::size_t n_inputs_at_once = 16;         // of these, with the engine
    std::size_t n_embedding_values = 1 << 20;  // of all vectors of an answer
    std::size_t n_stops = 16;                  // stop strings of a request
    std::size_t stop_bytes = 512;              // of one stop string
    std::size_t n_logit_biases = 1024;
    std::uint32_t n_top_logprobs = 20;
    std::size_t stream_queue_bytes = 256
                                     << 10;  // generated but not yet taken by the client's socket
};

struct HttpTimeouts {
    std::chrono::milliseconds header{
        10'000};  // from the first byte (or the accept) to the header's end
    std::chrono::milliseconds body{30'000};   // from there to the body's end
    std::chrono::milliseconds idle{60'000};   // between requests
    std::chrono::milliseconds write{30'000};  // without the client taking a byte
    std::chrono::milliseconds drain{10'000};  // for running requests once the server stops
    std::chrono::milliseconds linger{2'000};  // for a client to read an error while it still sends
    std::chrono::milliseconds keep_alive{15'000};  // between comments in a silent event stream
};

struct ApiKey {
    std::string key;
    std::optional<std::uint32_t> domain;  // of a [[domain]]; absent: the key is one of its own
};

struct HttpOptions {
    std::string socket_path;      // empty: no Unix socket
    unsigned socket_mode = 0660;  // of the socket's file
    std::string listen;  // empty: no TCP; else HOST:PORT or [HOST]:PORT, loopback; port 0: any
    std::vector<ApiKey>
        api_keys;  // TCP clients must present one; the Unix socket's mode guards that one
    DomainTable domains;
    std::vector<std::uint32_t>
        administrators;                  // uids on the Unix socket; empty: the daemon's own alone
    std::vector<int> inherited_sockets;  // listening, from systemd; owned from here on
    HttpLimits limits;
    HttpTimeouts timeouts;
    unsigned n_io_threads = 2;
    unsigned n_workers = 2;  // parse and tokenize
};

}  // namespace kvasir
