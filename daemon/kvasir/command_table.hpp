// The client's commands and options: the one table that parsing, --help and shell completions read.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "daemon/kvasir/options.hpp"

namespace kvasir::client {

/// What follows a command.
enum class Takes { nothing, text, session, prefix, new_prefix_and_text, shell };

struct CommandEntry {
    std::string_view words;  // one, or two: `prefix add`
    Command command;
    Takes takes;
    std::string_view usage;  // what --help shows after the words
    std::string_view help;
};

struct OptionEntry {
    std::string_view name;
    char letter;             // 0: none
    std::string_view value;  // what its value is called; FILE and PATH are files. Empty: a flag
    std::uint32_t commands;  // bits, see command_bit
    std::string_view help;
};

constexpr std::uint32_t command_bit(Command command) {
    return std::uint32_t{1} << static_cast<unsigned>(command);
}

std::span<const CommandEntry> command_entries();
std::span<const OptionEntry> option_entries();

/// Whether every command takes it.
bool is_global(const OptionEntry& option);
bool is_allowed(const OptionEntry& option, Command command);

std::string help_text();

}  // namespace kvasir::client
