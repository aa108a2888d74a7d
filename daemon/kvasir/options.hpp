// The client's command line.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/base/error.hpp"
#include "daemon/kvasir/http_client.hpp"

namespace kvasir::client {

/// Absent ones are left to the server.
struct GenerationOptions {
    std::int64_t max_tokens = 200;
    std::optional<double> temperature;
    std::optional<double> top_p;
    std::optional<std::int64_t> top_k;
    std::optional<double> min_p;
    std::optional<double> repetition_penalty;
    std::optional<std::int64_t> seed;
    std::vector<std::string> stop;
    std::string model;
    std::string session;  // empty: none
    bool background = false;
};

enum class Command {
    run,
    chat,
    top,
    health,
    models,
    metrics,
    tokenize,
    ps,
    end,
    save,
    restore,
    prefix_list,
    prefix_add,
    prefix_rm,
    cache,
    completions,
};

struct Options {
    bool help = false;
    bool version = false;
    bool json = false;
    bool stats = false;
    bool quiet = false;  // lists: names alone
    bool echo = false;   // run: the prompt first
    Endpoint endpoint;
    Command command = Command::run;
    std::optional<std::string> text;  // of run, tokenize, prefix add; absent: standard input
    std::string name;                 // of a session, prefix or shell
    std::string system;               // chat
    GenerationOptions generation;
    std::chrono::milliseconds interval{1000};  // top
    std::optional<std::int64_t> count;         // top: how many looks
};

/// Arguments without the program's name; reads KVASIR_SOCKET, KVASIR_URL and KVASIR_API_KEY too.
/// Errors: invalid_argument, unsupported (https), io (the key file).
Result<Options> parse_options(std::span<const char* const> arguments);

}  // namespace kvasir::client
