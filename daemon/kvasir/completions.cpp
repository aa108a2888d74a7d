// kvasir completions bash|zsh|fish: scripts made from the command table. Names of sessions and
// prefixes come from the server as they are typed; no shell evaluates them.
#include "daemon/kvasir/completions.hpp"

#include <fmt/format.h>

#include "daemon/kvasir/commands.hpp"

namespace kvasir::client {

std::string quoted(std::string_view text, std::string_view quote) {
    std::string out = "'";
    for (const char c : text) c == '\'' ? out.append(quote) : out.append(1, c);
    return out + "'";
}

bool is_file(const OptionEntry& option) {
    return option.value == "FILE" || option.value == "PATH";
}

std::string_view first_word(const CommandEntry& entry) {
    return entry.words.substr(0, entry.words.find(' '));
}

std::string_view second_word(const CommandEntry& entry) {
    const std::size_t space = entry.words.find(' ');
    return space == std::string_view::npos ? "" : entry.words.substr(space + 1);
}

std::vector<std::pair<std::string_view, std::string_view>> first_words() {
    std::vector<std::pair<std::string_view, std::string_view>> list;
    for (const CommandEntry& entry : command_entries()) {
        const bool is_group = !second_word(entry).empty();
        if (!list.empty() && list.back().first == first_word(entry)) continue;
        list.emplace_back(first_word(entry),
                          is_group ? "prefixes that prompts can begin on" : entry.help);
    }
    return list;
}

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
    return fmt::format("{}", fmt::join(words, separator));
}

std::vector<std::string> option_words(const CommandEntry* entry) {
    std::vector<std::string> words;
    for (const OptionEntry& option : option_entries()) {
        if (entry == nullptr ? !is_global(option) : !is_allowed(option, entry->command)) continue;
        words.push_back(fmt::format("--{}", option.name));
        if (option.letter != 0) words.push_back(fmt::format("-{}", option.letter));
    }
    return words;
}

std::string completion_script(std::string_view shell) {
    if (shell == "bash") return bash_completions();
    return shell == "zsh" ? zsh_completions() : fish_completions();
}

ExitCode print_completions(Context& context) {
    (void)context.out.write(completion_script(context.options.name));
    return output_status(context);
}

}  // namespace kvasir::client
