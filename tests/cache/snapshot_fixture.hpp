// Snapshots made by hand, for tests of the files and of the store.
#pragma once

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "cache/snapshot.hpp"

namespace kvasir::test {

using PageBytes = std::vector<std::byte>;

struct MadeSnapshot {
    SnapshotHead head;
    std::vector<PageBytes> pages;
};

inline PageBytes random_bytes(std::size_t n, std::mt19937_64& random) {
    PageBytes bytes(n);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() & 0x3fU);
    return bytes;
}

/// Two branches that share their first page, one without any.
inline MadeSnapshot make_snapshot(std::uint64_t seed, std::size_t page_bytes = 192) {
    std::mt19937_64 random(seed);
    MadeSnapshot made;
    SnapshotHead& head = made.head;
    head.numerics.fill(std::byte{7});
    head.name = "conversation";
    head.context = "repository";
    head.created_ms = 1'000'000;
    head.last_used_ms = 2'000'000;
    head.idle_ms = 500'000;
    head.page_bytes = page_bytes;
    for (const std::uint32_t parent : {SnapshotPage::kNoParent, 0U, 1U, 0U}) {
        SnapshotPage page{.parent = parent};
        for (TokenId& token : page.tokens) token = static_cast<TokenId>(random() % 4096);
        head.pages.push_back(page);
        made.pages.push_back(random_bytes(page_bytes, random));
    }
    head.branches = {{3, "other"}, {SnapshotPage::kNoParent, ""}, {2, "repository"}};
    head.n_last_prompt = 70;
    head.n_last_pages = 3;
    head.last_tail = {1, 2, 3};
    return made;
}

/// Its pages 1 and 3, ends of branches both, are absent.
inline MadeSnapshot make_snapshot_with_absent(std::uint64_t seed, std::size_t page_bytes = 192) {
    MadeSnapshot made = make_snapshot(seed, page_bytes);
    for (const std::size_t i : {1U, 3U}) {
        made.head.pages[i].is_absent = true;
        made.pages[i].clear();
    }
    return made;
}

inline Result<> fill(SnapshotWriter& writer, const MadeSnapshot& made) {
    for (const PageBytes& page : made.pages)
        KVASIR_TRY_VOID(page.empty() ? writer.add_absent_page() : writer.add_page(page));
    return writer.finish(made.head);
}

/// Head and every page, or the first error.
inline Result<MadeSnapshot> read_all(const std::filesystem::path& path) {
    KVASIR_TRY(SnapshotReader reader, SnapshotReader::open(path));
    MadeSnapshot made{.head = reader.head(), .pages = {}};
    for (std::uint32_t i = 0; i < made.head.pages.size(); ++i) {
        PageBytes bytes(made.head.pages[i].is_absent ? 0 : made.head.page_bytes);
        if (!bytes.empty()) KVASIR_TRY_VOID(reader.read_page(i, bytes));
        made.pages.push_back(std::move(bytes));
    }
    return made;
}

}  // namespace kvasir::test
