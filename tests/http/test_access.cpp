#include <boost/test/unit_test.hpp>
#include <fstream>
#include <unistd.h>

#include "daemon/http/access.hpp"
#include "tests/http/http_fixture.hpp"

namespace kvasir {
namespace {

using test::TempDir;

std::uint32_t domain_of(const HttpOptions& options, std::uint32_t uid,
                        std::vector<std::uint32_t> groups = {}) {
    HttpRequest request;
    request.peer = {.uid = uid, .groups = std::move(groups)};
    return isolation_domain(options, request);
}

HttpOptions options_with(std::vector<DomainSettings> domains) {
    HttpOptions options;
    options.domains = DomainTable::resolve(domains).value();
    return options;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(access)

BOOST_AUTO_TEST_CASE(a_user_is_a_domain_of_its_own_unless_one_is_listed) {
    const HttpOptions options = options_with({{.name = "photos", .users = {"1001", "root"}},
                                              {.name = "mail", .users = {"1002", "1001"}},
                                              {.name = "guests", .groups = {"5000", "daemon"}}});
    const std::uint32_t photos = options.domains.find("photos").value();
    const std::uint32_t mail = options.domains.find("mail").value();
    const std::uint32_t guests = options.domains.find("guests").value();
    BOOST_TEST(photos != mail);
    BOOST_TEST(domain_of(options, 0) == photos);
    BOOST_TEST(domain_of(options, 1001) == photos);  // the first that matches
    BOOST_TEST(domain_of(options, 1002) == mail);
    BOOST_TEST(domain_of(options, 1003) == 1003U);
    BOOST_TEST(domain_of(options, 1003, {7, 5000}) == guests);
    BOOST_TEST(domain_of(options, 1003, {1}) == guests);  // daemon's number everywhere
    BOOST_TEST(domain_of(options, 1002, {5000}) == mail);
    BOOST_TEST(domain_of({}, 1000) == 1000U);
}

BOOST_AUTO_TEST_CASE(nobody_shares_a_domain_listed_or_not) {
    const HttpOptions options =
        options_with({{.name = "all", .users = {"65534"}, .groups = {"65534"}}});
    BOOST_TEST(domain_of({}, 65534) != domain_of({}, 65534));
    BOOST_TEST(domain_of(options, 65534, {65534}) != domain_of(options, 65534, {65534}));
    BOOST_TEST(domain_of(options, 65534) >= kFirstLoner);
    BOOST_TEST(domain_of(options, 0x80000001U) >= kFirstLoner);  // no uid of a person
    BOOST_TEST(domain_of(options, 1000, {65534}) == options.domains.find("all").value());
}

BOOST_AUTO_TEST_CASE(unknown_members_are_named) {
    const std::vector<DomainSettings> users = {{.name = "a", .users = {"no-such-user-here"}}};
    const auto user = DomainTable::resolve(users);
    BOOST_TEST((user.error().code == ErrorCode::invalid_argument));
    BOOST_TEST(user.error().message.find("no-such-user-here") != std::string::npos);
    const std::vector<DomainSettings> groups = {{.name = "a", .groups = {"no-such-group"}}};
    BOOST_TEST(
        (DomainTable::resolve(groups).error().message.find("no-such-group") != std::string::npos));
}

BOOST_AUTO_TEST_CASE(a_salt_narrows_its_domain_alone) {
    const DomainTable table;
    const std::uint32_t a = table.salted(1000, "a");
    BOOST_TEST(table.salted(1000, "a") == a);
    BOOST_TEST(table.salted(1000, "b") != a);
    BOOST_TEST(table.salted(1001, "a") != a);
    BOOST_TEST((a >= kFirstSalted && a < kFirstLoner));
    const DomainTable copy = table;
    BOOST_TEST(copy.salted(1000, "a") == a);
    // Beyond what is remembered the longest unused one is forgotten, never given to another.
    for (int i = 0; i < 5000; ++i) {
        BOOST_TEST_REQUIRE(table.salted(1000, "other " + std::to_string(i)) != a);
        BOOST_TEST_REQUIRE(table.salted(1000, "a") == a);
    }
    for (int i = 0; i < 5000; ++i) table.salted(1000, "more " + std::to_string(i));
    BOOST_TEST(table.salted(1000, "a") != a);
}

BOOST_AUTO_TEST_CASE(who_gets_a_number_later_is_another_on_disk) {
    const auto identity = [](const char* user) {
        const std::vector<DomainSettings> domains = {{.name = "photos", .users = {user}}};
        return DomainTable::resolve(domains).value().disk_identities().begin()->second;
    };
    // 0 is root here; a number without a name may be somebody's tomorrow.
    BOOST_TEST(identity("0") == identity("root"));
    BOOST_TEST(identity("0").find("root=0") != std::string::npos);
    BOOST_TEST(identity("3999999").find("=3999999") != std::string::npos);
    BOOST_TEST(identity("0") != identity("1"));
    BOOST_TEST(DomainTable().disk_identities().empty());
}

BOOST_AUTO_TEST_CASE(key_files_hold_keys_domains_and_comments) {
    const TempDir dir;
    const HttpOptions options = options_with({{.name = "work"}});
    std::ofstream(dir.file("keys")) << "# ours\n\nfirst-key work\n  second-key\t\nthird # own\n";
    const std::vector<ApiKey> keys = load_api_keys(dir.file("keys"), options.domains).value();
    BOOST_TEST_REQUIRE(keys.size() == 3U);
    BOOST_TEST(keys[0].key == "first-key");
    BOOST_TEST((keys[0].domain == options.domains.find("work")));
    BOOST_TEST(keys[1].key == "second-key");
    BOOST_TEST(!keys[1].domain.has_value());
    BOOST_TEST(!keys[2].domain.has_value());
    const auto unknown = load_api_keys(dir.file("keys"), {});
    BOOST_TEST((unknown.error().code == ErrorCode::invalid_argument));
    BOOST_TEST(unknown.error().message.find("keys:3: domain \"work\"") != std::string::npos);
    std::ofstream(dir.file("empty")) << "# nothing\n";
    BOOST_TEST((load_api_keys(dir.file("empty"), {}).error().code == ErrorCode::invalid_argument));
    BOOST_TEST((load_api_keys(dir.file("absent"), {}).error().code == ErrorCode::io));
    std::ofstream(dir.file("large")) << std::string(2 << 20, 'a');
    BOOST_TEST((load_api_keys(dir.file("large"), {}).error().code == ErrorCode::too_large));
}

BOOST_AUTO_TEST_CASE(keys_share_where_their_file_says_so) {
    HttpOptions options = options_with({{.name = "work"}});
    options.api_keys = {{"one", options.domains.find("work")},
                        {"two", options.domains.find("work")},
                        {"three", {}},
                        {"four", {}}};
    const auto domain = [&](const char* key) {
        HttpRequest request;
        request.over_tcp = true;
        request.authorization = std::string("Bearer ") + key;
        return isolation_domain(options, request);
    };
    BOOST_TEST(domain("one") == domain("two"));
    BOOST_TEST(domain("three") != domain("four"));
    BOOST_TEST(domain("three") != domain("one"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
