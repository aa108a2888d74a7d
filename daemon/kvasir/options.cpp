#include "daemon/kvasir/options.hpp"

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>

namespace kvasir::client {
namespace po = boost::program_options;
namespace {

constexpr std::string_view kDefaultSocket = "/run/kvasir/kvasir.sock";

/// What follows a command.
enum class Takes { nothing, text, name, name_and_text };

struct CommandName {
    std::string_view words;
    Command command;
    Takes takes = Takes::nothing;
};

constexpr std::array kCommands = {
    CommandName{"run", Command::run, Takes::text},
    CommandName{"chat", Command::chat},
    CommandName{"health", Command::health},
    CommandName{"models", Command::models},
    CommandName{"metrics", Command::metrics},
    CommandName{"tokenize", Command::tokenize, Takes::text},
    CommandName{"ps", Command::ps},
    CommandName{"end", Command::end, Takes::name},
    CommandName{"save", Command::save, Takes::name},
    CommandName{"restore", Command::restore, Takes::name},
    CommandName{"prefix list", Command::prefix_list},
    CommandName{"prefix add", Command::prefix_add, Takes::name_and_text},
    CommandName{"prefix rm", Command::prefix_rm, Takes::name},
    CommandName{"cache", Command::cache},
};

constexpr std::array<std::string_view, 6> kGlobalOptions = {"help", "version",      "json",
                                                            "url",  "api-key-file", "socket"};

Error usage(const std::string& message) {
    return {ErrorCode::invalid_argument, message + " (see `kvasir --help`)"};
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

po::options_description global_description() {
    po::options_description description("Options");
    description.add_options()("socket", po::value<std::string>()->value_name("PATH"),
                              "kvasird's socket (KVASIR_SOCKET; /run/kvasir/kvasir.sock)")(
        "url", po::value<std::string>()->value_name("HOST:PORT"),
        "TCP instead of the socket (KVASIR_URL)")(
        "api-key-file", po::value<std::string>()->value_name("FILE"),
        "its first word is the key for TCP (or KVASIR_API_KEY)")(
        "json", "print the server's JSON instead of text")("version", "print the version")(
        "help,h", "print this");
    return description;
}

po::options_description generation_description() {
    po::options_description description("Options of run and chat");
    description.add_options()("max-tokens,n", po::value<std::string>()->value_name("N"),
                              "at most so many tokens (200; chat: 1024)")(
        "temperature", po::value<std::string>()->value_name("X"), "0: always the likeliest token")(
        "top-p", po::value<std::string>()->value_name("X"),
        "draw from this share of the probability")(
        "top-k", po::value<std::string>()->value_name("N"), "draw from the N likeliest")(
        "min-p", po::value<std::string>()->value_name("X"),
        "drop what is less likely than X times the likeliest")(
        "repetition-penalty", po::value<std::string>()->value_name("X"), "1: none")(
        "seed", po::value<std::string>()->value_name("N"), "the same seed gives the same text")(
        "stop", po::value<std::vector<std::string>>()->value_name("TEXT"),
        "end before this text; may be repeated")(
        "model", po::value<std::string>()->value_name("NAME"), "where the server has several")(
        "stats", "print a line of figures to stderr after each reply")(
        "echo", "run: print the prompt before its completion")(
        "system", po::value<std::string>()->value_name("TEXT"), "chat: the system message");
    return description;
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
    if (values.count("system") != 0) options.system = values["system"].as<std::string>();
    options.stats = values.count("stats") != 0;
    options.echo = values.count("echo") != 0;
    return {};
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
    for (const auto& [option, value] : values) {
        const bool is_global =
            std::find(kGlobalOptions.begin(), kGlobalOptions.end(), option) != kGlobalOptions.end();
        const bool generates = command == Command::run || command == Command::chat;
        const bool allowed = is_global || option == "words" ||
                             (option == "system" && command == Command::chat) ||
                             (option == "echo" && command == Command::run) ||
                             (generates && option != "system" && option != "echo");
        if (!allowed)
            return usage("--" + option + ": not an option of `" + std::string(name) + "`");
    }
    return {};
}

/// words: the command and what follows it.
Result<void> read_words(std::vector<std::string> words, Options& options, std::string& name) {
    if (words.empty()) {
        return usage(
            "a command is missing: run, chat, ps, end, save, restore, prefix, cache, tokenize, "
            "health, models or metrics");
    }
    name = words.front();
    if (name == "prefix" && words.size() > 1) {
        name += " " + words[1];
        words.erase(words.begin());
    }
    if (name == "prefix") return usage("prefix: expected list, add or rm after it");
    const auto found = std::find_if(kCommands.begin(), kCommands.end(),
                                    [&name](const CommandName& c) { return c.words == name; });
    if (found == kCommands.end()) return usage("`" + name + "` is no command");
    options.command = found->command;
    auto rest = words.begin() + 1;
    const bool takes_name = found->takes == Takes::name || found->takes == Takes::name_and_text;
    if (takes_name) {
        if (rest == words.end() || rest->empty())
            return usage(name + ": expected one argument, the name");
        options.name = *rest++;
    }
    const bool takes_text = found->takes == Takes::text || found->takes == Takes::name_and_text;
    if (takes_text && rest != words.end()) {
        if (*rest != "-") options.text = *rest;
        ++rest;
    }
    if (rest == words.end()) return {};
    return usage(name + ": found `" + *rest + "`, expected " +
                 (takes_text   ? "one text; put it in quotes"
                  : takes_name ? "one argument, the name"
                               : "no argument"));
}

Result<po::variables_map> parse_values(std::span<const char* const> arguments) {
    po::options_description all;
    all.add(global_description()).add(generation_description());
    all.add_options()("words", po::value<std::vector<std::string>>());
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
    KVASIR_TRY(options.endpoint, read_endpoint(values));
    return options;
}

std::string help_text() {
    std::ostringstream out;
    out << "Usage: kvasir [OPTIONS] COMMAND\n\n"
           "Commands:\n"
           "  run [TEXT]       complete TEXT, or standard input without it (or with -)\n"
           "  chat             talk with the model; /help lists what can be typed\n"
           "  ps               list your sessions and what they keep\n"
           "  end SESSION      end a session: its pages are free at once\n"
           "  save SESSION     keep a session on disk; restore SESSION brings it back\n"
           "  prefix list      list the prefixes that your prompts can begin on\n"
           "  prefix add NAME [TEXT]\n"
           "                   compute TEXT, or standard input, ahead; prefix rm NAME drops it\n"
           "  cache            what the cache holds\n"
           "  tokenize [TEXT]  print the token ids of TEXT\n"
           "  health           print the server's state\n"
           "  models           list the models\n"
           "  metrics          print the server's counters\n\n"
        << global_description() << '\n'
        << generation_description()
        << "\nExit status: 0 done, 1 the server or the output failed, 2 wrong usage, 3 cannot "
           "connect,\n"
           "130 cancelled with Ctrl-C.\n";
    return out.str();
}

}  // namespace kvasir::client
