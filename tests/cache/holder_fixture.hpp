// A cache with holders, asked in letters: "ab" is a text of two pages and one token more.
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cache/holders.hpp"

namespace kvasir {

constexpr DomainId kAlice{1};
constexpr DomainId kBob{2};

using Tokens = std::vector<TokenId>;
using Paths = std::set<std::string>;

inline Tokens operator+(Tokens a, const Tokens& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

inline TokenId token_of(char letter, std::size_t position) {
    return static_cast<TokenId>(letter) * 100 + static_cast<TokenId>(position % kTokensPerPage);
}

/// One page a letter.
inline Tokens pages_of(const std::string& letters) {
    Tokens tokens;
    for (std::size_t i = 0; i < letters.size() * kTokensPerPage; ++i)
        tokens.push_back(token_of(letters[i / kTokensPerPage], i));
    return tokens;
}

/// And one token that fills none: the last query's page, never reused.
inline Tokens text_of(const std::string& letters) {
    Tokens tokens = pages_of(letters);
    tokens.push_back(1);
    return tokens;
}

struct HolderFixture {
    KvCache cache;
    Holders holders;
    std::uint64_t now_ms = 1000;

    explicit HolderFixture(std::uint32_t n_pages = 32, const Holders::Limits& limits = {},
                           RetentionPolicy retention = RetentionPolicy::kvasir)
        : cache({.n_pages = n_pages, .retention = retention}), holders(cache, limits) {}

    explicit HolderFixture(const KvCache::Options& options) : cache(options), holders(cache, {}) {}

    Holder* find(const std::string& session, DomainId domain = kAlice) {
        return holders.find(HolderKind::session, domain, session);
    }
    Holder& use(HolderKind kind, const std::string& name, DomainId domain = kAlice) {
        return *holders.use(kind, domain, name, now_ms).value();
    }
    Holder& use(const std::string& session, DomainId domain = kAlice) {
        return use(HolderKind::session, session, domain);
    }

    /// As the engine begins a request on behalf of holder. Tokens are those of text_of.
    KvCache::Sequence begin(const std::string& letters, Holder* holder = nullptr,
                            DomainId domain = kAlice) {
        const Tokens prompt = text_of(letters);
        auto sequence = cache
                            .begin(holder != nullptr ? holder->domain : domain, prompt,
                                   static_cast<std::uint32_t>(prompt.size()), now_ms)
                            .value();
        if (holder == nullptr) return sequence;
        sequence.keep(KvCache::Keep::as_claimed);
        ++holder->n_running;
        return sequence;
    }
    void compute(KvCache::Sequence& sequence, const std::string& letters) const {
        const Tokens tokens = text_of(letters);
        if (!letters.empty()) sequence.ensure_page(static_cast<std::uint32_t>(letters.size()) - 1);
        sequence.append(std::span(tokens).subspan(sequence.n_tokens()));
        sequence.commit(now_ms);
    }
    void finish(KvCache::Sequence sequence, const std::string& letters, Holder* holder = nullptr,
                std::size_t n_prompt_pages = 1000) {
        if (holder != nullptr) {
            --holder->n_running;
            const Tokens tokens = text_of(letters);
            const std::size_t n_prompt = std::min(tokens.size(), n_prompt_pages * kTokensPerPage);
            holders.hold(*holder, sequence.tip(), tokens, static_cast<std::uint32_t>(n_prompt),
                         now_ms);
        }
        sequence.release(now_ms);
        cache.check_invariants();
    }

    /// A whole request. Returns the pages that it found.
    std::uint32_t ask(const std::string& letters, Holder* holder = nullptr,
                      DomainId domain = kAlice, const std::string& context = {}) {
        ++now_ms;
        KvCache::Sequence sequence = begin(letters, holder, domain);
        const std::uint32_t n_found = sequence.n_cached_tokens() / kTokensPerPage;
        if (holder != nullptr) holders.change_context(*holder, context);
        compute(sequence, letters);
        finish(std::move(sequence), letters, holder);
        return n_found;
    }
    std::uint32_t ask(const std::string& letters, const std::string& session,
                      const std::string& context = {}, DomainId domain = kAlice) {
        return ask(letters, &use(session, domain), domain, context);
    }
    /// A look that claims nothing: what a request would find, and what it would miss.
    KvCache::Sequence look(const std::string& letters, DomainId domain = kAlice) {
        KvCache::Sequence sequence = begin(letters, nullptr, domain);
        sequence.keep(KvCache::Keep::as_claimed);
        return sequence;
    }
    KvCache::Miss miss(const std::string& letters, DomainId domain = kAlice) {
        return look(letters, domain).miss();
    }

    /// Every page by the letters of its path and its domain: "1:ab", "2:ab", "*:ab" where common.
    Paths pages() const {
        Paths paths;
        for (std::uint32_t i = 0; i < cache.tree().id_limit(); ++i)
            if (cache.tree().contains(NodeId{i})) paths.insert(path_of(NodeId{i}));
        return paths;
    }
    /// What branches end on, oldest use first.
    std::vector<std::string> tips(const Holder& holder) const {
        std::vector<std::string> tips;
        for (const Holder::Branch& branch : holder.branches)
            tips.push_back(path_of(cache.tip(branch.id)));
        return tips;
    }
    std::string path_of(NodeId node) const {
        if (node == kNoNode) return {};
        const PrefixTree& tree = cache.tree();
        std::string path =
            tree.domain(node) == kCommonDomain
                ? "*:"
                : std::to_string(static_cast<std::uint32_t>(tree.domain(node))) + ":";
        const std::size_t at = path.size();
        for (; node != kNoNode; node = tree.parent(node))
            path.insert(at, 1, static_cast<char>(tree.tokens(node)[0] / 100));
        return path;
    }
};

}  // namespace kvasir

namespace std {  // for BOOST_TEST, which finds no other
inline ostream& operator<<(ostream& out, const kvasir::Paths& paths) {
    for (const auto& path : paths) out << path << ' ';
    return out;
}
}  // namespace std
