#include <algorithm>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <unistd.h>

#include "config/settings.hpp"

using namespace kvasir;
namespace data = boost::unit_test::data;

namespace {

class TempFile {
public:
    explicit TempFile(std::string_view content) {
        path_ = (std::filesystem::temp_directory_path() / "kvasir-settings-XXXXXX").string();
        const int fd = ::mkstemp(path_.data());
        BOOST_REQUIRE(fd >= 0);
        ::close(fd);
        std::ofstream(path_, std::ios::binary) << content;
    }
    ~TempFile() { std::filesystem::remove(path_); }
    TempFile(const TempFile&) = delete;
    TempFile& operator=(const TempFile&) = delete;
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// Never the machine's own /etc/kvasir/kvasird.toml.
Result<Settings> load(std::vector<const char*> arguments, Environment environment = {}) {
    environment.emplace("KVASIR_CONFIG", "/dev/null");
    arguments.insert(arguments.begin(), "kvasird");
    return load_settings(static_cast<int>(arguments.size()), arguments.data(), environment);
}

Result<Settings> load_toml(std::string_view toml) {
    const TempFile file(toml);
    return load({"--config", file.path().c_str(), "--model", "m.gguf"});
}

std::string error_of(const Result<Settings>& result) {
    BOOST_REQUIRE(result.has_error());
    return result.error().message;
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

std::string shipped_file() {
    std::ifstream file(KVASIR_TEST_DATA "/../../config/kvasird.toml");
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Another valid value than the default, as TOML writes it.
std::string another_value(const SettingDescription& setting) {
    if (setting.key == "server.socket_mode") return "\"0600\"";
    if (setting.key == "log.level") return "\"warn\"";
    if (setting.key == "cache.keys" || setting.key == "cache.values") return "\"int4\"";
    if (setting.key == "server.listen") return "\"[::1]:8080\"";
    if (setting.key.ends_with("_bytes")) return "\"3MiB\"";
    if (setting.value == "false") return "true";
    if (setting.value.starts_with('"')) return "\"some \\\"text\\\\\"";
    return std::to_string(std::stoull(setting.value) + 1);
}

/// key = value in its section.
std::string toml_line(const std::string& key, const std::string& value) {
    const auto dot = key.find('.');
    if (dot == std::string::npos) return key + " = " + value + "\n";
    return "[" + key.substr(0, dot) + "]\n" + key.substr(dot + 1) + " = " + value + "\n";
}

std::string in_force(const Settings& settings, const std::string& key) {
    for (const auto& setting : describe_settings(settings)) {
        if (setting.key == key) return setting.value;
    }
    return "no such key";
}

struct Refused {
    std::string toml;
    std::string message;  // a part of it
    ErrorCode code = ErrorCode::invalid_argument;
};
std::ostream& operator<<(std::ostream& out, const Refused& r) {
    return out << r.message;
}

const std::vector<Refused> kRefused{
    {"[cache]\nkyes = \"f16\"", ":2: cache.kyes: unknown key; did you mean cache.keys?"},
    {"\n\n[sever]\nmax_queue = 3", ":3: sever: unknown key"},
    {"models = \"x\"", ":1: models: unknown key; did you mean model?"},
    {"\"cache.keys\" = \"f16\"", ":1: cache.keys: unknown key"},
    {"[server.socket]\nx = 1", "server.socket: found a table, expected text"},
    {"server = 3", ":1: server: found an integer, expected the section [server]"},
    {"[[server]]\nmax_queue = 3", "server: found an array, expected the section"},
    {"[cache]\n\nkeys = \"int5\"",
     ":3: cache.keys: found int5, expected one of f16, int8, int4, auto"},
    {"[cache]\nkeys = 4", ":2: cache.keys: found the integer 4, expected one of"},
    {"[server]\nmax_queue = \"64\"",
     ":2: server.max_queue: found the string 64, expected a whole number from 0 to 65536"},
    {"[server]\nmax_queue = -1", "server.max_queue: found the integer -1, expected"},
    {"[server]\nmax_queue = 65537", "found the integer 65537"},
    {"[server]\nmax_queue = 4294967300", "found the integer 4294967300"},
    {"[server]\nmax_queue = 1.5", "server.max_queue: found a floating-point number"},
    {"[server]\nmax_queue = true", "server.max_queue: found the boolean true"},
    {"[server]\nmax_queue = 1979-05-27", "server.max_queue: found a date or time"},
    {"[server]\nmax_queue = [1]", "server.max_queue: found an array"},
    {"[device]\nvalidation = 1", "device.validation: found the integer 1, expected true or false"},
    {"[device]\nvalidation = \"true\"", "device.validation: found the string true"},
    {"[server]\nsocket_mode = 660",
     "server.socket_mode: found the integer 660, expected octal permissions"},
    {"[server]\nsocket_mode = \"0888\"", "server.socket_mode: found 0888"},
    {"[server]\nsocket_mode = \"1777\"", "server.socket_mode: found 1777"},
    {"[cache]\nbudget_bytes = \"256MB\"",
     "cache.budget_bytes: found 256MB, expected bytes from 0B to 16TiB"},
    {"[cache]\nbudget_bytes = \"-1MiB\"", "found -1MiB"},
    {"[cache]\nbudget_bytes = \"MiB\"", "found MiB"},
    {"[cache]\nbudget_bytes = \"18446744073709551615TiB\"", "found 18446744073709551615TiB"},
    {"[cache]\nbudget_bytes = \"17592186044417\"", "found 17592186044417"},
    {"model = \"a\\u0000b\"", "model: found \"a\\x00b\", expected text without control characters"},
    {"model = \"a\\nb\"", "model: found \"a\\nb\""},
    {"[server]\nmax_body_bytes = 9223372036854775808", "not TOML", ErrorCode::corrupt},
    {"model = ", "not TOML", ErrorCode::corrupt},
    {"model = \"a\"\nmodel = \"b\"", ":2: not TOML", ErrorCode::corrupt},
    {"model = \"\xff\xfe\"", "not TOML", ErrorCode::corrupt},
    {std::string("mod\0el = 1", 10), "not TOML", ErrorCode::corrupt},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(settings)

BOOST_AUTO_TEST_CASE(the_shipped_file_lists_every_key_with_exactly_its_default) {
    BOOST_TEST(shipped_file() == settings_to_toml(Settings{}),
               "config/kvasird.toml differs from the defaults; `kvasird --config /dev/null "
               "--print-config` prints it anew");
}

BOOST_AUTO_TEST_CASE(the_shipped_file_changes_nothing) {
    const auto settings = load_toml(shipped_file());
    for (const auto& [key, value, help] : describe_settings(Settings{})) {
        if (key == "model" || key == "device.pipeline_cache_dir") continue;  // given, and chosen
        BOOST_TEST(in_force(settings.value(), key) == value, key);
    }
}

BOOST_AUTO_TEST_CASE(every_key_is_reached_by_file_environment_and_command_line) {
    std::set<std::string> variables;
    for (const auto& setting : describe_settings(Settings{})) {
        BOOST_TEST_CONTEXT(setting.key) {
            const std::string other = another_value(setting);
            BOOST_TEST(other != setting.value);
            BOOST_TEST(!setting.help.empty());

            const TempFile file(toml_line(setting.key, other));
            const auto from_file = load({"--print-config", "--config", file.path().c_str()});
            BOOST_TEST(contains(from_file.value().print, " = " + other + "\n"));

            std::string text = other;
            if (text.starts_with('"'))
                text = text.find('\\') == std::string::npos ? text.substr(1, text.size() - 2)
                                                            : "some \"text\\";
            std::string variable = "KVASIR_" + setting.key;
            std::ranges::transform(variable, variable.begin(), [](char c) {
                return c == '.' ? '_'
                                : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
            });
            BOOST_TEST(variables.insert(variable).second, "two keys share " + variable);
            BOOST_TEST(load({"--print-config"}, {{variable, text}}).value().print ==
                       from_file.value().print);

            const std::string assignment = setting.key + "=" + text;
            BOOST_TEST(load({"--print-config", "--set", assignment.c_str()}).value().print ==
                       from_file.value().print);
        }
    }
}

BOOST_AUTO_TEST_CASE(what_is_printed_loads_to_the_same_settings) {
    const auto first = load(
        {"--print-config", "--set", "model=/a \"b\"\\c", "cache.keys=int4", "server.max_queue=7"});
    const TempFile file(first.value().print);
    BOOST_TEST(load({"--print-config", "--config", file.path().c_str()}).value().print ==
               first.value().print);
}

BOOST_AUTO_TEST_CASE(command_line_wins_over_environment_over_file_over_default) {
    const TempFile file(
        "model = \"file\"\n[server]\nmax_queue = 1\nmax_connections = 11\nidle_timeout_ms = "
        "1001\n");
    const Environment environment{{"KVASIR_SERVER_MAX_QUEUE", "2"},
                                  {"KVASIR_SERVER_MAX_CONNECTIONS", "12"}};
    const auto settings =
        load({"--config", file.path().c_str(), "--set", "server.max_queue=3"}, environment).value();
    BOOST_TEST(settings.server.max_queue == 3U);
    BOOST_TEST(settings.server.max_connections == 12U);
    BOOST_TEST(settings.server.idle_timeout_ms == 1001U);
    BOOST_TEST(settings.server.write_timeout_ms == ServerSettings{}.write_timeout_ms);
    BOOST_TEST(settings.model == "file");
}

BOOST_AUTO_TEST_CASE(the_options_with_names_of_their_own_reach_their_settings) {
    const auto settings = load({"--model", "m", "--socket=/s", "--listen", "127.0.0.1:0",
                                "--api-key-file", "/k", "--check"})
                              .value();
    BOOST_TEST(settings.model == "m");
    BOOST_TEST(settings.server.socket == "/s");
    BOOST_TEST(settings.server.listen == "127.0.0.1:0");
    BOOST_TEST(settings.server.api_key_file == "/k");
    BOOST_TEST(settings.check_only);
    BOOST_TEST(settings.print.empty());
    BOOST_TEST(!load({"--model", "m"}).value().check_only);
}

BOOST_AUTO_TEST_CASE(later_on_the_command_line_wins) {
    BOOST_TEST(load({"--model", "a", "--set", "model=b"}).value().model == "b");
    BOOST_TEST(load({"--set", "model=b", "--model", "a"}).value().model == "a");
    BOOST_TEST(load({"--set", "model=a", "model=b"}).value().model == "b");
}

BOOST_AUTO_TEST_CASE(the_socket_has_a_short_variable_and_its_full_one_wins) {
    BOOST_TEST(load({"--model", "m"}, {{"KVASIR_SOCKET", "/a"}}).value().server.socket == "/a");
    BOOST_TEST(load({"--model", "m"}, {{"KVASIR_SOCKET", "/a"}, {"KVASIR_SERVER_SOCKET", "/b"}})
                   .value()
                   .server.socket == "/b");
}

BOOST_AUTO_TEST_CASE(sizes_take_binary_units) {
    const auto budget = [](const char* text) {
        return load({"--model", "m", "--set", text}).value().cache.budget_bytes;
    };
    BOOST_TEST(budget("cache.budget_bytes=0") == 0U);
    BOOST_TEST(budget("cache.budget_bytes=1000") == 1000U);
    BOOST_TEST(budget("cache.budget_bytes=7B") == 7U);
    BOOST_TEST(budget("cache.budget_bytes=3KiB") == 3U << 10);
    BOOST_TEST(budget("cache.budget_bytes=3 GiB") == 3ULL << 30);
    BOOST_TEST(load_toml("[cache]\nbudget_bytes = 12345").value().cache.budget_bytes == 12345U);
}

BOOST_AUTO_TEST_CASE(the_mode_is_octal) {
    BOOST_TEST(load_toml("[server]\nsocket_mode = \"0640\"").value().server.socket_mode == 0640U);
    BOOST_TEST(
        load({"--model", "m", "--set", "server.socket_mode=777"}).value().server.socket_mode ==
        0777U);
}

BOOST_DATA_TEST_CASE(a_wrong_file_is_refused_with_line_key_found_and_expected, data::make(kRefused),
                     r) {
    const auto result = load_toml(r.toml);
    BOOST_TEST(contains(error_of(result), r.message), error_of(result));
    BOOST_TEST((result.error().code == r.code), to_string(result.error().code));
}

BOOST_AUTO_TEST_CASE(of_several_errors_the_first_in_the_file_is_told) {
    BOOST_TEST(contains(error_of(load_toml("[server]\nzebra = 1\n[cache]\nalso = 1\n")),
                        ":2: server.zebra"));
    BOOST_TEST(
        contains(error_of(load_toml("[server]\nzebra = 1\nalso = 1\n")), ":2: server.zebra"));
}

BOOST_AUTO_TEST_CASE(a_file_that_is_absent_or_no_file_is_named) {
    const auto absent = load({"--config", "/nowhere/kvasird.toml", "--model", "m"});
    BOOST_TEST((absent.error().code == ErrorCode::not_found));
    BOOST_TEST(contains(absent.error().message, "/nowhere/kvasird.toml: No such file"));
    const auto directory = load({"--config", "/tmp", "--model", "m"});
    BOOST_TEST((directory.error().code == ErrorCode::io));
    BOOST_TEST((load({"--model", "m"}, {{"KVASIR_CONFIG", "/nowhere/x"}}).error().code ==
                ErrorCode::not_found));
}

BOOST_AUTO_TEST_CASE(a_file_over_the_limit_is_refused_unread) {
    const auto endless = load({"--config", "/dev/zero", "--model", "m"});
    BOOST_TEST((endless.error().code == ErrorCode::too_large));
    std::string comment = "#" + std::string((1 << 20) - 2, 'x') + "\n";
    BOOST_TEST(load_toml(comment).has_value());
    BOOST_TEST((load_toml(comment + "#").error().code == ErrorCode::too_large));
}

BOOST_AUTO_TEST_CASE(deep_nesting_is_an_error_and_not_a_stack_overflow) {
    const auto repeated = [](std::string_view part, std::size_t bytes) {
        std::string text;
        while (text.size() + part.size() < bytes) text += part;
        return text;
    };
    constexpr std::size_t kMegabyte = 1'000'000;
    for (const std::string& toml : {
             "x = " + repeated("[", kMegabyte),
             "x = " + repeated("{a=", kMegabyte),
             "[a" + repeated(".a", kMegabyte) + "]",
             "a" + repeated(".a", kMegabyte) + " = 1",
             "x = " + repeated("{a.a.a.a=", kMegabyte),
             "x = [" + repeated("{a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=[\n",
                                kMegabyte),
             repeated("[[a]]\n", kMegabyte),
             repeated("[a.a.a.a.a.a.a.a.a.a.a.a.a.a.a]\n", 100'000),
         }) {
        BOOST_TEST(load_toml(toml).has_error(), toml.substr(0, 40));
    }
}

BOOST_AUTO_TEST_CASE(a_damaged_file_is_loaded_or_refused_at_every_byte) {
    const std::string good = shipped_file();
    std::size_t n_refused = 0;
    for (std::size_t i = 0; i < good.size(); ++i) {
        const auto cut =
            load({"--print-config", "--config", TempFile(good.substr(0, i)).path().c_str()});
        std::string flipped = good;
        flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
        const auto changed = load({"--print-config", "--config", TempFile(flipped).path().c_str()});
        for (const auto* result : {&cut, &changed}) {
            if (!result->has_error()) continue;
            ++n_refused;
            BOOST_TEST(!result->error().message.empty());
        }
    }
    BOOST_TEST(n_refused > good.size() / 4);
}

BOOST_AUTO_TEST_CASE(a_wrong_variable_is_named) {
    const auto wrong = load({"--model", "m"}, {{"KVASIR_CACHE_KEYS", "q4"}});
    BOOST_TEST(error_of(wrong) ==
               "KVASIR_CACHE_KEYS: cache.keys: found q4, expected one of f16, int8, int4, auto");
    const auto unknown = load({"--model", "m"}, {{"KVASIR_CACHE_KEY", "f16"}});
    BOOST_TEST(contains(error_of(unknown), "KVASIR_CACHE_KEY: no such setting"));
    BOOST_TEST(load({"--model", "m"}, {{"KVASIR_SOMETHING", "x"}, {"KVASIR", "y"}}).has_value());
}

BOOST_AUTO_TEST_CASE(a_wrong_command_line_is_named) {
    const auto message = [](std::vector<const char*> arguments) {
        return error_of(load(std::move(arguments)));
    };
    BOOST_TEST(contains(message({"--modle", "m"}), "--modle"));
    BOOST_TEST(contains(message({"--mod", "m"}),
                        "--mod"));  // no abbreviations: they would bind us for ever
    BOOST_TEST(contains(message({"m.gguf"}), "found m.gguf, expected an option"));
    BOOST_TEST(contains(message({"--model"}), "--model"));
    BOOST_TEST(contains(message({"--set", "cache.keys"}), "expected KEY=VALUE"));
    BOOST_TEST(contains(message({"--set", "cache.key=f16"}), "did you mean cache.keys?"));
    BOOST_TEST(
        contains(message({"--set", "server.max_queue= 3"}), "server.max_queue: found \" 3\""));
    BOOST_TEST(contains(message({"--model", "a\nb"}), "--model: model: found \"a\\nb\""));
}

BOOST_AUTO_TEST_CASE(a_message_stays_short_and_printable_whatever_was_found) {
    const std::string assignment = "cache.keys=" + std::string(100'000, '\x01');
    const std::string text = error_of(load({"--model", "m", "--set", assignment.c_str()}));
    BOOST_TEST(text.size() < 1000U);
    BOOST_TEST(text.find('\x01') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(settings_that_contradict_each_other_are_refused) {
    BOOST_TEST(contains(error_of(load({})), "model: not set"));
    BOOST_TEST(contains(error_of(load({"--model", "m", "--socket", ""})), "server.socket: empty"));
    BOOST_TEST(contains(error_of(load({"--model", "m", "--listen", "127.0.0.1:1"})),
                        "server.api_key_file: not set"));
    const std::string longest(107, 's');
    BOOST_TEST(load({"--model", "m", "--socket", longest.c_str()}).has_value());
    const std::string too_long(108, 's');
    BOOST_TEST(contains(error_of(load({"--model", "m", "--socket", too_long.c_str()})),
                        "108 bytes, expected at most 107"));
}

BOOST_AUTO_TEST_CASE(tcp_is_loopback_only) {
    const auto accepted = [](const char* listen) {
        return load({"--model", "m", "--api-key-file", "k", "--listen", listen}).has_value();
    };
    for (const char* listen : {"127.0.0.1:8080", "127.9.8.7:1", "[::1]:65535", "localhost:0"})
        BOOST_TEST(accepted(listen), listen);
    for (const char* listen : {"0.0.0.0:80", "10.0.0.1:80", "[::]:80", "::1:80", "127.0.0.1",
                               "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:8 ",
                               "127.0.0.256:1", "127.0.0:1", "127.0.0.1.1:1", "127.0.0.1.:1",
                               "127.evil.example:1", "127.:1", ":80", "localhost.example:1"}) {
        BOOST_TEST(!accepted(listen), listen);
    }
}

BOOST_AUTO_TEST_CASE(help_and_version_need_nothing_else_and_help_names_every_key) {
    BOOST_TEST(load({"--version"}).value().print.starts_with("kvasird "));
    const std::string help = load({"--help"}, {{"KVASIR_CONFIG", "/nowhere"}}).value().print;
    for (const auto& setting : describe_settings(Settings{}))
        BOOST_TEST(contains(help, "  " + setting.key + " = "), setting.key);
    for (const char* option :
         {"--config", "--model", "--socket", "--listen", "--api-key-file", "--set", "--check"}) {
        BOOST_TEST(contains(help, option), option);
    }
}

BOOST_AUTO_TEST_CASE(the_cache_directory_is_the_service_s_then_the_user_s) {
    const auto chosen = [](Environment environment) {
        return load({"--model", "m"}, std::move(environment)).value().device.pipeline_cache_dir;
    };
    BOOST_TEST(chosen({{"CACHE_DIRECTORY", "/var/cache/a:/var/cache/b"}}) == "/var/cache/a");
    BOOST_TEST(chosen({{"KVASIR_DEVICE_PIPELINE_CACHE_DIR", "/mine"}, {"CACHE_DIRECTORY", "/a"}}) ==
               "/mine");
    if (::access("/var/cache/kvasir", W_OK | X_OK) == 0) {
        BOOST_TEST_MESSAGE(
            "/var/cache/kvasir is writable here: the user's directories are not tested");
        return;
    }
    BOOST_TEST(chosen({{"XDG_CACHE_HOME", "/x"}, {"HOME", "/h"}}) == "/x/kvasir");
    BOOST_TEST(chosen({{"XDG_CACHE_HOME", "relative"}, {"HOME", "/h"}}) == "/h/.cache/kvasir");
    BOOST_TEST(chosen({}).empty());
}

BOOST_AUTO_TEST_CASE(domains_are_read_in_order) {
    const TempFile file(
        "model = \"m\"\n[[domain]]\nname = \"photos\"\nusers = [\"alice\", 1001]\n"
        "reserve = \"64MiB\"\ncap = 134217728\n[[domain]]\nname = \"mail\"\ngroups = [\"mail\"]\n");
    const auto settings = load({"--config", file.path().c_str()});
    BOOST_TEST_REQUIRE(!settings.has_error());
    BOOST_TEST_REQUIRE(settings->domains.size() == 2U);
    const DomainSettings& photos = settings->domains[0];
    BOOST_TEST(photos.name == "photos");
    BOOST_TEST(photos.users == (std::vector<std::string>{"alice", "1001"}),
               boost::test_tools::per_element());
    BOOST_TEST(photos.reserve_bytes == 64ULL << 20U);
    BOOST_TEST(photos.cap_bytes == 128ULL << 20U);
    BOOST_TEST(settings->domains[1].groups == std::vector<std::string>{"mail"},
               boost::test_tools::per_element());
    // What is printed reads back the same.
    const TempFile printed(settings_to_toml(*settings));
    const auto again = load({"--config", printed.path().c_str()});
    BOOST_TEST_REQUIRE(!again.has_error());
    BOOST_TEST(settings_to_toml(*again) == settings_to_toml(*settings));
    BOOST_TEST(again->domains.size() == 2U);
}

BOOST_AUTO_TEST_CASE(wrong_domains_are_named) {
    struct Wrong {
        const char* toml;
        const char* said;
    };
    for (const auto& [toml, said] : std::vector<Wrong>{
             {"domain = 1\n", "domain: expected tables"},
             {"[domain]\nname = \"a\"\n", "domain: expected tables"},
             {"[[domain]]\nname = 1\n", "domain.name: found an integer"},
             {"[[domain]]\nname = \"a\"\nuser = []\n", "unknown key"},
             {"[[domain]]\nname = \"a\"\nusers = \"b\"\n", "domain.users: found a string"},
             {"[[domain]]\nname = \"a\"\nusers = [1.5]\n", "domain.users"},
             {"[[domain]]\nname = \"a\"\ncap = -1\n", "domain.cap"},
             {"[[domain]]\nname = \"a\"\ncap = \"much\"\n", "domain.cap"},
             {"[[domain]]\nusers = []\n", "name: expected"},
             {"[[domain]]\nname = \"A b\"\n", "name: expected"},
             {"[[domain]]\nname = \"common\"\n", "taken"},
             {"[[domain]]\nname = \"a\"\n[[domain]]\nname = \"a\"\n", "two of this name"},
             {"[[domain]]\nname = \"a\"\nreserve = 2\ncap = 1\n", "at most the cap"},
             {"[[domain]]\nname = \"a\"\nreserve = \"1TiB\"\n", "cache.budget_bytes"}}) {
        const TempFile file(std::string("model = \"m\"\n") + toml);
        const auto settings = load({"--config", file.path().c_str()});
        BOOST_TEST_REQUIRE(settings.has_error(), toml);
        BOOST_TEST(settings.error().message.find(said) != std::string::npos,
                   toml << settings.error().message);
    }
}

BOOST_AUTO_TEST_SUITE_END()
