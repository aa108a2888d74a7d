// kvasir-eval: measures the engine without a socket. Its interface is fixed: scripts outside the
// repository call it. Exit status: 0 done, 1 failed, 2 wrong usage.
#include <array>
#include <cstdio>
#include <exception>
#include <fmt/format.h>

#include "daemon/kvasir_eval/commands.hpp"

namespace {

struct Command {
    std::string_view name;
    kvasir::Result<> (*run)(const kvasir::eval::Arguments&);
    std::string_view what;
};

constexpr std::array kCommands = {
    Command{"logits", kvasir::eval::run_logits, "logits at listed positions of a token sequence"},
    Command{"generate", kvasir::eval::run_generate, "greedy continuation of a token sequence"},
    Command{"perplexity", kvasir::eval::run_perplexity,
            "perplexity of a text, and KL divergence from another KV format"},
    Command{"tokenize", kvasir::eval::run_tokenize, "texts to token ids"},
    Command{"render", kvasir::eval::run_render, "a conversation through a chat template"},
    Command{"bench", kvasir::eval::run_bench, "prefill and decode speed"},
    Command{"cache-sim", kvasir::eval::run_cache_sim,
            "what a retention policy finds of a trace of requests"},
};

int usage() {
    fmt::print(stderr, "usage: kvasir-eval COMMAND OPTIONS\n\n");
    for (const Command& command : kCommands)
        fmt::print(stderr, "  {:<12} {}\n", command.name, command.what);
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return usage();
    for (const Command& command : kCommands) {
        if (command.name != argv[1]) continue;
        try {
            const auto done = command.run({argv + 2, argv + argc});
            if (!done.has_error()) return 0;
            fmt::print(stderr, "kvasir-eval {}: {}\n", command.name, done.error().message);
            return done.error().code == kvasir::ErrorCode::invalid_argument ? 2 : 1;
        } catch (const std::exception& e) {
            fmt::print(stderr, "kvasir-eval {}: {}\n", command.name, e.what());
            return 1;
        }
    }
    return usage();
}
