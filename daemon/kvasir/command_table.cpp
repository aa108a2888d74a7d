#include "daemon/kvasir/command_table.hpp"

#include <array>
#include <fmt/format.h>

namespace kvasir::client {
namespace {

constexpr std::array kCommands = {
    CommandEntry{"run", Command::run, Takes::text, "[TEXT]",
                 "complete TEXT, or standard input without it (or with -)"},
    CommandEntry{"chat", Command::chat, Takes::nothing, "",
                 "talk with the model; /help lists what can be typed"},
    CommandEntry{"top", Command::top, Takes::nothing, "",
                 "watch the server: tokens/s, queue, pages, hits, sessions"},
    CommandEntry{"ps", Command::ps, Takes::nothing, "", "list your sessions and what they keep"},
    CommandEntry{"end", Command::end, Takes::session, "SESSION",
                 "end a session: its pages are free at once"},
    CommandEntry{"save", Command::save, Takes::session, "SESSION", "keep a session on disk"},
    CommandEntry{"restore", Command::restore, Takes::session, "SESSION",
                 "bring a saved session back"},
    CommandEntry{"prefix list", Command::prefix_list, Takes::nothing, "",
                 "list the prefixes that your prompts can begin on"},
    CommandEntry{"prefix add", Command::prefix_add, Takes::new_prefix_and_text, "NAME [TEXT]",
                 "compute TEXT, or standard input, ahead"},
    CommandEntry{"prefix rm", Command::prefix_rm, Takes::prefix, "NAME", "drop a prefix"},
    CommandEntry{"cache", Command::cache, Takes::nothing, "", "print what the cache holds"},
    CommandEntry{"tokenize", Command::tokenize, Takes::text, "[TEXT]",
                 "print the token ids of TEXT"},
    CommandEntry{"health", Command::health, Takes::nothing, "", "print the server's state"},
    CommandEntry{"models", Command::models, Takes::nothing, "", "list the models"},
    CommandEntry{"metrics", Command::metrics, Takes::nothing, "", "print the server's counters"},
    CommandEntry{"completions", Command::completions, Takes::shell, "SHELL",
                 "print the completions for bash, zsh or fish"},
};

constexpr std::uint32_t kAll = 0xffffffff;
constexpr std::uint32_t kRun = command_bit(Command::run);
constexpr std::uint32_t kChat = command_bit(Command::chat);
constexpr std::uint32_t kTop = command_bit(Command::top);
constexpr std::uint32_t kLists =
    command_bit(Command::ps) | command_bit(Command::prefix_list) | command_bit(Command::models);

constexpr std::array kOptions = {
    OptionEntry{"socket", 0, "PATH", kAll,
                "kvasird's socket (KVASIR_SOCKET; /run/kvasir/kvasir.sock)"},
    OptionEntry{"url", 0, "HOST:PORT", kAll, "TCP instead of the socket (KVASIR_URL)"},
    OptionEntry{"api-key-file", 0, "FILE", kAll,
                "its first word is the key for TCP (or KVASIR_API_KEY)"},
    OptionEntry{"json", 0, "", kAll, "print JSON instead of text"},
    OptionEntry{"version", 0, "", kAll, "print the version"},
    OptionEntry{"help", 'h', "", kAll, "print this"},
    OptionEntry{"max-tokens", 'n', "N", kRun | kChat, "at most so many tokens (200; chat: 1024)"},
    OptionEntry{"temperature", 0, "X", kRun | kChat, "0: always the likeliest token"},
    OptionEntry{"top-p", 0, "X", kRun | kChat, "draw from this share of the probability"},
    OptionEntry{"top-k", 0, "N", kRun | kChat, "draw from the N likeliest"},
    OptionEntry{"min-p", 0, "X", kRun | kChat,
                "drop what is less likely than X times the likeliest"},
    OptionEntry{"repetition-penalty", 0, "X", kRun | kChat, "1: none"},
    OptionEntry{"seed", 0, "N", kRun | kChat, "the same seed gives the same text"},
    OptionEntry{"stop", 0, "TEXT", kRun | kChat, "end before this text; may be repeated"},
    OptionEntry{"model", 0, "NAME", kRun | kChat, "where the server has several"},
    OptionEntry{"session", 0, "SESSION", kRun | kChat, "keep the pages under this name"},
    OptionEntry{"stats", 0, "", kRun | kChat, "print a line of figures to stderr after each reply"},
    OptionEntry{"echo", 0, "", kRun, "print the prompt before its completion"},
    OptionEntry{"background", 0, "", kRun, "take what other requests leave"},
    OptionEntry{"system", 0, "TEXT", kChat, "the system message"},
    OptionEntry{"interval", 'i', "SECONDS", kTop, "between two looks (1)"},
    OptionEntry{"count", 'c', "N", kTop, "leave after N looks (without a terminal: 1)"},
    OptionEntry{"quiet", 'q', "", kLists, "print the names alone"},
};

}  // namespace

std::span<const CommandEntry> command_entries() {
    return kCommands;
}

std::span<const OptionEntry> option_entries() {
    return kOptions;
}

bool is_global(const OptionEntry& option) {
    return option.commands == kAll;
}

bool is_allowed(const OptionEntry& option, Command command) {
    return (option.commands & command_bit(command)) != 0;
}

namespace {

std::string command_lines() {
    std::string text;
    for (const CommandEntry& entry : kCommands) {
        const std::string words =
            fmt::format("{}{}{}", entry.words, entry.usage.empty() ? "" : " ", entry.usage);
        text += fmt::format("  {:<23} {}\n", words, entry.help);
    }
    return text;
}

/// The options that belong to exactly those commands.
std::string option_lines(std::uint32_t commands) {
    std::string text;
    for (const OptionEntry& entry : kOptions) {
        if (entry.commands != commands) continue;
        const std::string letter = entry.letter == 0 ? "" : fmt::format("-{}, ", entry.letter);
        const std::string name = fmt::format("{}--{}{}{}", letter, entry.name,
                                             entry.value.empty() ? "" : " ", entry.value);
        text += fmt::format("  {:<23} {}\n", name, entry.help);
    }
    return text;
}

}  // namespace

std::string help_text() {
    std::string text = "Usage: kvasir [OPTIONS] COMMAND\n\nCommands:\n" + command_lines();
    text += "\nOptions:\n" + option_lines(kAll);
    text += "\nOptions of run and chat:\n" + option_lines(kRun | kChat);
    text += "\nOptions of run:\n" + option_lines(kRun);
    text += "\nOptions of chat:\n" + option_lines(kChat);
    text += "\nOptions of top:\n" + option_lines(kTop);
    text += "\nOptions of ps, prefix list and models:\n" + option_lines(kLists);
    text +=
        "\nColours are for terminals, and not where NO_COLOR is set. What is typed in a chat is\n"
        "remembered in $XDG_STATE_HOME/kvasir/history, or where KVASIR_HISTORY says; nowhere\n"
        "when that is empty.\n"
        "\nExit status: 0 done, 1 the server or the output failed, 2 wrong usage, 3 cannot "
        "connect,\n130 cancelled with Ctrl-C.\n";
    return text;
}

}  // namespace kvasir::client
