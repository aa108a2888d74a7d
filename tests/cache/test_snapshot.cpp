#include <boost/test/unit_test.hpp>
#include <fstream>
#include <iterator>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "cache/snapshot.hpp"
#include "tests/cache/snapshot_fixture.hpp"
#include "tests/support/corrupt.hpp"
#include "tests/support/temp_dir.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;
namespace fs = std::filesystem;

fs::path write_snapshot(const TempDir& dir, const MadeSnapshot& made) {
    fs::path path = dir.path() / "one.kv";
    SnapshotWriter writer = SnapshotWriter::create(path).value();
    BOOST_REQUIRE(!fill(writer, made).has_error());
    BOOST_REQUIRE(!writer.publish().has_error());
    return path;
}

std::string content_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void overwrite(const fs::path& path, const std::string& content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(snapshot)

BOOST_AUTO_TEST_CASE(what_is_read_is_what_was_written) {
    for (const std::size_t page_bytes : {1UL, 192UL, 5UL * 4096 + 3}) {
        const TempDir dir;
        const MadeSnapshot made = make_snapshot(page_bytes, page_bytes);
        const fs::path path = write_snapshot(dir, made);
        const MadeSnapshot read = read_all(path).value();
        BOOST_TEST((read.head == made.head));
        BOOST_TEST((read.pages == made.pages));
        const SnapshotEnd end = SnapshotReader::read_end(path).value();
        BOOST_TEST(end.n_pages == 4U);
        BOOST_TEST(end.expires_at_ms == 2'500'000U);
        struct stat status {};
        BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
        BOOST_TEST((status.st_mode & 0777U) == 0600U);
    }
}

BOOST_AUTO_TEST_CASE(pages_can_be_read_alone_and_in_any_order) {
    const TempDir dir;
    const MadeSnapshot made = make_snapshot(5);
    SnapshotReader reader = SnapshotReader::open(write_snapshot(dir, made)).value();
    PageBytes bytes(made.head.page_bytes);
    for (const std::uint32_t i : {3U, 0U, 2U, 0U}) {
        BOOST_TEST(!reader.read_page(i, bytes).has_error());
        BOOST_TEST((bytes == made.pages[i]));
    }
}

BOOST_AUTO_TEST_CASE(a_snapshot_without_pages_is_one) {
    const TempDir dir;
    MadeSnapshot made = make_snapshot(1);
    made.pages.clear();
    made.head.pages.clear();
    made.head.branches.clear();
    BOOST_TEST((read_all(write_snapshot(dir, made)).value().head == made.head));
}

BOOST_AUTO_TEST_CASE(absent_pages_keep_their_tokens) {
    const TempDir dir;
    MadeSnapshot made = make_snapshot_with_absent(9);
    const MadeSnapshot read = read_all(write_snapshot(dir, made)).value();
    BOOST_TEST((read.head == made.head));
    BOOST_TEST((read.pages == made.pages));
    // Nothing but absent pages.
    for (std::size_t i = 0; i < made.pages.size(); ++i) {
        made.head.pages[i].is_absent = true;
        made.pages[i].clear();
    }
    BOOST_TEST((read_all(write_snapshot(dir, made)).value().head == made.head));
    SnapshotWriter writer = SnapshotWriter::create(dir.path() / "two.kv").value();
    for (std::uint32_t i = 0; i < kMostAbsentPages; ++i)
        BOOST_REQUIRE(!writer.add_absent_page().has_error());
    BOOST_TEST((writer.add_absent_page().error().code == ErrorCode::too_large));
}

BOOST_AUTO_TEST_CASE(every_flipped_bit_is_reported_as_corrupt) {
    const TempDir dir;
    const auto whole = read_file(write_snapshot(dir, make_snapshot_with_absent(2, 64)));
    for_each_flipped_bit(
        whole, 0, whole.size(), 1, [](const fs::path& path, std::size_t at, unsigned bit) {
            const auto read = read_all(path);
            BOOST_REQUIRE_MESSAGE(read.has_error(), "byte " << at << " bit " << bit);
            BOOST_TEST((read.error().code == ErrorCode::corrupt),
                       "byte " << at << " bit " << bit << ": " << read.error().message);
        });
}

BOOST_AUTO_TEST_CASE(every_cut_and_every_addition_is_reported_as_corrupt) {
    const TempDir dir;
    const fs::path path = write_snapshot(dir, make_snapshot_with_absent(3, 64));
    for_each_truncation(
        read_file(path), fs::file_size(path), 1, [](const fs::path& cut, std::size_t n) {
            const auto read = read_all(cut);
            BOOST_REQUIRE_MESSAGE(read.has_error(), "cut to " << n);
            BOOST_TEST((read.error().code == ErrorCode::corrupt), read.error().message);
        });
    const std::string whole = content_of(path);
    // From the front, too: the end alone does not make a snapshot.
    for (std::size_t n = 1; n < whole.size(); ++n) {
        overwrite(path, whole.substr(n));
        BOOST_TEST(read_all(path).has_error());
    }
    overwrite(path, whole + std::string(1, 0));
    BOOST_TEST(read_all(path).has_error());
    overwrite(path, whole + whole);
    BOOST_TEST(read_all(path).has_error());
}

BOOST_AUTO_TEST_CASE(a_page_in_another_pages_place_is_reported) {
    const TempDir dir;
    MadeSnapshot made = make_snapshot(4);
    made.pages.assign(4, made.pages.front());  // equal frames, so that places can be exchanged
    made.pages[1][0] ^= std::byte{1};
    const fs::path path = write_snapshot(dir, made);
    std::string content = content_of(path);
    // Page 0's frame lies at byte 16; page 1's follows. Same length: one symbol differs.
    const std::size_t n = (SnapshotReader::read_end(path).value().head_offset - 16) / 4;
    const std::string first = content.substr(16, n);
    const std::string second = content.substr(16 + n, n);
    BOOST_REQUIRE(first != second);
    content.replace(16, n, second).replace(16 + n, n, first);
    overwrite(path, content);
    BOOST_TEST(read_all(path).has_error());
}

BOOST_AUTO_TEST_CASE(a_writer_that_does_not_finish_leaves_nothing) {
    const TempDir dir;
    const MadeSnapshot made = make_snapshot(6);
    {
        SnapshotWriter writer = SnapshotWriter::create(dir.path() / "one.kv").value();
        BOOST_TEST(!writer.add_page(made.pages[0]).has_error());
    }
    {
        SnapshotWriter writer = SnapshotWriter::create(dir.path() / "one.kv").value();
        BOOST_TEST(!fill(writer, made).has_error());  // finished, not published
    }
    BOOST_TEST(fs::is_empty(dir.path()));
}

BOOST_AUTO_TEST_CASE(a_directory_that_cannot_be_written_and_a_file_that_is_none_are_errors) {
    const TempDir dir;
    BOOST_TEST((SnapshotWriter::create(dir.path() / "none" / "one.kv").error().code ==
                ErrorCode::not_found));
    BOOST_TEST((SnapshotReader::open(dir.path() / "none.kv").error().code == ErrorCode::not_found));
    BOOST_TEST(SnapshotReader::open(dir.path()).has_error());
    BOOST_TEST(SnapshotReader::open("/dev/zero").has_error());
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_an_error_and_leaves_what_was_there) {
    const TempDir dir;
    const MadeSnapshot before = make_snapshot(7);
    const fs::path path = write_snapshot(dir, before);
    SnapshotWriter writer = SnapshotWriter::create(path).value();
    // The file's own size limit stands for the disk's.
    rlimit old{};
    ::getrlimit(RLIMIT_FSIZE, &old);
    const rlimit small{.rlim_cur = 100, .rlim_max = old.rlim_max};
    ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &small);
    const auto filled = fill(writer, make_snapshot(8));
    ::setrlimit(RLIMIT_FSIZE, &old);
    BOOST_TEST((filled.error().code == ErrorCode::io));
    BOOST_TEST((read_all(path).value().head == before.head));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
