#include "daemon/engine/miss_reason.hpp"

#include <algorithm>
#include <string>

namespace kvasir {
namespace {

std::string bytes_of(std::span<const TokenId> tokens, const Tokenizer& tokenizer) {
    std::string bytes;
    for (const TokenId id : tokens) bytes += tokenizer.token_bytes(id, true);
    return bytes;
}

/// Other tokens of the same text: one begins with the other, as far as both were kept.
bool is_same_text(const Holders::Divergence& divergence, std::span<const TokenId> prompt,
                  const Tokenizer& tokenizer) {
    const std::string before = bytes_of(divergence.old_tokens, tokenizer);
    const auto rest = prompt.subspan(divergence.at);
    const std::string now =
        bytes_of(rest.first(std::min(rest.size(), divergence.old_tokens.size())), tokenizer);
    const std::size_t n = std::min(before.size(), now.size());
    return n > 0 && before.compare(0, n, now, 0, n) == 0;
}

}  // namespace

Miss explain_miss(KvCache::Miss first_page, std::uint32_t n_cached,
                  const std::optional<Holders::Divergence>& divergence,
                  std::span<const TokenId> prompt, bool is_chat, const Tokenizer& tokenizer) {
    if (first_page == KvCache::Miss::none) return {};
    // A divergence before or behind the first missing page explains nothing of that page.
    if (divergence && divergence->at >= n_cached && divergence->at < n_cached + kTokensPerPage) {
        const std::uint32_t at = divergence->at;
        if (!divergence->in_generated) return {MissReason::diverged, at};
        if (is_same_text(*divergence, prompt, tokenizer)) return {MissReason::retokenized, at};
        return {is_chat ? MissReason::template_ : MissReason::diverged, at};
    }
    switch (first_page) {
        case KvCache::Miss::none: return {};
        case KvCache::Miss::never_seen: return {MissReason::never_seen, 0};
        case KvCache::Miss::expired: return {MissReason::expired, 0};
        case KvCache::Miss::evicted: return {MissReason::evicted, 0};
    }
    return {};
}

}  // namespace kvasir
