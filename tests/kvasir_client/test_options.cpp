#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <fstream>
#include <unistd.h>

#include "daemon/kvasir/command_table.hpp"
#include "daemon/kvasir/options.hpp"

namespace {

using namespace kvasir;
using namespace kvasir::client;

Result<Options> parse(const std::vector<const char*>& arguments) {
    return parse_options(arguments);
}

/// The environment of the test's own run must not matter.
struct CleanEnvironment {
    CleanEnvironment() {
        for (const char* name : {"KVASIR_SOCKET", "KVASIR_URL", "KVASIR_API_KEY"}) unsetenv(name);
    }
    ~CleanEnvironment() {
        for (const char* name : {"KVASIR_SOCKET", "KVASIR_URL", "KVASIR_API_KEY"}) unsetenv(name);
    }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(options, CleanEnvironment)

BOOST_AUTO_TEST_CASE(defaults_leave_sampling_to_the_server) {
    const Options options = parse({"run", "Once"}).value();
    BOOST_TEST((options.command == Command::run));
    BOOST_TEST(options.text.value() == "Once");
    BOOST_TEST(options.endpoint.socket_path == "/run/kvasir/kvasir.sock");
    BOOST_TEST(options.endpoint.host.empty());
    BOOST_TEST(options.generation.max_tokens == 200);
    BOOST_TEST(!options.generation.temperature.has_value());
    BOOST_TEST(!options.generation.seed.has_value());
    BOOST_TEST(!options.json);
}

BOOST_AUTO_TEST_CASE(every_option_arrives) {
    const Options options = parse({"run",
                                   "-n",
                                   "5",
                                   "--temperature",
                                   "0.5",
                                   "--top-p=0.9",
                                   "--top-k",
                                   "40",
                                   "--min-p",
                                   "0.1",
                                   "--repetition-penalty",
                                   "1.1",
                                   "--seed",
                                   "-9",
                                   "--stop",
                                   "a",
                                   "--stop",
                                   "\n",
                                   "--model",
                                   "m",
                                   "--stats",
                                   "--json",
                                   "--echo",
                                   "--background",
                                   "--socket",
                                   "/tmp/s",
                                   "text"})
                                .value();
    const GenerationOptions& g = options.generation;
    BOOST_TEST(g.max_tokens == 5);
    BOOST_TEST(g.temperature.value() == 0.5);
    BOOST_TEST(g.top_p.value() == 0.9);
    BOOST_TEST(g.top_k.value() == 40);
    BOOST_TEST(g.min_p.value() == 0.1);
    BOOST_TEST(g.repetition_penalty.value() == 1.1);
    BOOST_TEST(g.seed.value() == -9);
    BOOST_TEST((g.stop == std::vector<std::string>{"a", "\n"}));
    BOOST_TEST(g.model == "m");
    BOOST_TEST((options.stats && options.json && options.echo));
    BOOST_TEST(g.background);
    BOOST_TEST(options.endpoint.socket_path == "/tmp/s");
}

BOOST_AUTO_TEST_CASE(standard_input_is_a_dash_or_nothing) {
    BOOST_TEST(!parse({"run"}).value().text.has_value());
    BOOST_TEST(!parse({"run", "-"}).value().text.has_value());
    BOOST_TEST(parse({"run", ""}).value().text.value().empty());
    BOOST_TEST(parse({"run", "--", "-x"}).value().text.value() == "-x");
    BOOST_TEST(!parse({"tokenize"}).value().text.has_value());
}

BOOST_AUTO_TEST_CASE(wrong_usage_is_refused_with_its_subject) {
    const std::vector<std::pair<std::vector<const char*>, std::string>> cases = {
        {{}, "command"},
        {{"fly"}, "fly"},
        {{"run", "a", "b"}, "`b`"},
        {{"health", "now"}, "now"},
        {{"run", "--nonsense"}, "nonsense"},
        {{"run", "--max", "5"}, "max"},  // no guessing: scripts would break with the next option
        {{"run", "-n", "0"}, "max-tokens"},
        {{"run", "-n", "-1"}, "max-tokens"},
        {{"run", "-n", "5x"}, "5x"},
        {{"run", "-n", "99999999999999999999"}, "max-tokens"},
        {{"run", "--top-k", "-1"}, "top-k"},
        {{"run", "--temperature", "nan"}, "temperature"},
        {{"run", "--temperature", "1,5"}, "temperature"},
        {{"run", "--temperature", ""}, "temperature"},
        {{"run", "--seed"}, "seed"},
        {{"run", "--system", "x"}, "system"},
        {{"chat", "--echo"}, "echo"},
        {{"run", "--interval", "1"}, "interval"},
        {{"top", "--interval", "0.01"}, "interval"},
        {{"top", "--interval", "-1"}, "interval"},
        {{"top", "-i", "x"}, "interval"},
        {{"top", "-c", "0"}, "count"},
        {{"top", "-q"}, "quiet"},
        {{"top", "now"}, "now"},
        {{"completions"}, "bash"},
        {{"completions", "ksh"}, "ksh"},
        {{"completions", "bash", "zsh"}, "zsh"},
        {{"ps", "--session", "x"}, "session"},
        {{"health", "--stop", "x"}, "stop"},
        {{"health", "--socket", "/a", "--url", "b:1"}, "--url"},
        {{"health", "--url", "localhost"}, "HOST:PORT"},
        {{"health", "--url", "localhost:0"}, "port"},
        {{"health", "--url", "localhost:65536"}, "port"},
        {{"health", "--url", "::1:80"}, "brackets"},
        {{"health", "--url", "https://localhost:80"}, "https"},
        {{"health", "--url", "a b:80"}, "HOST:PORT"},
    };
    for (const auto& [arguments, subject] : cases) {
        const auto result = parse(arguments);
        BOOST_REQUIRE_MESSAGE(result.has_error(), subject);
        BOOST_TEST(result.error().message.find(subject) != std::string::npos,
                   subject << " in: " << result.error().message);
    }
}

BOOST_AUTO_TEST_CASE(the_command_line_goes_before_the_environment) {
    setenv("KVASIR_URL", "http://127.0.0.1:8080/", 1);
    BOOST_TEST(parse({"health"}).value().endpoint.name() == "127.0.0.1:8080");
    setenv("KVASIR_SOCKET", "/env", 1);
    BOOST_TEST(parse({"health"}).value().endpoint.name() == "/env");
    BOOST_TEST(parse({"health", "--url", "[::1]:9"}).value().endpoint.name() == "[::1]:9");
    BOOST_TEST(parse({"health", "--url", "[::1]:9"}).value().endpoint.host == "::1");
    BOOST_TEST(parse({"--socket", "/line", "health"}).value().endpoint.name() == "/line");
}

BOOST_AUTO_TEST_CASE(keys_cannot_smuggle_header_lines) {
    setenv("KVASIR_API_KEY", "secret", 1);
    BOOST_TEST(parse({"health"}).value().endpoint.api_key == "secret");
    setenv("KVASIR_API_KEY", "a\r\nX-Evil: 1", 1);
    BOOST_TEST(parse({"health"}).has_error());
}

BOOST_AUTO_TEST_CASE(a_key_file_gives_its_first_word) {
    const std::string path = "/tmp/kvasir-key-" + std::to_string(::getpid());
    std::ofstream(path) << "\nthe-key domain-a\nother domain-b\n";
    BOOST_TEST(parse({"health", "--api-key-file", path.c_str()}).value().endpoint.api_key ==
               "the-key");
    std::ofstream(path, std::ios::trunc) << "\n";
    BOOST_TEST(parse({"health", "--api-key-file", path.c_str()}).has_error());
    ::unlink(path.c_str());
    BOOST_TEST(parse({"health", "--api-key-file", path.c_str()}).has_error());
}

BOOST_AUTO_TEST_CASE(end_takes_exactly_one_session) {
    BOOST_TEST(parse({"end", "a b"}).value().name == "a b");
    BOOST_TEST(parse({"end", "-"}).value().name == "-");
    BOOST_TEST(parse({"end"}).has_error());
    BOOST_TEST(parse({"end", "a", "b"}).has_error());
    BOOST_TEST(parse({"ps", "a"}).has_error());
}

BOOST_AUTO_TEST_CASE(help_names_every_command) {
    BOOST_TEST(parse({"--help"}).value().help);
    BOOST_TEST(parse({"--version", "nonsense"}).value().version);
    const std::string help = help_text();
    for (const CommandEntry& entry : command_entries())
        BOOST_TEST(help.find("\n  " + std::string(entry.words) + " ") != std::string::npos,
                   entry.words);
    for (const OptionEntry& entry : option_entries())
        BOOST_TEST(help.find("--" + std::string(entry.name) + " ") != std::string::npos,
                   entry.name);
    for (const char* name : {"130", "NO_COLOR", "KVASIR_HISTORY"})
        BOOST_TEST(help.find(name) != std::string::npos, name);
}

BOOST_AUTO_TEST_CASE(the_screen_and_the_lists_have_their_options) {
    const Options top = parse({"top", "-i", "0.25", "--count", "3", "--json"}).value();
    BOOST_TEST((top.command == Command::top));
    BOOST_TEST(top.interval.count() == 250);
    BOOST_TEST(top.count.value() == 3);
    BOOST_TEST(parse({"top"}).value().interval.count() == 1000);
    BOOST_TEST(!parse({"top"}).value().count.has_value());
    for (const std::vector<const char*>& list : std::vector<std::vector<const char*>>{
             {"ps", "-q"}, {"prefix", "list", "--quiet"}, {"models", "-q"}})
        BOOST_TEST(parse_options(list).value().quiet);
    BOOST_TEST(parse({"chat", "--session", "a b"}).value().generation.session == "a b");
    BOOST_TEST(parse({"completions", "fish"}).value().name == "fish");
}

BOOST_AUTO_TEST_CASE(prefixes_and_snapshots_are_named) {
    const Options add = parse({"prefix", "add", "house", "You are a helper"}).value();
    BOOST_TEST((add.command == Command::prefix_add));
    BOOST_TEST(add.name == "house");
    BOOST_TEST(add.text.value() == "You are a helper");
    BOOST_TEST(!parse({"prefix", "add", "house"}).value().text.has_value());
    BOOST_TEST(!parse({"prefix", "add", "house", "-"}).value().text.has_value());
    BOOST_TEST((parse({"prefix", "list"}).value().command == Command::prefix_list));
    BOOST_TEST(parse({"prefix", "rm", "house"}).value().name == "house");
    BOOST_TEST((parse({"save", "talk"}).value().command == Command::save));
    BOOST_TEST(parse({"restore", "talk", "--json"}).value().name == "talk");
    for (const std::vector<const char*>& wrong :
         std::vector<std::vector<const char*>>{{"prefix"},
                                               {"prefix", "drop"},
                                               {"prefix", "add"},
                                               {"prefix", "list", "x"},
                                               {"prefix", "rm", "a", "b"},
                                               {"prefix", "add", "a", "b", "c"},
                                               {"save"},
                                               {"save", ""},
                                               {"restore", "a", "b"}}) {
        const auto options = parse_options(wrong);
        BOOST_TEST(options.has_error(), wrong.back());
    }
}

BOOST_AUTO_TEST_SUITE_END()
