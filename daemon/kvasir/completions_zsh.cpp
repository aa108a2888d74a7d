// zsh's completions: _arguments, once for the command and once for what follows it.
#include <fmt/format.h>

#include "daemon/kvasir/completions.hpp"

namespace kvasir::client {
namespace {

/// In an argument of _arguments, brackets and colons have a meaning.
std::string zsh_escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '[' || c == ']' || c == ':') out += '\\';
        out += c;
    }
    return out;
}

std::string zsh_option(const OptionEntry& option) {
    std::string action;
    if (!option.value.empty()) {
        // An action that begins with a blank is called without arguments of _arguments' own.
        const char* complete = is_file(option)             ? "_files"
                               : option.value == "SESSION" ? " _kvasir_names ps"
                               : option.name == "model"    ? " _kvasir_names models"
                                                           : " ";
        action = fmt::format(":{}:{}", zsh_escaped(option.value), complete);
    }
    const std::string help = zsh_escaped(option.help);
    const char* equals = option.value.empty() ? "" : "=";
    const char* repeated = option.name == "stop" ? "*" : "";
    std::string line = quoted(
        fmt::format("{}--{}{}[{}]{}", repeated, option.name, equals, help, action), kPosixQuote);
    if (option.letter != 0) {
        line += " " + quoted(fmt::format("-{}{}[{}]{}", option.letter,
                                         option.value.empty() ? "" : "+", help, action),
                             kPosixQuote);
    }
    return line;
}

std::string zsh_options(const CommandEntry* entry) {
    std::string text;
    for (const OptionEntry& option : option_entries()) {
        if (entry == nullptr ? !is_global(option) : !is_allowed(option, entry->command)) continue;
        text += " \\\n                " + zsh_option(option);
    }
    return text;
}

constexpr std::string_view kZshHead = R"sh(#compdef kvasir
# zsh completion of kvasir, made by `kvasir completions zsh`
_kvasir_names() {
    local -a names endpoint
    local option
    for option in --socket --url --api-key-file; do
        [[ -n ${opt_args[$option]} ]] && endpoint+=($option "${(Q)opt_args[$option]}")
    done
    names=("${(@f)$(timeout 1 kvasir $endpoint "$@" --quiet 2>/dev/null)}")
    [[ -n $names[1] ]] && compadd -a names
}

_kvasir() {
    local context state line
    typeset -A opt_args
    local -a commands=(
)sh";

}  // namespace

std::string zsh_completions() {
    std::string text(kZshHead);
    for (const auto& [word, help] : first_words())
        text += fmt::format("        {}\n",
                            quoted(fmt::format("{}:{}", word, zsh_escaped(help)), kPosixQuote));
    text += "    )\n    local -a prefix_commands=(\n";
    for (const CommandEntry& entry : command_entries()) {
        if (second_word(entry).empty()) continue;
        text += fmt::format(
            "        {}\n",
            quoted(fmt::format("{}:{}", second_word(entry), zsh_escaped(entry.help)), kPosixQuote));
    }
    text += "    )\n    _arguments -C" + zsh_options(nullptr) +
            " \\\n                '1:command:->command' '*::argument:->argument'\n";
    text +=
        "    case $state in\n"
        "        command) _describe command commands; return ;;\n"
        "        argument) ;;\n"
        "        *) return ;;\n"
        "    esac\n"
        "    local name=$words[1] skip=\n"
        "    if [[ $name == prefix ]]; then\n"
        "        if (( CURRENT == 2 )); then _describe command prefix_commands; return; fi\n"
        "        name=\"prefix $words[2]\"\n"
        "        skip='1: :'\n"
        "    fi\n"
        "    case $name in\n";
    for (const CommandEntry& entry : command_entries()) {
        const char* place = second_word(entry).empty() ? "1" : "2";
        std::string argument;
        if (entry.takes == Takes::session)
            argument = fmt::format("'{}:session: _kvasir_names ps'", place);
        if (entry.takes == Takes::prefix)
            argument = fmt::format("'{}:prefix: _kvasir_names prefix list'", place);
        if (entry.takes == Takes::shell)
            argument = fmt::format("'{}:shell:(bash zsh fish)'", place);
        text += fmt::format("        {}) _arguments $skip{} {} ;;\n",
                            quoted(entry.words, kPosixQuote), zsh_options(&entry), argument);
    }
    return text + "    esac\n}\n_kvasir \"$@\"\n";
}

}  // namespace kvasir::client
