// What the three completion scripts share: words of the command table, quoted for a shell.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/kvasir/command_table.hpp"

namespace kvasir::client {

inline constexpr std::string_view kPosixQuote = R"('\'')";
inline constexpr std::string_view kFishQuote = R"(\')";

/// In single quotes; `quote` stands for one within. The texts are our own and hold no backslash.
std::string quoted(std::string_view text, std::string_view quote);
std::string joined(const std::vector<std::string>& words, std::string_view separator);

bool is_file(const OptionEntry& option);
std::string_view first_word(const CommandEntry& entry);
std::string_view second_word(const CommandEntry& entry);  // empty: none

/// Each first word once, and its help.
std::vector<std::pair<std::string_view, std::string_view>> first_words();
/// `--name` and `-n` of a command's options; of those that every command takes for nullptr.
std::vector<std::string> option_words(const CommandEntry* entry);

/// The script that completes command lines of kvasir. REQUIRES: bash, zsh or fish.
std::string completion_script(std::string_view shell);
std::string bash_completions();
std::string zsh_completions();
std::string fish_completions();

}  // namespace kvasir::client
