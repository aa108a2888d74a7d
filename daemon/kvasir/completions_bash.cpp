// bash's completions: one function that looks at the words before the cursor.
#include <fmt/format.h>

#include "daemon/kvasir/completions.hpp"

namespace kvasir::client {
namespace {

constexpr std::string_view kBashHead =
    R"sh(# bash completion of kvasir, made by `kvasir completions bash`
# Names come from the server: they are compared and quoted, never evaluated.
_kvasir_names()
{
    local name word
    while IFS= read -r name; do
        printf -v word %q "$name"
        [[ $name == "$cur"* || $word == "$cur"* ]] && COMPREPLY+=("$word")
    done < <(timeout 1 kvasir "${endpoint[@]}" "$@" --quiet 2>/dev/null)
}

_kvasir()
{
    local cur=${COMP_WORDS[COMP_CWORD]} option= command= word i
    local -a endpoint=() words=()
    COMPREPLY=()
    # `--option=value` comes as three words.
    [[ $cur == = ]] && cur=
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        [[ $word == = ]] && continue
        if [[ -n $option ]]; then
            case $option in --socket|--url|--api-key-file) endpoint+=("$option" "$word") ;; esac
            option=
            continue
        fi
        case $word in
)sh";

constexpr std::string_view kBashMiddle =
    R"sh(            -*) ;;
            *) words+=("$word") ;;
        esac
    done
    command=${words[0]-}
    [[ $command == prefix && -n ${words[1]-} ]] && command="prefix ${words[1]}"
    case $option in
)sh";

// What completes in place of `-W WORDS`.
std::string offer(const std::string& words) {
    return fmt::format("COMPREPLY=($(compgen -W {} -- \"$cur\"))", quoted(words, kPosixQuote));
}

constexpr const char* kOfferFiles =
    "compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")";

/// Branches for the values of options; those that nobody can guess end it without a word.
std::string value_branches() {
    std::string text;
    for (const OptionEntry& option : option_entries()) {
        const bool is_model = option.name == "model";
        if (!is_file(option) && option.value != "SESSION" && !is_model) continue;
        const char* action = is_file(option) ? kOfferFiles
                             : is_model      ? "_kvasir_names models"
                                             : "_kvasir_names ps";
        text += fmt::format("        --{}) {}; return ;;\n", option.name, action);
    }
    return text + "        ?*) return ;;\n    esac\n";
}

std::string option_branches() {
    std::string text;
    const std::string global = joined(option_words(nullptr), " ");
    for (const CommandEntry& entry : command_entries()) {
        const std::string own = joined(option_words(&entry), " ");
        if (own == global) continue;
        text +=
            fmt::format("            {}) {} ;;\n", quoted(entry.words, kPosixQuote), offer(own));
    }
    return text + fmt::format("            *) {} ;;\n", offer(global));
}

std::string argument_branches() {
    std::vector<std::string> firsts;
    for (const auto& [word, help] : first_words()) firsts.emplace_back(word);
    std::string text = fmt::format("        '') {} ;;\n", offer(joined(firsts, " ")));
    std::vector<std::string> seconds;
    for (const CommandEntry& entry : command_entries()) {
        const bool has_second = !second_word(entry).empty();
        if (has_second) seconds.emplace_back(second_word(entry));
        std::string action;
        if (entry.takes == Takes::session) action = "_kvasir_names ps";
        if (entry.takes == Takes::prefix) action = "_kvasir_names prefix list";
        if (entry.takes == Takes::shell) action = offer("bash zsh fish");
        if (action.empty()) continue;
        text += fmt::format("        {}) [[ ${{#words[@]}} -eq {} ]] && {} ;;\n",
                            quoted(entry.words, kPosixQuote), has_second ? 2 : 1, action);
    }
    return text + fmt::format("        prefix) {} ;;\n", offer(joined(seconds, " ")));
}

}  // namespace

std::string bash_completions() {
    std::vector<std::string> with_value;
    for (const OptionEntry& option : option_entries()) {
        if (option.value.empty()) continue;
        with_value.push_back(fmt::format("--{}", option.name));
        if (option.letter != 0) with_value.push_back(fmt::format("-{}", option.letter));
    }
    std::string text(kBashHead);
    text += fmt::format("            {}) option=$word ;;\n", joined(with_value, "|"));
    text.append(kBashMiddle).append(value_branches());
    text += "    if [[ $cur == -* ]]; then\n        case $command in\n" + option_branches();
    text += "        esac\n        return\n    fi\n    case $command in\n" + argument_branches();
    return text + "    esac\n}\ncomplete -F _kvasir kvasir\n";
}

}  // namespace kvasir::client
