#include <boost/test/unit_test.hpp>
#include <set>
#include <utility>
#include <vector>

#include "cache/page_pool.hpp"

using namespace kvasir;

BOOST_AUTO_TEST_SUITE(page_pool)

BOOST_AUTO_TEST_CASE(a_new_pool_is_all_free) {
    const PagePool pool(3);
    pool.check_invariants();
    BOOST_TEST(pool.n_pages() == 3U);
    BOOST_TEST(pool.n_free() == 3U);
    BOOST_TEST(pool.n_cached() == 0U);
    BOOST_TEST(pool.n_leased() == 0U);
    for (std::uint32_t i = 0; i < 3; ++i) BOOST_TEST((pool.state(PageId{i}) == PageState::free));
}

BOOST_AUTO_TEST_CASE(acquire_gives_each_page_once_and_then_nothing) {
    PagePool pool(4);
    std::vector<PageLease> leases;
    std::set<std::uint32_t> pages;
    for (int i = 0; i < 4; ++i) {
        leases.push_back(pool.acquire().value());
        pages.insert(to_index(leases.back().page()));
    }
    BOOST_TEST(pages.size() == 4U);
    BOOST_TEST(!pool.acquire().has_value());
    pool.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_page_without_kept_content_is_free_after_its_last_lease) {
    PagePool pool(1);
    auto first = pool.acquire();
    auto second = pool.lease(first->page());
    BOOST_TEST(pool.n_leases(second.page()) == 2U);
    first->reset();
    BOOST_TEST((pool.state(second.page()) == PageState::leased));
    second.reset();
    BOOST_TEST(pool.n_free() == 1U);
    pool.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_kept_page_is_cached_after_its_last_lease_until_it_is_freed) {
    PagePool pool(1);
    auto lease = pool.acquire();
    const PageId page = lease->page();
    pool.keep(page);
    lease->reset();
    BOOST_TEST((pool.state(page) == PageState::cached));
    BOOST_TEST(!pool.acquire().has_value());

    auto again = pool.lease(page);
    BOOST_TEST(pool.n_cached() == 0U);
    again.reset();
    BOOST_TEST(pool.n_cached() == 1U);

    pool.free(page);
    BOOST_TEST((pool.state(page) == PageState::free));
    pool.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_page_acquired_anew_has_forgotten_that_it_was_kept) {
    PagePool pool(1);
    auto lease = pool.acquire();
    pool.keep(lease->page());
    const PageId page = lease->page();
    lease->reset();
    pool.free(page);
    lease = pool.acquire();
    lease->reset();
    BOOST_TEST((pool.state(page) == PageState::free));
}

BOOST_AUTO_TEST_CASE(moving_a_lease_moves_the_reference) {
    PagePool pool(2);
    PageLease a = std::move(*pool.acquire());
    const PageId page = a.page();
    PageLease b = std::move(a);
    BOOST_TEST(!a);  // NOLINT(bugprone-use-after-move): moved-from is empty, by contract
    BOOST_TEST(pool.n_leases(page) == 1U);
    a = std::move(*pool.acquire());
    a = std::move(b);  // the page that a held goes
    BOOST_TEST(pool.n_leased() == 1U);
    PageLease& alias = a;
    a = std::move(alias);
    BOOST_TEST(pool.n_leases(page) == 1U);
    a.reset();
    a.reset();
    BOOST_TEST(pool.n_free() == 2U);
    pool.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_pool_of_no_pages_is_a_pool) {
    PagePool pool(0);
    BOOST_TEST(!pool.acquire().has_value());
    pool.check_invariants();
}

BOOST_AUTO_TEST_SUITE_END()
