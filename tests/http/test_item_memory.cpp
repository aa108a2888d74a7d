#include <boost/test/unit_test.hpp>
#include <thread>
#include <vector>

#include "daemon/http/item_memory.hpp"

using kvasir::ItemMemory;

BOOST_AUTO_TEST_SUITE(item_memory)

BOOST_AUTO_TEST_CASE(an_item_is_its_domains_alone) {
    ItemMemory items;
    items.remember({1, "", ""}, "msg_1", "{}");
    BOOST_TEST(items.find(1, "msg_1").value() == "{}");
    BOOST_TEST(!items.find(2, "msg_1").has_value());
    BOOST_TEST(!items.find(1, "msg_2").has_value());
    items.remember({2, "", ""}, "msg_1", "another's");  // an id is one item's for ever
    BOOST_TEST(!items.find(2, "msg_1").has_value());
}

BOOST_AUTO_TEST_CASE(what_a_session_or_a_context_said_goes_with_it) {
    ItemMemory items;
    items.remember({1, "a", ""}, "msg_1", "{}");
    items.remember({1, "b", ""}, "msg_2", "{}");
    items.remember({1, "", ""}, "msg_3", "{}");
    items.remember({2, "a", ""}, "msg_4", "{}");
    items.remember({1, "b", "garden"}, "msg_5", "{}");
    items.forget_session(1, "a");
    items.forget_session(1, "");
    items.forget_context(1, "garden");
    items.forget_context(2, "");
    BOOST_TEST(!items.find(1, "msg_1").has_value());
    BOOST_TEST(items.find(1, "msg_2").has_value());
    BOOST_TEST(items.find(1, "msg_3").has_value());
    BOOST_TEST(items.find(2, "msg_4").has_value());
    BOOST_TEST(!items.find(1, "msg_5").has_value());
}

BOOST_AUTO_TEST_CASE(pressure_takes_the_oldest_of_the_domain_that_holds_most) {
    ItemMemory items({.bytes = 16'000, .time_to_live = std::chrono::hours(1)});
    items.remember({1, "", ""}, "msg_small", "{}");
    for (int i = 0; i < 200; ++i)
        items.remember({2, "", ""}, "msg_" + std::to_string(i), std::string(500, 'x'));
    BOOST_TEST(items.bytes_held() <= 16'000U);
    BOOST_TEST(items.bytes_held() > 14'000U);
    BOOST_TEST(items.find(1, "msg_small").has_value());
    BOOST_TEST(items.find(2, "msg_199").has_value());
    BOOST_TEST(items.find(2, "msg_190").has_value());
    BOOST_TEST(!items.find(2, "msg_0").has_value());
    items.remember({3, "", ""}, "msg_large", std::string(16'000, 'x'));
    BOOST_TEST(!items.find(3, "msg_large").has_value());
    BOOST_TEST(items.find(2, "msg_199").has_value());
}

BOOST_AUTO_TEST_CASE(all_go_after_a_time) {
    ItemMemory items({.bytes = 16'000, .time_to_live = std::chrono::milliseconds(20)});
    items.remember({1, "", ""}, "msg_1", "{}");
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    BOOST_TEST(!items.find(1, "msg_1").has_value());
    BOOST_TEST(items.bytes_held() == 0U);
}

BOOST_AUTO_TEST_CASE(threads_may_meet) {
    ItemMemory items({.bytes = 8'000, .time_to_live = std::chrono::hours(1)});
    std::vector<std::thread> threads;
    for (std::uint32_t domain = 0; domain < 4; ++domain) {
        threads.emplace_back([&items, domain] {
            const std::string session = domain % 2 == 0 ? "s" : "";
            for (int i = 0; i < 500; ++i) {
                const std::string id = std::to_string(domain) + "_" + std::to_string(i);
                items.remember({domain, session, ""}, id, std::string(100, 'x'));
                static_cast<void>(items.find(domain, id));
                if (i % 50 == 0) items.forget_session(domain, session);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    BOOST_TEST(items.bytes_held() <= 8'000U);
}

BOOST_AUTO_TEST_SUITE_END()
