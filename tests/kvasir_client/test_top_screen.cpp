#include <boost/test/unit_test.hpp>

#include "daemon/kvasir/bars.hpp"
#include "daemon/kvasir/top_screen.hpp"

using namespace kvasir::client;

namespace {

TopReport busy_report() {
    TopReport report;
    report.where = "/run/kvasir/kvasir.sock";
    report.model = "tales";
    report.status = "ok";
    report.clock = "13:04:07";
    report.pages = {.is_global = true,
                    .page_bytes = 1024,
                    .page_tokens = 32,
                    .n_pages = 1000,
                    .n_free = 600,
                    .n_leased = 100,
                    .n_cached = 300,
                    .n_claimed = 120,
                    .n_on_host = 25,
                    .n_host_slots = 50,
                    .disk_bytes = 3 << 20,
                    .n_snapshots = 2,
                    .n_tokens_asked = 200,
                    .n_tokens_reused = 150};
    report.counters = TopCounters{2, 1, 40, 500, 7000, 9000, 12, {{"never_seen", 5}}};
    report.rates = TopRates{1234.4, 56.25, 78, 0.5};
    report.prefill_history = {0, 1234.5};
    report.generate_history = {10, 20, 40, 56.25};
    for (int i = 0; i < 30; ++i) {
        TopSession& session = report.sessions.emplace_back();
        session.id = "session-" + std::to_string(i);
        session.tier = "device";
        session.n_tokens = 64;
        session.n_pages = 2;
        session.bytes = 2048;
        session.age_seconds = 7200;
        session.expires_in_seconds = 60;
        session.is_running = i == 0;
    }
    return report;
}

std::string all_text(const std::vector<ScreenLine>& lines) {
    std::string text;
    for (const ScreenLine& line : lines) text += line.text() + "\n";
    return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(top_screen)

BOOST_AUTO_TEST_CASE(everything_is_on_a_usual_screen) {
    const std::string text = all_text(kvasir::client::top_screen(busy_report(), {100, 30}));
    for (const char* part : {"tales",
                             "/run/kvasir/kvasir.sock",
                             "ok  13:04:07",
                             "1234 tokens/s",
                             "56.2 tokens/s",
                             "2 running",
                             "1 waiting",
                             "75 % of prompt tokens",
                             "50 % now",
                             "5 never seen",
                             "1000 pages  1000.0 KiB",
                             "100 running",
                             "120 named",
                             "180 cached",
                             "600 free",
                             "25 of 50 pages",
                             "3.0 MiB in 2 files",
                             "SESSION",
                             "TOKENS",
                             "TTL",
                             "session-0",
                             "2h",
                             "60s",
                             "q leaves",
                             "more sessions"}) {
        BOOST_TEST(text.find(part) != std::string::npos, part << " in\n" << text);
    }
}

BOOST_AUTO_TEST_CASE(it_fits_any_screen) {
    const TopReport report = busy_report();
    const TopReport failed = [] {
        TopReport made = busy_report();
        made.error = "cannot connect to somewhere far away, where nobody has listened for years";
        return made;
    }();
    for (std::size_t width = 1; width < 200; width += width < 40 ? 1 : 13) {
        for (std::size_t height = 1; height < 60; height += height < 20 ? 1 : 7) {
            for (const TopReport* one : {&report, &failed}) {
                const auto lines =
                    kvasir::client::top_screen(*one, {width, height, height % 2 == 0});
                BOOST_REQUIRE(lines.size() <= height);
                for (const ScreenLine& line : lines)
                    BOOST_REQUIRE_MESSAGE(line.width() <= width, line.text());
            }
        }
    }
    BOOST_TEST(kvasir::client::top_screen(TopReport{}, {80, 24}).size() == 24U);
}

BOOST_AUTO_TEST_CASE(sessions_take_what_is_left_and_the_rest_is_counted) {
    const TopReport report = busy_report();
    const auto lines = kvasir::client::top_screen(report, {100, 24});
    BOOST_TEST(lines.size() == 24U);
    std::size_t n_shown = 0;
    for (const ScreenLine& line : lines)
        n_shown += line.text().find(" session-") == std::string::npos ? 0U : 1U;
    BOOST_TEST(n_shown > 4U);
    BOOST_TEST(lines.back().text().find("and " + std::to_string(30 - n_shown) + " more sessions") !=
               std::string::npos);
    const auto whole = kvasir::client::top_screen(report, {100, 0, true, false});
    BOOST_TEST(all_text(whole).find("session-29") != std::string::npos);
    BOOST_TEST(all_text(whole).find("leaves") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(columns_that_do_not_fit_are_left_out_whole) {
    const std::string narrow = all_text(kvasir::client::top_screen(busy_report(), {60, 30}));
    BOOST_TEST(narrow.find("PAGES") != std::string::npos);
    BOOST_TEST(narrow.find("CONT") == std::string::npos);
    BOOST_TEST(narrow.find("TI") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(names_cannot_leave_their_cell) {
    TopReport report = busy_report();
    report.sessions.resize(2);
    report.sessions[0].id =
        "a\x1b[2J\n\xE2\x80\xAE" + std::string(200, 'x');         // turns the direction
    report.sessions[1].id = "\xE7\x8C\xAB\xE7\x8C\xAB bad \xFF";  // wide; no UTF-8
    report.sessions[1].context = "\x1b]0;owned\x07";
    report.model = "\x1b[31mred";
    report.error = "line\nbreak";
    const auto lines = kvasir::client::top_screen(report, {120, 30});
    for (const ScreenLine& line : lines) {
        BOOST_TEST(line.width() <= 120U);
        for (const char c : line.text()) BOOST_TEST(static_cast<unsigned char>(c) >= 0x20);
        BOOST_TEST(line.text().find("\xE2\x80\xAE") == std::string::npos);
    }
    BOOST_TEST(all_text(lines).find("a?[2J??xxx") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(without_rights_or_an_answer_it_says_so) {
    TopReport report = busy_report();
    report.counters.reset();
    report.rates.reset();
    report.pages = {.page_bytes = 1024, .n_pages = 7};
    const std::string text = all_text(kvasir::client::top_screen(report, {80, 24}));
    BOOST_TEST(text.find("for administrators") != std::string::npos);
    BOOST_TEST(text.find("your pages") != std::string::npos);
    TopReport none;
    none.error = "cannot connect";
    const std::string failed = all_text(kvasir::client::top_screen(none, {80, 24}));
    BOOST_TEST(failed.find("no answer") != std::string::npos);
    BOOST_TEST(failed.find("cannot connect") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(bars_add_up) {
    for (std::size_t width = 1; width < 50; ++width) {
        for (const auto& parts : std::vector<std::vector<double>>{
                 {}, {0}, {1, 0, 2}, {100}, {1, 1, 98}, {1000, 5}, {0.001, 0.001, 0.001}}) {
            BOOST_TEST(bar(parts, 100, width, true).width() == width);
            BOOST_TEST(bar(parts, 0, width, false).width() == width);
        }
    }
    BOOST_TEST(bar({25, 25}, 100, 8, false).text() == "##==....");
    BOOST_TEST(bar({1}, 1000, 4, false).text() == "#...");  // little is not nothing
}

BOOST_AUTO_TEST_CASE(sparklines_show_the_last_values) {
    BOOST_TEST(sparkline({0, 1, 8}, 10, true) == " ▁█");
    BOOST_TEST(sparkline({9, 0, 4, 8}, 3, true) == " ▄█");
    BOOST_TEST(sparkline({0, 0}, 5, true) == "  ");
    BOOST_TEST(sparkline({}, 5, true).empty());
    BOOST_TEST(sparkline({1, 2}, 0, true).empty());
}

BOOST_AUTO_TEST_CASE(lines_break_between_words) {
    BOOST_TEST(wrapped("one two three\nfour", 8) == "one two\nthree\nfour");
    BOOST_TEST(wrapped("one two", 7) == "one two");
    BOOST_TEST(wrapped("a wordthatislong b", 6) == "a\nwordthatislong\nb");
    BOOST_TEST(wrapped("/help   this\n", 40) == "/help   this\n");
    BOOST_TEST(wrapped("  indented\n\nend  ", 40) == "  indented\n\nend  ");
    BOOST_TEST(wrapped("as it is", 0) == "as it is");
    BOOST_TEST(wrapped("", 5).empty());
}

BOOST_AUTO_TEST_CASE(figures_are_short) {
    BOOST_TEST(short_duration(42.4) == "42s");
    BOOST_TEST(short_duration(720) == "12m");
    BOOST_TEST(short_duration(5 * 3600) == "5h");
    BOOST_TEST(short_duration(3 * 86400) == "3d");
    BOOST_TEST(short_duration(-1) == "0s");
    BOOST_TEST(short_bytes(512) == "512 B");
    BOOST_TEST(short_bytes(1536) == "1.5 KiB");
    BOOST_TEST(short_count(9999) == "9999");
    BOOST_TEST(short_count(12'345) == "12.3k");
    BOOST_TEST(short_count(4.5e6) == "4.5M");
    BOOST_TEST(cell("\xE7\x8C\xAB\xE7\x8C\xAB", 3) == "\xE7\x8C\xAB\xE2\x80\xA6");
    BOOST_TEST(cell("ab", 4) == "ab  ");
    BOOST_TEST(cell("abc", 0).empty());
}

BOOST_AUTO_TEST_SUITE_END()
