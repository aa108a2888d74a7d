#include "config/settings.hpp"

#include <algorithm>
#include <boost/program_options.hpp>
#include <cctype>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <optional>
#include <unistd.h>

#include "config/settings_keys.hpp"

namespace kvasir {

using namespace settings_detail;
namespace po = boost::program_options;

namespace {

constexpr const char* kDefaultConfigFile = "/etc/kvasir/kvasird.toml";
constexpr std::string_view kVariablePrefix = "KVASIR_";

Error at(std::string_view place, const Error& error) {
    return {error.code, std::string(place) + ": " + error.message};
}

/// "cache.keys" -> KVASIR_CACHE_KEYS
std::string variable_name(std::string_view key) {
    std::string name(kVariablePrefix);
    for (const char c : key) {
        name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    return name;
}

/// Variables that look like a setting of a known section but are none are errors; other KVASIR_*
/// are not ours to judge.
Result<> refuse_unknown_variables(std::span<const SettingKey> keys,
                                  const Environment& environment) {
    for (auto it = environment.lower_bound(std::string(kVariablePrefix));
         it != environment.end() && it->first.starts_with(kVariablePrefix); ++it) {
        const std::string& name = it->first;
        const auto is_this = [&](const SettingKey& key) { return variable_name(key.name) == name; };
        const auto shares_section = [&](const SettingKey& key) {
            const auto dot = key.name.find('.');
            return dot != std::string_view::npos &&
                   name.starts_with(variable_name(key.name.substr(0, dot + 1)));
        };
        if (std::ranges::none_of(keys, is_this) && std::ranges::any_of(keys, shares_section)) {
            return Error{ErrorCode::invalid_argument,
                         shown(name) + ": no such setting; kvasird --help lists them"};
        }
    }
    return {};
}

Result<> apply_environment(std::span<const SettingKey> keys, const Environment& environment) {
    KVASIR_TRY_VOID(refuse_unknown_variables(keys, environment));
    const auto apply = [&](const std::string& variable, const SettingKey& key) -> Result<> {
        const auto found = environment.find(variable);
        if (found == environment.end()) return {};
        const auto status = set_from_text(key, found->second);
        return status.has_error() ? Result<>(at(variable, status.error())) : status;
    };
    KVASIR_TRY_VOID(
        apply("KVASIR_SOCKET", *find_key(keys, "server.socket")));  // the client's variable
    for (const SettingKey& key : keys) KVASIR_TRY_VOID(apply(variable_name(key.name), key));
    return {};
}

po::options_description command_line_options() {
    po::options_description options("Options", 100);
    options.add_options()  //
        ("config", po::value<std::string>()->value_name("FILE"),
         "TOML file (else KVASIR_CONFIG, else /etc/kvasir/kvasird.toml)")                      //
        ("model", po::value<std::string>()->value_name("PATH"), "model")                       //
        ("socket", po::value<std::string>()->value_name("PATH"), "server.socket")              //
        ("listen", po::value<std::string>()->value_name("HOST:PORT"), "server.listen")         //
        ("api-key-file", po::value<std::string>()->value_name("FILE"), "server.api_key_file")  //
        ("set", po::value<std::vector<std::string>>()->multitoken()->value_name("KEY=VALUE"),
         "any setting, e.g. --set cache.keys=int4")                         //
        ("check", "validate configuration and model, then exit")            //
        ("print-config", "print the settings in force as TOML, then exit")  //
        ("version", "print the version, then exit")                         //
        ("help", "print this, then exit");
    return options;
}

/// Options in the order they were given: later ones win.
using GivenOptions = std::vector<po::basic_option<char>>;

Result<GivenOptions> parse_command_line(int argc, const char* const* argv) {
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    try {
        using po::command_line_style::allow_guessing;
        using po::command_line_style::unix_style;
        const auto options = command_line_options();
        auto parsed = po::command_line_parser(arguments)
                          .options(options)
                          .style(unix_style & ~allow_guessing)
                          .run();
        for (const auto& option : parsed.options) {
            if (option.position_key != -1) {
                return Error{
                    ErrorCode::invalid_argument,
                    "command line: found " + shown(option.value.at(0)) + ", expected an option"};
            }
        }
        po::variables_map map;
        po::store(parsed, map);  // checks for missing and repeated values
        return std::move(parsed.options);
    } catch (const po::error& error) {
        return Error{ErrorCode::invalid_argument, "command line: " + std::string(error.what())};
    }
}

Result<> apply_assignment(std::span<const SettingKey> keys, const std::string& assignment) {
    const auto equals = assignment.find('=');
    const std::string place = "--set " + shown(assignment);
    if (equals == std::string::npos) {
        return Error{ErrorCode::invalid_argument, place + ": expected KEY=VALUE"};
    }
    const std::string name = assignment.substr(0, equals);
    const SettingKey* key = find_key(keys, name);
    if (key == nullptr) return at(place, unknown_key(keys, name));
    const auto status = set_from_text(*key, assignment.substr(equals + 1));
    return status.has_error() ? Result<>(at(place, status.error())) : status;
}

Result<> apply_command_line(std::span<const SettingKey> keys, const GivenOptions& options) {
    for (const auto& option : options) {
        if (option.string_key == "set") {
            for (const std::string& assignment : option.value)
                KVASIR_TRY_VOID(apply_assignment(keys, assignment));
            continue;
        }
        const std::string name = option.string_key == "model"          ? "model"
                                 : option.string_key == "socket"       ? "server.socket"
                                 : option.string_key == "listen"       ? "server.listen"
                                 : option.string_key == "api-key-file" ? "server.api_key_file"
                                                                       : "";
        if (name.empty()) continue;
        const auto status = set_from_text(*find_key(keys, name), option.value.at(0));
        if (status.has_error()) return at("--" + option.string_key, status.error());
    }
    return {};
}

bool given(const GivenOptions& options, std::string_view name) {
    return std::ranges::any_of(options,
                               [&](const auto& option) { return option.string_key == name; });
}

Result<> apply_file(std::span<const SettingKey> keys, std::vector<DomainSettings>& domains,
                    const GivenOptions& options, const Environment& environment) {
    std::optional<std::string> path;
    if (const auto found = environment.find("KVASIR_CONFIG"); found != environment.end())
        path = found->second;
    for (const auto& option : options) {
        if (option.string_key == "config") path = option.value.at(0);
    }
    auto text = read_settings_file(path.value_or(kDefaultConfigFile));
    if (text.has_error() && text.error().code == ErrorCode::not_found && !path) return {};
    if (text.has_error()) return text.error();
    return apply_toml(keys, domains, *text, path.value_or(kDefaultConfigFile));
}

/// The service's directory, else the system's if we may write there, else the user's, else none.
std::string choose_cache_dir(const Environment& environment) {
    const auto variable = [&](const char* name) {
        const auto found = environment.find(name);
        return found == environment.end() ? std::string() : found->second;
    };
    const std::string service = variable("CACHE_DIRECTORY");
    if (!service.empty()) return service.substr(0, service.find(':'));
    if (::access("/var/cache/kvasir", W_OK | X_OK) == 0) return "/var/cache/kvasir";
    if (const std::string xdg = variable("XDG_CACHE_HOME"); xdg.starts_with('/'))
        return xdg + "/kvasir";
    if (const std::string home = variable("HOME"); home.starts_with('/'))
        return home + "/.cache/kvasir";
    return {};
}

std::string help_text() {
    std::string text = "kvasird: a language model on this device's GPU, behind a socket.\n\n";
    text += fmt::format("{}", fmt::streamed(command_line_options()));
    text +=
        "\nSettings (TOML file, then KVASIR_<SECTION>_<KEY> variables, then the command line), "
        "with defaults:\n";
    for (const auto& [key, value, help] : describe_settings(Settings{})) {
        text += fmt::format("  {} = {}\n      {}\n", key, value, help);
    }
    return text;
}

}  // namespace

Environment process_environment() {
    Environment environment;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const auto equals = text.find('=');
        if (equals == std::string_view::npos) continue;
        environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return environment;
}

Result<Settings> load_settings(int argc, const char* const* argv, const Environment& environment) {
    KVASIR_TRY(const GivenOptions options, parse_command_line(argc, argv));
    Settings settings;
    if (given(options, "help")) {
        settings.print = help_text();
        return settings;
    }
    if (given(options, "version")) {
        settings.print = "kvasird " KVASIR_VERSION "\n";
        return settings;
    }
    const std::vector<SettingKey> keys = setting_keys(settings);
    KVASIR_TRY_VOID(apply_file(keys, settings.domains, options, environment));
    KVASIR_TRY_VOID(apply_environment(keys, environment));
    KVASIR_TRY_VOID(apply_command_line(keys, options));
    if (given(options, "print-config")) {
        settings.print = settings_to_toml(settings);
        return settings;
    }
    KVASIR_TRY_VOID(check_consistency(settings));
    settings.check_only = given(options, "check");
    if (settings.device.pipeline_cache_dir.empty())
        settings.device.pipeline_cache_dir = choose_cache_dir(environment);
    return settings;
}

std::vector<SettingDescription> describe_settings(const Settings& settings) {
    Settings copy = settings;
    std::vector<SettingDescription> descriptions;
    for (const SettingKey& key : setting_keys(copy)) {
        descriptions.push_back({std::string(key.name), to_toml(key.slot), std::string(key.help)});
    }
    return descriptions;
}

std::string settings_to_toml(const Settings& settings) {
    std::string text =
        "# Settings of kvasird. A KVASIR_<SECTION>_<KEY> variable overrides a line here, the "
        "command line overrides both:\n"
        "# --set cache.keys=int4. Sizes are numbers or strings such as \"256MiB\".\n";
    std::string section;
    for (const auto& [key, value, help] : describe_settings(settings)) {
        const auto dot = key.find('.');
        const std::string in_section = dot == std::string::npos ? "" : key.substr(0, dot);
        if (in_section != section) text += fmt::format("\n[{}]", in_section);
        section = in_section;
        const std::string name = key.substr(dot == std::string::npos ? 0 : dot + 1);
        text += fmt::format("\n# {}\n{} = {}\n", help, name, value);
    }
    return text + domains_to_toml(settings.domains);
}

}  // namespace kvasir
