// fish's completions: a line for each word, with the condition under which it fits.
#include <fmt/format.h>

#include "daemon/kvasir/completions.hpp"

namespace kvasir::client {
namespace {

constexpr std::string_view kFishHead =
    R"sh(# fish completion of kvasir, made by `kvasir completions fish`
complete -c kvasir -f

# The words of the line that are no options and no options' values.
function __kvasir_words
    set -l line (commandline -opc)
    set -e line[1]
    set -l skip 0
    for word in $line
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
)sh";

constexpr std::string_view kFishMiddle = R"sh(                set skip 1
            case '-*'
            case '*'
                printf '%s\n' $word
        end
    end
end

# Whether the line's command is one of those given, `prefix add` as one word.
function __kvasir_is
    set -l words (__kvasir_words)
    set -l command "$words[1]"
    if test "$command" = prefix; and set -q words[2]
        set command "prefix $words[2]"
    end
    contains -- "$command" $argv
end

function __kvasir_names
    set -l endpoint
    set -l line (commandline -opc)
    for i in (seq (count $line))
        switch $line[$i]
            case --socket --url --api-key-file
                set -q line[(math $i + 1)]; and set -a endpoint $line[$i] $line[(math $i + 1)]
            case '--socket=*' '--url=*' '--api-key-file=*'
                set -a endpoint $line[$i]
        end
    end
    timeout 1 kvasir $endpoint $argv --quiet 2>/dev/null
end

)sh";

std::string fish_option(const OptionEntry& option) {
    std::vector<std::string> commands;
    for (const CommandEntry& entry : command_entries())
        if (is_allowed(option, entry.command)) commands.push_back(quoted(entry.words, kFishQuote));
    std::string line = "complete -c kvasir";
    if (!is_global(option)) line += fmt::format(" -n \"__kvasir_is {}\"", joined(commands, " "));
    line += fmt::format(" -l {}", option.name);
    if (option.letter != 0) line += fmt::format(" -s {}", option.letter);
    if (is_file(option)) {
        line += " -r -F";
    } else if (option.value == "SESSION") {
        line += " -x -a '(__kvasir_names ps)'";
    } else if (option.name == "model") {
        line += " -x -a '(__kvasir_names models)'";
    } else if (!option.value.empty()) {
        line += " -x";
    }
    return line + fmt::format(" -d {}\n", quoted(option.help, kFishQuote));
}

}  // namespace

std::string fish_completions() {
    std::vector<std::string> with_value;
    for (const OptionEntry& option : option_entries()) {
        if (option.value.empty()) continue;
        with_value.push_back(fmt::format("--{}", option.name));
        if (option.letter != 0) with_value.push_back(fmt::format("-{}", option.letter));
    }
    std::string text(kFishHead);
    text += fmt::format("            case {}\n", joined(with_value, " "));
    text += kFishMiddle;
    for (const auto& [word, help] : first_words()) {
        text += fmt::format("complete -c kvasir -n \"__kvasir_is ''\" -a {} -d {}\n", word,
                            quoted(help, kFishQuote));
    }
    for (const CommandEntry& entry : command_entries()) {
        const std::string words = quoted(entry.words, kFishQuote);
        if (!second_word(entry).empty()) {
            text +=
                fmt::format("complete -c kvasir -n \"__kvasir_is {}\" -a {} -d {}\n",
                            first_word(entry), second_word(entry), quoted(entry.help, kFishQuote));
        }
        const char* names = entry.takes == Takes::session  ? "(__kvasir_names ps)"
                            : entry.takes == Takes::prefix ? "(__kvasir_names prefix list)"
                            : entry.takes == Takes::shell  ? "bash zsh fish"
                                                           : nullptr;
        if (names != nullptr)
            text += fmt::format("complete -c kvasir -n \"__kvasir_is {}\" -a '{}'\n", words, names);
    }
    for (const OptionEntry& option : option_entries()) text += fish_option(option);
    return text;
}

}  // namespace kvasir::client
