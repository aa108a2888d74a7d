#include <boost/test/unit_test.hpp>
#include <fstream>

#include "cache/snapshot_store.hpp"
#include "tests/cache/snapshot_fixture.hpp"
#include "tests/support/temp_dir.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;
namespace fs = std::filesystem;

constexpr std::uint64_t kNow = 2'100'000;  // make_snapshot's expire at 2,500,000

std::unique_ptr<SnapshotStore> open_store(const TempDir& dir, std::uint64_t now_ms = kNow,
                                          std::uint64_t budget_bytes = 1U << 20U,
                                          bool scrub = false) {
    return SnapshotStore::open(
               {.dir = dir.path() / "kv", .budget_bytes = budget_bytes, .scrub = scrub}, now_ms)
        .value();
}

SnapshotKey session_key(const std::string& name, const std::string& domain = "photos") {
    return {.domain = domain, .kind = HolderKind::session, .name = name};
}

MadeSnapshot snapshot_for(const SnapshotStore& store, const SnapshotKey& key,
                          std::uint64_t seed = 1) {
    MadeSnapshot made = make_snapshot(seed);
    made.head.kind = key.kind;
    made.head.name = key.name;
    made.head.domain = store.domain_fingerprint(key.domain);
    return made;
}

Result<> save(SnapshotStore& store, const SnapshotKey& key, std::uint64_t seed = 1,
              std::uint64_t now_ms = kNow) {
    KVASIR_TRY(SnapshotWriter writer, store.create(key));
    KVASIR_TRY_VOID(fill(writer, snapshot_for(store, key, seed)));
    return store.publish(writer, now_ms);
}

const Fingerprint kNumerics = make_snapshot(0).head.numerics;

std::vector<fs::path> files_below(const fs::path& dir) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(dir))
        if (entry.is_regular_file() && entry.path().string().find(".kv") != std::string::npos)
            files.push_back(entry.path());
    return files;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(snapshot_store)

BOOST_AUTO_TEST_CASE(what_is_saved_is_found_again_after_a_restart) {
    const TempDir dir;
    {
        const auto store = open_store(dir);
        BOOST_TEST(!store->has(session_key("a")));
        BOOST_TEST(!save(*store, session_key("a")).has_error());
        BOOST_TEST(store->has(session_key("a")));
    }
    const auto store = open_store(dir);
    BOOST_TEST(store->has(session_key("a")));
    BOOST_TEST(!store->has(session_key("b")));
    BOOST_TEST(!store->has(session_key("a", "music")));
    BOOST_TEST(store->n_snapshots() == 1U);
    const auto reader = store->read(session_key("a"), kNumerics, kNow);
    BOOST_REQUIRE(!reader.has_error());
    BOOST_TEST((reader->head() == snapshot_for(*store, session_key("a")).head));
}

BOOST_AUTO_TEST_CASE(names_of_files_and_directories_tell_nothing) {
    const TempDir dir;
    const auto store = open_store(dir);
    BOOST_TEST(!save(*store, session_key("alice-secret", "photos")).has_error());
    for (const auto& entry : fs::recursive_directory_iterator(dir.path())) {
        const std::string path = entry.path().string();
        BOOST_TEST(path.find("alice") == std::string::npos);
        BOOST_TEST(path.find("photos") == std::string::npos);
        const auto mode = entry.status().permissions();
        BOOST_TEST(((mode & (fs::perms::group_all | fs::perms::others_all)) == fs::perms::none));
    }
    // Another store has another secret: its names say nothing about this one's.
    const TempDir other_dir;
    const auto other = open_store(other_dir);
    BOOST_TEST((other->domain_fingerprint("photos") != store->domain_fingerprint("photos")));
}

BOOST_AUTO_TEST_CASE(what_expired_is_gone_before_anybody_asks) {
    const TempDir dir;
    {
        const auto store = open_store(dir);
        BOOST_TEST(!save(*store, session_key("a")).has_error());
    }
    BOOST_TEST(open_store(dir, 2'499'999)->has(session_key("a")));
    BOOST_TEST(!open_store(dir, 2'500'000)->has(session_key("a")));
    BOOST_TEST(files_below(dir.path()).empty());
}

BOOST_AUTO_TEST_CASE(what_expires_while_the_daemon_runs_is_not_read) {
    const TempDir dir;
    const auto store = open_store(dir);
    BOOST_TEST(!save(*store, session_key("a")).has_error());
    BOOST_TEST(
        (store->read(session_key("a"), kNumerics, 2'500'000).error().code == ErrorCode::not_found));
    BOOST_TEST(files_below(dir.path()).empty());
}

BOOST_AUTO_TEST_CASE(what_was_never_finished_is_removed_at_the_start) {
    const TempDir dir;
    fs::path temporary;
    {
        const auto store = open_store(dir);
        BOOST_TEST(!save(*store, session_key("a")).has_error());
        temporary = files_below(dir.path()).front();
        temporary += ".tmp";
    }
    std::ofstream(temporary) << "half";
    const auto store = open_store(dir);
    BOOST_TEST(!fs::exists(temporary));
    BOOST_TEST(store->has(session_key("a")));
}

BOOST_AUTO_TEST_CASE(damaged_and_foreign_ones_are_set_aside) {
    const TempDir dir;
    const auto store = open_store(dir);
    BOOST_TEST(!save(*store, session_key("a")).has_error());
    BOOST_TEST(!save(*store, session_key("b")).has_error());
    Fingerprint other = kNumerics;
    other[0] ^= std::byte{1};
    BOOST_TEST((store->read(session_key("a"), other, kNow).error().code == ErrorCode::unsupported));
    BOOST_TEST(!store->has(session_key("a")));
    store->refuse(session_key("b"), {ErrorCode::corrupt, "page 3: checksum differs"});
    BOOST_TEST(!store->has(session_key("b")));
    const auto files = files_below(dir.path());
    BOOST_TEST(files.size() == 2U);
    for (const fs::path& file : files) BOOST_TEST(file.string().ends_with(".kv.refused"));
    // What was refused makes room for a new one under the same name.
    BOOST_TEST(!save(*store, session_key("a")).has_error());
    BOOST_TEST(!store->read(session_key("a"), kNumerics, kNow).has_error());
}

BOOST_AUTO_TEST_CASE(a_snapshot_under_anothers_name_is_refused) {
    const TempDir dir;
    const auto store = open_store(dir);
    BOOST_TEST(!save(*store, session_key("a")).has_error());
    const fs::path a = files_below(dir.path()).front();
    BOOST_TEST(!save(*store, session_key("b")).has_error());
    for (const fs::path& file : files_below(dir.path()))
        if (file != a) fs::copy_file(a, file, fs::copy_options::overwrite_existing);
    BOOST_TEST((store->read(session_key("b"), kNumerics, kNow).error().code == ErrorCode::corrupt));
    BOOST_TEST(!store->read(session_key("a"), kNumerics, kNow).has_error());
}

BOOST_AUTO_TEST_CASE(the_budget_is_kept_by_dropping_what_was_used_longest_ago) {
    const TempDir dir;
    std::uint64_t one = 0;
    {
        const auto store = open_store(dir);
        BOOST_TEST(!save(*store, session_key("size")).has_error());
        one = store->remove(session_key("size"));
        BOOST_TEST(one > 0U);
    }
    const auto store = open_store(dir, kNow, 3 * one + one / 2);
    for (std::uint64_t i = 0; i < 3; ++i)
        BOOST_TEST(!save(*store, session_key(std::to_string(i)), 1, kNow + i).has_error());
    BOOST_TEST(!store->read(session_key("0"), kNumerics, kNow + 10).has_error());
    BOOST_TEST(!save(*store, session_key("3"), 1, kNow + 11).has_error());
    BOOST_TEST(store->has(session_key("0")));
    BOOST_TEST(!store->has(session_key("1")));
    BOOST_TEST(store->has(session_key("2")));
    BOOST_TEST(store->has(session_key("3")));
    BOOST_TEST(store->bytes_used() <= 3 * one + one / 2);
}

BOOST_AUTO_TEST_CASE(a_snapshot_over_the_whole_budget_is_refused_and_drops_nothing) {
    const TempDir dir;
    const auto store = open_store(dir, kNow, 1200);
    BOOST_TEST(save(*store, session_key("big")).has_error());
    BOOST_TEST(store->n_snapshots() == 0U);
    BOOST_TEST(files_below(dir.path()).empty());
}

BOOST_AUTO_TEST_CASE(what_is_removed_while_it_is_written_never_appears) {
    const TempDir dir;
    const auto store = open_store(dir);
    const SnapshotKey key = session_key("a");
    {
        SnapshotWriter writer = store->create(key).value();
        BOOST_TEST(!fill(writer, snapshot_for(*store, key)).has_error());
        store->remove(key);
        BOOST_TEST((store->publish(writer, kNow).error().code == ErrorCode::conflict));
    }
    BOOST_TEST(files_below(dir.path()).empty());
}

BOOST_AUTO_TEST_CASE(scrub_zeroes_what_it_unlinks) {
    const TempDir dir;
    const auto store = open_store(dir, kNow, 1U << 20U, true);
    BOOST_TEST(!save(*store, session_key("a")).has_error());
    // Somebody who has the file open sees what the disk still has.
    std::ifstream file(files_below(dir.path()).front(), std::ios::binary);
    BOOST_TEST(store->remove(session_key("a")) > 0U);
    BOOST_TEST(files_below(dir.path()).empty());
    std::string content{std::istreambuf_iterator<char>(file), {}};
    BOOST_TEST(content.size() > 1000U);
    BOOST_TEST(content.find_first_not_of('\0') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(two_daemons_do_not_share_a_directory) {
    const TempDir dir;
    const auto store = open_store(dir);
    const auto second = SnapshotStore::open({.dir = dir.path() / "kv", .budget_bytes = 1}, kNow);
    BOOST_TEST((second.error().code == ErrorCode::conflict));
}

BOOST_AUTO_TEST_CASE(prefixes_of_a_domain_are_listed_by_name) {
    const TempDir dir;
    const auto store = open_store(dir);
    const auto prefix = [](const std::string& name, const std::string& domain) {
        return SnapshotKey{.domain = domain, .kind = HolderKind::prefix, .name = name};
    };
    BOOST_TEST(!save(*store, prefix("tools", "photos")).has_error());
    BOOST_TEST(!save(*store, prefix("assistant", "photos")).has_error());
    BOOST_TEST(!save(*store, prefix("other", "music")).has_error());
    BOOST_TEST(!save(*store, session_key("session", "photos")).has_error());
    BOOST_TEST((store->prefix_names("photos") == std::vector<std::string>{"assistant", "tools"}));
    BOOST_TEST((store->prefix_names("nobody").empty()));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
