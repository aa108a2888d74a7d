#include "cache/snapshot_head.hpp"

#include <algorithm>
#include <limits>

#include "config/base/bytes.hpp"

namespace kvasir {
namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint32_t kMostBranches = 64;
constexpr std::uint32_t kLongestName = 4096;
constexpr std::uint64_t kLargestPage = 1ULL << 30U;

void write_text(ByteWriter& out, const std::string& text) {
    out.write(static_cast<std::uint32_t>(text.size()));
    out.write_bytes(std::as_bytes(std::span(text)));
}

Result<std::string> read_text(ByteReader& in, const std::string& subject, const char* what) {
    KVASIR_TRY(const auto n, in.read<std::uint32_t>(what));
    if (n > kLongestName) {
        return Error{ErrorCode::corrupt, subject + ": head: " + what + " of " + std::to_string(n) +
                                             " bytes, expected at most " +
                                             std::to_string(kLongestName)};
    }
    KVASIR_TRY(const auto bytes, in.read_bytes(n, what));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<> read_fingerprint(ByteReader& in, const char* what, Fingerprint& out) {
    KVASIR_TRY(const auto bytes, in.read_bytes(out.size(), what));
    std::ranges::copy(bytes, out.begin());
    return {};
}

Result<> read_tokens(ByteReader& in, const char* what, std::span<TokenId> out) {
    for (TokenId& token : out) {
        KVASIR_TRY(token, in.read<TokenId>(what));
    }
    return {};
}

std::optional<std::uint64_t> unless_never(std::uint64_t ms) {
    return ms == kNever ? std::nullopt : std::optional(ms);
}

/// Parents before children; frames one after the other, from the start to the head.
Result<> read_pages(ByteReader& in, const std::string& subject, const SnapshotEnd& end,
                    SnapshotHead& head, std::vector<SnapshotPlace>& places) {
    std::uint64_t at = kSnapshotStartBytes;
    for (std::uint32_t i = 0; i < end.n_pages; ++i) {
        SnapshotPage page;
        SnapshotPlace place{.offset = at};
        KVASIR_TRY(page.parent, in.read<std::uint32_t>("parent of a page"));
        KVASIR_TRY_VOID(read_tokens(in, "tokens of a page", page.tokens));
        KVASIR_TRY(place.stored_bytes, in.read<std::uint32_t>("stored bytes of a page"));
        KVASIR_TRY(place.checksum, in.read<std::uint64_t>("checksum of a page"));
        KVASIR_TRY(const auto offset, in.read<std::uint64_t>("offset of a page"));
        if (page.parent != SnapshotPage::kNoParent && page.parent >= i) {
            return Error{ErrorCode::corrupt, subject + ": head: page " + std::to_string(i) +
                                                 " after page " + std::to_string(page.parent)};
        }
        page.is_absent = place.stored_bytes == 0;
        if (offset != at || place.stored_bytes > end.head_offset - at) {
            return Error{ErrorCode::corrupt, subject + ": head: page " + std::to_string(i) +
                                                 " at byte " + std::to_string(offset) +
                                                 ", expected " + std::to_string(at)};
        }
        at += place.stored_bytes;
        head.pages.push_back(page);
        places.push_back(place);
    }
    if (at != end.head_offset)
        return Error{ErrorCode::corrupt, subject + ": head: its pages do not fill the file"};
    return {};
}

}  // namespace

std::uint64_t SnapshotHead::expires_at_ms() const {
    const auto later = [](std::uint64_t from, std::optional<std::uint64_t> by) {
        return by && *by < kNever - from ? from + *by : kNever;
    };
    return std::min(later(last_used_ms, idle_ms), later(created_ms, absolute_ms));
}

std::vector<std::byte> to_bytes(const SnapshotHead& head, std::span<const SnapshotPlace> places) {
    ByteWriter out;
    out.write_bytes(head.numerics);
    out.write_bytes(head.domain);
    out.write(static_cast<std::uint32_t>(head.kind));
    out.write(std::uint32_t{kTokensPerPage});
    out.write(head.page_bytes);
    out.write(head.created_ms);
    out.write(head.last_used_ms);
    out.write(head.idle_ms.value_or(kNever));
    out.write(head.absolute_ms.value_or(kNever));
    write_text(out, head.name);
    write_text(out, head.context);
    out.write(static_cast<std::uint32_t>(head.branches.size()));
    for (const SnapshotBranch& branch : head.branches) {
        out.write(branch.tip);
        write_text(out, branch.context);
    }
    out.write(head.n_last_prompt);
    out.write(head.n_last_pages);
    out.write(static_cast<std::uint32_t>(head.last_tail.size()));
    out.write_bytes(std::as_bytes(std::span(head.last_tail)));
    for (std::size_t i = 0; i < head.pages.size(); ++i) {
        out.write(head.pages[i].parent);
        out.write_bytes(std::as_bytes(std::span(head.pages[i].tokens)));
        out.write(places[i].stored_bytes);
        out.write(places[i].checksum);
        out.write(places[i].offset);
    }
    return out.bytes();
}

Result<> parse_head(std::span<const std::byte> bytes, const std::string& subject,
                    const SnapshotEnd& end, SnapshotHead& head,
                    std::vector<SnapshotPlace>& places) {
    const auto wrong = [&](const std::string& what) {
        return Error{ErrorCode::corrupt, subject + ": head: " + what};
    };
    ByteReader in(bytes, subject + ": head");
    KVASIR_TRY_VOID(read_fingerprint(in, "numerics", head.numerics));
    KVASIR_TRY_VOID(read_fingerprint(in, "domain", head.domain));
    KVASIR_TRY(const auto kind, in.read<std::uint32_t>("kind"));
    if (kind > static_cast<std::uint32_t>(HolderKind::context))
        return wrong("kind " + std::to_string(kind));
    head.kind = static_cast<HolderKind>(kind);
    KVASIR_TRY(const auto page_tokens, in.read<std::uint32_t>("tokens a page"));
    if (page_tokens != kTokensPerPage)
        return wrong(std::to_string(page_tokens) + " tokens a page, expected " +
                     std::to_string(kTokensPerPage));
    KVASIR_TRY(head.page_bytes, in.read<std::uint64_t>("bytes a page"));
    if (head.page_bytes == 0 || head.page_bytes > kLargestPage)
        return wrong(std::to_string(head.page_bytes) + " bytes a page");
    KVASIR_TRY(head.created_ms, in.read<std::uint64_t>("creation"));
    KVASIR_TRY(head.last_used_ms, in.read<std::uint64_t>("last use"));
    KVASIR_TRY(const auto idle, in.read<std::uint64_t>("idle time to live"));
    KVASIR_TRY(const auto absolute, in.read<std::uint64_t>("time to live"));
    head.idle_ms = unless_never(idle);
    head.absolute_ms = unless_never(absolute);
    KVASIR_TRY(head.name, read_text(in, subject, "name"));
    KVASIR_TRY(head.context, read_text(in, subject, "context"));
    KVASIR_TRY(const auto n_branches, in.read<std::uint32_t>("branches"));
    if (n_branches > kMostBranches) return wrong(std::to_string(n_branches) + " branches");
    for (std::uint32_t i = 0; i < n_branches; ++i) {
        SnapshotBranch branch;
        KVASIR_TRY(branch.tip, in.read<std::uint32_t>("tip of a branch"));
        if (branch.tip != SnapshotPage::kNoParent && branch.tip >= end.n_pages)
            return wrong("a branch that ends at page " + std::to_string(branch.tip));
        KVASIR_TRY(branch.context, read_text(in, subject, "context of a branch"));
        head.branches.push_back(std::move(branch));
    }
    KVASIR_TRY(head.n_last_prompt, in.read<std::uint32_t>("prompt tokens"));
    KVASIR_TRY(head.n_last_pages, in.read<std::uint32_t>("pages of the last request"));
    KVASIR_TRY(const auto n_tail, in.read<std::uint32_t>("tokens after the last page"));
    if (n_tail > in.remaining() / sizeof(TokenId)) return wrong("more tokens than bytes");
    head.last_tail.resize(n_tail);
    KVASIR_TRY_VOID(read_tokens(in, "tokens after the last page", head.last_tail));
    KVASIR_TRY_VOID(read_pages(in, subject, end, head, places));
    if (in.remaining() > 0) return wrong(std::to_string(in.remaining()) + " bytes too many");
    return {};
}

}  // namespace kvasir
