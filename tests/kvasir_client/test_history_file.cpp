#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/kvasir/history_file.hpp"

using namespace kvasir;
using namespace kvasir::client;

namespace {

struct Directory {
    std::string path = "/tmp/kvasir-history-" + std::to_string(::getpid());
    std::string file = path + "/state/kvasir/history";
    Directory() { std::filesystem::create_directory(path); }
    ~Directory() { std::filesystem::remove_all(path); }

    std::string bytes() const {
        std::ostringstream out;
        out << std::ifstream(file).rdbuf();
        return out.str();
    }
    mode_t mode(const std::string& of) const {
        struct stat found {};
        BOOST_REQUIRE(::stat(of.c_str(), &found) == 0);
        return found.st_mode & 0777;
    }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(history_file, Directory)

BOOST_AUTO_TEST_CASE(what_is_typed_comes_back_in_order) {
    HistoryFile one(file);
    BOOST_TEST(one.load().value().empty());
    HistoryFile other(file);  // a chat at the same time
    BOOST_REQUIRE(one.append("two\nlines \\n, a \ttab").has_value());
    BOOST_REQUIRE(other.append("h\xC3\xA9llo").has_value());
    BOOST_REQUIRE(one.append("esc \x1b[2J gone").has_value());
    BOOST_TEST(
        (HistoryFile(file).load().value() ==
         std::vector<std::string>{"two\nlines \\n, a \ttab", "h\xC3\xA9llo", "esc [2J gone"}));
    BOOST_TEST(mode(file) == 0600U);
    BOOST_TEST(mode(path + "/state/kvasir") == 0700U);
}

BOOST_AUTO_TEST_CASE(an_open_file_is_closed_to_others_and_hostile_bytes_are_dropped) {
    std::filesystem::create_directories(path + "/state/kvasir");
    std::ofstream(file) << "good\n\n\x1b]0;owned\x07\\\n" << std::string(100'000, 'x') << "\nlast";
    ::chmod(file.c_str(), 0644);
    BOOST_TEST((HistoryFile(file).load().value() ==
                std::vector<std::string>{"good", "]0;owned\\", "last"}));
    BOOST_TEST(mode(file) == 0600U);
}

BOOST_AUTO_TEST_CASE(links_and_other_files_are_refused) {
    std::filesystem::create_directories(path + "/state/kvasir");
    std::ofstream(path + "/elsewhere") << "not ours\n";
    ::symlink((path + "/elsewhere").c_str(), file.c_str());
    BOOST_TEST(HistoryFile(file).load().has_error());
    BOOST_TEST(HistoryFile(file).append("x").has_error());
    ::unlink(file.c_str());
    BOOST_REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
    BOOST_TEST(HistoryFile(file).load().has_error());  // and does not wait for a writer
    BOOST_TEST(HistoryFile("/proc/no/such/history").append("x").has_error());
}

BOOST_AUTO_TEST_CASE(it_does_not_grow_for_ever) {
    std::filesystem::create_directories(path + "/state/kvasir");
    {
        std::ofstream out(file);
        for (int i = 0; i < 2500; ++i) out << "entry " << i << "\n";
    }
    const auto entries = HistoryFile(file).load().value();
    BOOST_TEST(entries.size() == HistoryFile::kMostEntries);
    BOOST_TEST(entries.front() == "entry 1500");
    BOOST_TEST(entries.back() == "entry 2499");
    BOOST_TEST(bytes().starts_with("entry 1500\n"));
    BOOST_TEST(mode(file) == 0600U);
    BOOST_TEST(HistoryFile(file).append(std::string(100'000, 'x')).has_value());
    BOOST_TEST(HistoryFile(file).load().value().back() == "entry 2499");  // too long to keep
}

BOOST_AUTO_TEST_CASE(no_path_keeps_nothing) {
    BOOST_TEST(HistoryFile("").append("x").has_value());
    BOOST_TEST(HistoryFile("").load().value().empty());
}

BOOST_AUTO_TEST_CASE(the_path_follows_xdg) {
    for (const char* name : {"KVASIR_HISTORY", "XDG_STATE_HOME"}) ::unsetenv(name);
    const std::string home = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
    ::setenv("HOME", "/nonexistent", 1);
    BOOST_TEST(HistoryFile::default_path().empty());
    ::setenv("HOME", path.c_str(), 1);
    const std::string in_home = path + "/.local/state/kvasir/history";
    BOOST_TEST(HistoryFile::default_path() == in_home);
    ::setenv("XDG_STATE_HOME", "relative", 1);  // to be ignored, says the specification
    BOOST_TEST(HistoryFile::default_path() == in_home);
    ::setenv("XDG_STATE_HOME", "/state", 1);
    BOOST_TEST(HistoryFile::default_path() == "/state/kvasir/history");
    ::setenv("KVASIR_HISTORY", "", 1);
    BOOST_TEST(HistoryFile::default_path().empty());
    for (const char* name : {"KVASIR_HISTORY", "XDG_STATE_HOME"}) ::unsetenv(name);
    ::setenv("HOME", home.c_str(), 1);
}

BOOST_AUTO_TEST_SUITE_END()
