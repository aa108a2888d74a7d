#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/log.hpp"

using namespace kvasir;
namespace data = boost::unit_test::data;

namespace {

/// What `write` sends to stderr, with JOURNAL_STREAM naming that stream, another one, or unset.
enum class Journal { this_stream, another_stream, none };
std::string stderr_of(Journal journal, LogLevel level, const std::function<void()>& write) {
    std::FILE* file = std::tmpfile();
    BOOST_REQUIRE(file != nullptr);
    std::fflush(stderr);
    const int saved = ::dup(STDERR_FILENO);
    ::dup2(::fileno(file), STDERR_FILENO);
    struct stat status {};
    ::fstat(STDERR_FILENO, &status);
    const std::string stream =
        std::to_string(status.st_dev) + ":" +
        std::to_string(journal == Journal::another_stream ? 1 : status.st_ino);
    if (journal == Journal::none) {
        ::unsetenv("JOURNAL_STREAM");
    } else {
        ::setenv("JOURNAL_STREAM", stream.c_str(), 1);
    }
    set_up_log(level);
    write();
    std::fflush(stderr);
    ::dup2(saved, STDERR_FILENO);
    ::close(saved);
    ::unsetenv("JOURNAL_STREAM");
    std::string text(static_cast<std::size_t>(std::ftell(file)), '\0');
    std::rewind(file);
    text.resize(std::fread(text.data(), 1, text.size(), file));
    std::fclose(file);
    return text;
}

struct Quoted {
    std::string value;
    std::string line;
};
std::ostream& operator<<(std::ostream& out, const Quoted& q) {
    return out << q.line;
}

const std::vector<Quoted> kQuoted{
    {"plain", "plain"},
    {"/run/kvasir/kvasir.sock", "/run/kvasir/kvasir.sock"},
    {"", R"("")"},
    {"two words", R"("two words")"},
    {"a=b", R"("a=b")"},
    {"say \"hi\"", R"("say \"hi\"")"},
    {"back\\slash", R"("back\\slash")"},
    {"line\nbreak\r", R"("line\nbreak\x0d")"},
    {std::string("nul\0", 4), R"("nul\x00")"},
    {"\x1b[2J", R"("\x1b[2J")"},
    {"gr\xc3\xbc\xc3\x9f"
     "e",
     "\"gr\xc3\xbc\xc3\x9f"
     "e\""},
    {"\xf0\x9f\x90\x88", "\"\xf0\x9f\x90\x88\""},
    {"\xc2\x9b"
     "2J",
     R"("\xc2\x9b2J")"},                            // a C1 control that terminals obey
    {"\xc0\xaf", R"("\xc0\xaf")"},                  // overlong
    {"\xed\xa0\x80", R"("\xed\xa0\x80")"},          // a surrogate
    {"\xf4\x90\x80\x80", R"("\xf4\x90\x80\x80")"},  // beyond U+10FFFF
    {"cut \xe2\x82", R"("cut \xe2\x82")"},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(log_lines)

BOOST_DATA_TEST_CASE(a_value_is_bare_or_quoted_and_never_breaks_its_line, data::make(kQuoted), q) {
    BOOST_TEST(log_quoted(q.value) == q.line);
}

BOOST_AUTO_TEST_CASE(a_line_has_time_level_message_and_fields) {
    const std::string text = stderr_of(Journal::none, LogLevel::info, [] {
        log_warn("slow step", {{"ms", 12.5}, {"n_tokens", 3}, {"ok", false}, {"path", "/a b"}});
    });
    constexpr std::string_view kShape = "time=9999-99-99T99:99:99.999Z ";
    BOOST_REQUIRE(text.size() > kShape.size());
    for (std::size_t i = 0; i < kShape.size(); ++i) {
        const bool digit = text[i] >= '0' && text[i] <= '9';
        BOOST_TEST((kShape[i] == '9' ? digit : text[i] == kShape[i]), text);
    }
    BOOST_TEST(text.substr(kShape.size()) ==
               "level=warn msg=\"slow step\" ms=12.5 n_tokens=3 ok=false path=\"/a b\"\n");
}

BOOST_AUTO_TEST_CASE(under_the_journal_a_line_starts_with_its_priority) {
    const auto write = [] {
        log_error("one");
        log_warn("two");
        log_info("three");
        log_debug("four");
    };
    BOOST_TEST(stderr_of(Journal::this_stream, LogLevel::debug, write) ==
               "<3>level=error msg=one\n<4>level=warn msg=two\n<6>level=info "
               "msg=three\n<7>level=debug msg=four\n");
    BOOST_TEST(stderr_of(Journal::another_stream, LogLevel::debug, write).starts_with("time="));
}

BOOST_AUTO_TEST_CASE(lines_below_the_level_are_not_written) {
    const auto write = [] {
        log_debug("debug");
        log_info("info");
        spdlog::info("info");
        log_error("error");
    };
    BOOST_TEST(stderr_of(Journal::this_stream, LogLevel::error, write) ==
               "<3>level=error msg=error\n");
    BOOST_TEST(stderr_of(Journal::this_stream, LogLevel::off, write).empty());
}

BOOST_AUTO_TEST_CASE(text_given_to_spdlog_directly_stays_one_quoted_line) {
    const auto write = [] { spdlog::info("{}", "x\n<2>level=critical msg=forged"); };
    BOOST_TEST(stderr_of(Journal::this_stream, LogLevel::info, write) ==
               "<6>level=info msg=\"x\\n<2>level=critical msg=forged\"\n");
}

BOOST_AUTO_TEST_SUITE_END()
