#include "daemon/kvasir/options.hpp"

#include <algorithm>
#include <boost/program_options.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>

#include "daemon/kvasir/command_table.hpp"

namespace kvasir::client {
namespace po = boost::program_options;
namespace {

constexpr std::string_view kDefaultSocket = "/run/kvasir/kvasir.sock";

Error usage(const std::string& message) {
    return {ErrorCode::invalid_argument, message + " (see `kvasir --help`)"};
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

po::options_description all_options() {
    po::options_description all;
    for (const OptionEntry& entry : option_entries()) {
        std::string name(entry.name);
        if (entry.letter != 0) name.append(",").append(1, entry.letter);
        if (entry.value.empty()) {
            all.add_options()(name.c_str(), "");
        } else if (entry.name == "stop") {
            all.add_options()(name.c_str(), po::value<std::vector<std::string>>(), "");
        } else {
            all.add_options()(name.c_str(), po::value<std::string>(), "");
        }
    }
    all.add_options()("words", po::value<std::vector<std::string>>());
    return all;
}

/// A whole decimal number: no unit, no sign where min is 0, no wrap-around.
Result<std::int64_t> parse_integer(const std::string& name, const std::string& text,
                                   std::int64_t min, std::int64_t max) {
    std::int64_t value = 0;
    std::istringstream in(text);
    in >> std::noskipws >> value;
    if (in.fail() || !in.eof() || value < min || value > max) {
        return usage("--" + name + ": found `" + text + "`, expected a whole number from " +
                     std::to_string(min) + " to " + std::to_string(max));
    }
    return value;
}

Result<double> parse_number(const std::string& name, const std::string& text) {
    double value = 0;
    std::istringstream in(text);
    in.imbue(std::locale::classic());
    in >> std::noskipws >> value;
    if (in.fail() || !in.eof() || !std::isfinite(value)) {
        return usage("--" + name + ": found `" + text + "`, expected a number");
    }
    return value;
}

Result<void> read_number(const po::variables_map& values, const char* name,
                         std::optional<double>& out) {
    if (values.count(name) == 0) return {};
    KVASIR_TRY(out, parse_number(name, values[name].as<std::string>()));
    return {};
}

Result<void> read_integer(const po::variables_map& values, const char* name, std::int64_t min,
                          std::optional<std::int64_t>& out) {
    if (values.count(name) == 0) return {};
    KVASIR_TRY(out, parse_integer(name, values[name].as<std::string>(), min,
                                  std::numeric_limits<std::int64_t>::max()));
    return {};
}

Result<void> read_generation(const po::variables_map& values, Options& options) {
    GenerationOptions& generation = options.generation;
    std::optional<std::int64_t> max_tokens = options.command == Command::chat ? 1024 : 200;
    KVASIR_TRY_VOID(read_integer(values, "max-tokens", 1, max_tokens));
    generation.max_tokens = *max_tokens;
    KVASIR_TRY_VOID(read_number(values, "temperature", generation.temperature));
    KVASIR_TRY_VOID(read_number(values, "top-p", generation.top_p));
    KVASIR_TRY_VOID(read_integer(values, "top-k", 0, generation.top_k));
    KVASIR_TRY_VOID(read_number(values, "min-p", generation.min_p));
    KVASIR_TRY_VOID(read_number(values, "repetition-penalty", generation.repetition_penalty));
    KVASIR_TRY_VOID(
        read_integer(values, "seed", std::numeric_limits<std::int64_t>::min(), generation.seed));
    if (values.count("stop") != 0) generation.stop = values["stop"].as<std::vector<std::string>>();
    if (values.count("model") != 0) generation.model = values["model"].as<std::string>();
    if (values.count("session") != 0) generation.session = values["session"].as<std::string>();
    if (values.count("system") != 0) options.system = values["system"].as<std::string>();
    generation.background = values.count("background") != 0;
    options.stats = values.count("stats") != 0;
    options.echo = values.count("echo") != 0;
    options.quiet = values.count("quiet") != 0;
    return {};
}

Result<void> read_top(const po::variables_map& values, Options& options) {
    constexpr double kShortest = 0.05;
    constexpr double kLongest = 86'400;
    std::optional<double> seconds;
    KVASIR_TRY_VOID(read_number(values, "interval", seconds));
    if (seconds && (*seconds < kShortest || *seconds > kLongest))
        return usage("--interval: expected 0.05 to 86400 seconds");
    if (seconds) options.interval = std::chrono::milliseconds(std::llround(*seconds * 1000));
    return read_integer(values, "count", 1, options.count);
}

/// The first word of the file. Errors: io.
Result<std::string> read_api_key(const std::string& path) {
    std::ifstream in(path);
    std::string key;
    if (!(in >> key)) {
        return Error{ErrorCode::io, "--api-key-file " + path + ": no key could be read from it"};
    }
    return key;
}

/// The command line goes before the environment, the socket before TCP.
Result<Endpoint> read_endpoint(const po::variables_map& values) {
    const bool has_socket = values.count("socket") != 0;
    const bool has_url = values.count("url") != 0;
    if (has_socket && has_url) return usage("--socket and --url: expected one of them");
    std::string url = has_url ? values["url"].as<std::string>() : "";
    std::string socket =
        has_socket ? values["socket"].as<std::string>() : environment("KVASIR_SOCKET");
    if (!has_url && socket.empty()) url = environment("KVASIR_URL");
    if (socket.empty()) socket = kDefaultSocket;
    Endpoint endpoint{socket, {}, {}, {}};
    if (!url.empty()) {
        KVASIR_TRY(endpoint, parse_url(url));
    }
    endpoint.api_key = environment("KVASIR_API_KEY");
    if (values.count("api-key-file") != 0) {
        KVASIR_TRY(endpoint.api_key, read_api_key(values["api-key-file"].as<std::string>()));
    }
    const auto is_header_text = [](char c) { return c > ' ' && c < 0x7F; };
    if (!std::all_of(endpoint.api_key.begin(), endpoint.api_key.end(), is_header_text)) {
        return usage("the API key: expected printable ASCII without spaces");
    }
    return endpoint;
}

Result<void> check_allowed(const po::variables_map& values, Command command,
                           std::string_view name) {
    for (const OptionEntry& entry : option_entries()) {
        const std::string option(entry.name);
        if (values.count(option) != 0 && !is_allowed(entry, command))
            return usage("--" + option + ": not an option of `" + std::string(name) + "`");
    }
    return {};
}

std::string first_words() {
    std::string list;
    std::string last;
    for (const CommandEntry& entry : command_entries()) {
        const std::string word(entry.words.substr(0, entry.words.find(' ')));
        if (word != last) list += (list.empty() ? "" : ", ") + word;
        last = word;
    }
    return list;
}

/// What follows the command's words.
Result<void> read_arguments(std::span<const std::string> rest, const CommandEntry& entry,
                            Options& options) {
    const std::string name(entry.words);
    const bool takes_text = entry.takes == Takes::text || entry.takes == Takes::new_prefix_and_text;
    const bool takes_name = entry.takes != Takes::text && entry.takes != Takes::nothing;
    const std::string what = entry.takes == Takes::shell ? "bash, zsh or fish" : "the name";
    if (takes_name) {
        if (rest.empty() || rest.front().empty())
            return usage(name + ": expected one argument, " + what);
        options.name = rest.front();
        rest = rest.subspan(1);
    }
    const bool is_shell = options.name == "bash" || options.name == "zsh" || options.name == "fish";
    if (entry.takes == Takes::shell && !is_shell)
        return usage(name + ": found `" + options.name + "`, expected " + what);
    if (takes_text && !rest.empty()) {
        if (rest.front() != "-") options.text = rest.front();
        rest = rest.subspan(1);
    }
    if (rest.empty()) return {};
    return usage(name + ": found `" + rest.front() + "`, expected " +
                 (takes_text   ? "one text; put it in quotes"
                  : takes_name ? "one argument, " + what
                               : "no argument"));
}

/// words: the command and what follows it.
Result<void> read_words(std::vector<std::string> words, Options& options, std::string& name) {
    if (words.empty()) return usage("a command is missing: " + first_words());
    name = words.front();
    if (name == "prefix" && words.size() > 1) {
        name += " " + words[1];
        words.erase(words.begin());
    }
    if (name == "prefix") return usage("prefix: expected list, add or rm after it");
    const auto entries = command_entries();
    const auto found = std::find_if(entries.begin(), entries.end(),
                                    [&name](const CommandEntry& c) { return c.words == name; });
    if (found == entries.end()) return usage("`" + name + "` is no command");
    options.command = found->command;
    return read_arguments(std::span(words).subspan(1), *found, options);
}

Result<po::variables_map> parse_values(std::span<const char* const> arguments) {
    const po::options_description all = all_options();
    po::positional_options_description positional;
    positional.add("words", -1);
    const std::vector<std::string> texts(arguments.begin(), arguments.end());
    const auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::variables_map values;
    try {
        po::store(
            po::command_line_parser(texts).options(all).positional(positional).style(style).run(),
            values);
    } catch (const po::error& e) {
        return usage(e.what());
    }
    return values;
}

}  // namespace

Result<Options> parse_options(std::span<const char* const> arguments) {
    KVASIR_TRY(const po::variables_map values, parse_values(arguments));
    Options options;
    options.help = values.count("help") != 0;
    options.version = values.count("version") != 0;
    if (options.help || options.version) return options;
    options.json = values.count("json") != 0;
    std::string name;
    const auto words = values.count("words") == 0 ? std::vector<std::string>{}
                                                  : values["words"].as<std::vector<std::string>>();
    KVASIR_TRY_VOID(read_words(words, options, name));
    KVASIR_TRY_VOID(check_allowed(values, options.command, name));
    KVASIR_TRY_VOID(read_generation(values, options));
    KVASIR_TRY_VOID(read_top(values, options));
    KVASIR_TRY(options.endpoint, read_endpoint(values));
    return options;
}

}  // namespace kvasir::client
