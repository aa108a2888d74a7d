#include <boost/test/unit_test.hpp>
#include <vector>

#include "daemon/engine/domain_pages.hpp"

namespace kvasir {
namespace {

constexpr DomainId kPhotos{7};
constexpr DomainId kMail{8};
constexpr DomainId kOther{9};

}  // namespace

BOOST_AUTO_TEST_SUITE(domain_pages)

BOOST_AUTO_TEST_CASE(bytes_become_whole_pages) {
    const std::vector<EngineOptions::Domain> domains = {{kPhotos, "photos", 1000, 2999},
                                                        {kMail, "mail", 399, 0}};
    const auto limits = page_limits(domains, 100, 100).value();
    BOOST_TEST(limits.at(kPhotos).reserve == 10U);
    BOOST_TEST(limits.at(kPhotos).cap == 29U);
    BOOST_TEST(limits.at(kMail).reserve == 3U);
    BOOST_TEST(limits.at(kMail).cap == kNoCap);
    BOOST_TEST(page_limits({}, 100, 100)->empty());
}

BOOST_AUTO_TEST_CASE(budgets_that_cannot_be_are_named) {
    const std::vector<EngineOptions::Domain> small = {{kPhotos, "photos", 0, 99}};
    const auto cap = page_limits(small, 100, 100);
    BOOST_TEST((cap.error().code == ErrorCode::invalid_argument));
    BOOST_TEST((cap.error().message.find("\"photos\": cap of 99 bytes") != std::string::npos));
    const std::vector<EngineOptions::Domain> large = {{kPhotos, "photos", 6000, 0},
                                                      {kMail, "mail", 4100, 0}};
    const auto reserve = page_limits(large, 100, 100);
    BOOST_TEST((reserve.error().code == ErrorCode::invalid_argument));
    BOOST_TEST((reserve.error().message.find(
                    "\"mail\": reserve of 41 pages, expected at most 40") != std::string::npos));
    BOOST_TEST(page_limits(large, 101, 100).has_value());
}

BOOST_AUTO_TEST_CASE(who_overtakes_keeps_nobody_waiting) {
    const KvCache cache(
        {.n_pages = 16,
         .groups = {{kPhotos, {.reserve = 4, .cap = kNoCap}}, {kMail, {.reserve = 0, .cap = 3}}}});
    const GroupId photos = cache.group_of(kPhotos);
    const GroupId mail = cache.group_of(kMail);
    const GroupId other = cache.group_of(kOther);
    Overtaking overtaking(cache);
    BOOST_TEST(overtaking.allows(other, 100));
    overtaking.wait(mail, 4);  // for its own cap
    BOOST_TEST(!overtaking.allows(mail, 1));
    BOOST_TEST(overtaking.allows(other, 100));
    overtaking.wait(other, 10);  // for pages that anybody could take
    BOOST_TEST(!overtaking.allows(other, 1));
    BOOST_TEST(overtaking.allows(photos, 4));
    BOOST_TEST(!overtaking.allows(photos, 5));
}

BOOST_AUTO_TEST_CASE(pages_count_for_the_caller_or_for_all) {
    GenerationRequest request;
    request.domain = 7;
    request.page_domain = 1000;
    request.is_administrator = true;
    BOOST_TEST((accounted_domain(request) == kPhotos));
    request.prefix = PrefixOptions{};
    BOOST_TEST((accounted_domain(request) == kCommonDomain));
    request.is_administrator = false;
    BOOST_TEST((accounted_domain(request) == kPhotos));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
