#include <boost/json.hpp>
#include <boost/test/unit_test.hpp>

#include "daemon/kvasir/top_report.hpp"

using namespace kvasir::client;
namespace json = boost::json;

namespace {

TopAnswers answers(int prefill, int generated, int asked, int reused) {
    TopAnswers a;
    a.health = R"({"status":"ok"})";
    a.models = R"({"data":[{"id":"tales"}]})";
    a.cache =
        R"({"pages":100,"page_bytes":1024,"page_tokens":32,"free_pages":60,"leased_pages":10,)"
        R"("cached_pages":30,"claimed_pages":5,"host_pages":3,"host_slots":8,"disk_bytes":9,)"
        R"("snapshots":1,"tokens_asked":)" +
        std::to_string(asked) + R"(,"tokens_reused":)" + std::to_string(reused) + "}";
    a.sessions =
        R"({"data":[{"id":"a","context":null,"tokens":64,"pages":2,"bytes":2048,"requests":3,)"
        R"("age_seconds":9.5,"idle_seconds":1.5,"expires_in_seconds":20,"running":true,)"
        R"("tier":"device"},{"id":"b","context":"c","expires_in_seconds":null}]})";
    a.metrics =
        "# HELP x y\nkvasir_requests_running 2\nkvasir_requests_waiting 1\n"
        "kvasir_requests_total 7\nkvasir_prefill_tokens_total " +
        std::to_string(prefill) + "\nkvasir_generated_tokens_total " + std::to_string(generated) +
        "\nkvasir_steps_total 5\nkvasir_cache_hits_total 4\n"
        "kvasir_cache_misses_total{reason=\"never_seen\"} 6\n"
        "kvasir_cache_misses_total{reason=\"evicted\"} 0\n";
    return a;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(top_report)

BOOST_AUTO_TEST_CASE(rates_are_what_grew_between_two_looks) {
    TopHistory history;
    const TopReport first = history.look(answers(100, 50, 200, 100), 10.0);
    BOOST_TEST(!first.rates.has_value());
    BOOST_TEST(first.model == "tales");
    BOOST_TEST(first.status == "ok");
    BOOST_TEST(first.pages.is_global);
    BOOST_TEST(first.pages.n_claimed == 5U);
    BOOST_TEST(first.counters->n_running == 2);
    BOOST_REQUIRE(first.counters->misses.size() == 1U);
    BOOST_TEST(first.counters->misses[0].first == "never_seen");
    const TopReport second = history.look(answers(600, 150, 300, 175), 12.0);
    BOOST_TEST(second.rates->prefill_tokens_per_second == 250);
    BOOST_TEST(second.rates->generate_tokens_per_second == 50);
    BOOST_TEST(second.rates->hit_share.value() == 0.75);
    const TopReport restarted = history.look(answers(0, 4, 0, 0), 13.0);
    BOOST_TEST(restarted.rates->generate_tokens_per_second == 0);  // not minus something
    BOOST_TEST(!restarted.rates->hit_share.has_value());
    BOOST_TEST((restarted.generate_history == std::vector<double>{50, 0}));
}

BOOST_AUTO_TEST_CASE(sessions_are_read) {
    const TopReport report = TopHistory().look(answers(0, 0, 0, 0), 1);
    BOOST_REQUIRE(report.sessions.size() == 2U);
    BOOST_TEST(report.sessions[0].id == "a");
    BOOST_TEST(report.sessions[0].is_running);
    BOOST_TEST(report.sessions[0].context.empty());
    BOOST_TEST(report.sessions[0].expires_in_seconds.value() == 20);
    BOOST_TEST(report.sessions[1].context == "c");
    BOOST_TEST(!report.sessions[1].expires_in_seconds.has_value());
}

BOOST_AUTO_TEST_CASE(who_is_no_administrator_sees_less) {
    TopAnswers a = answers(1, 1, 1, 1);
    a.metrics.clear();
    a.cache = R"({"pages":7,"page_bytes":1024})";
    TopHistory history;
    (void)history.look(a, 1);
    const TopReport report = history.look(a, 2);
    BOOST_TEST(!report.counters.has_value());
    BOOST_TEST(!report.rates.has_value());
    BOOST_TEST(!report.pages.is_global);
    BOOST_TEST(report.pages.n_pages == 7U);
}

BOOST_AUTO_TEST_CASE(a_failed_look_keeps_the_last_figures_but_no_rates) {
    TopHistory history;
    (void)history.look(answers(1, 1, 1, 1), 1);
    (void)history.look(answers(2, 2, 2, 2), 2);
    const TopReport report = history.miss("gone");
    BOOST_TEST(report.error == "gone");
    BOOST_TEST(report.pages.n_pages == 100U);
    BOOST_TEST(!report.rates.has_value());
    BOOST_TEST(TopHistory().miss("never").error == "never");
}

BOOST_AUTO_TEST_CASE(whatever_a_server_says_is_taken) {
    for (const char* odd :
         {"", "[]", "{", "7", R"({"data":7})", R"({"data":[7,null,{}]})",
          R"({"pages":-1,"page_bytes":1e300,"free_pages":"x","tokens_asked":1.5})",
          R"({"status":{},"data":[{"id":7,"tokens":-3,"expires_in_seconds":"soon"}]})"}) {
        TopHistory history;
        (void)history.look({odd, odd, odd, odd, odd}, 1);
        const TopReport report = history.look({odd, odd, odd, odd, odd}, 1);  // no time has passed
        BOOST_TEST(report.pages.n_pages == 0U);
        BOOST_TEST(json::parse(top_json(report)).is_object());
    }
    TopHistory history;
    for (int i = 0; i < 2000; ++i) (void)history.look(answers(i, i, i, i), i);
    BOOST_TEST(history.look(answers(1, 1, 1, 1), 9999).prefill_history.size() ==
               TopHistory::kLength);
}

BOOST_AUTO_TEST_CASE(json_holds_the_figures) {
    TopHistory history;
    (void)history.look(answers(100, 50, 200, 100), 10);
    const json::value value = json::parse(top_json(history.look(answers(300, 60, 200, 100), 12)));
    BOOST_TEST(value.at("status").as_string() == "ok");
    BOOST_TEST(value.at("tokens_per_second").at("prefill").to_number<double>() == 100);
    BOOST_TEST(value.at("tokens_per_second").at("decode").to_number<double>() == 5);
    BOOST_TEST(value.at("requests").at("running").to_number<int>() == 2);
    BOOST_TEST(value.at("pages").at("free").to_number<int>() == 60);
    BOOST_TEST(value.at("cache").at("misses").at("never_seen").to_number<int>() == 6);
    BOOST_TEST(value.at("sessions").at(0).at("id").as_string() == "a");
    BOOST_TEST(value.at("sessions").at(1).at("expires_in_seconds").is_null());
    BOOST_TEST(!value.as_object().contains("error"));
}

BOOST_AUTO_TEST_SUITE_END()
