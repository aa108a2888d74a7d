// Why a prompt found less than it could: a pure function of what cache and session remember.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "cache/holders.hpp"
#include "daemon/engine/generation.hpp"
#include "daemon/model/tokenizer.hpp"

namespace kvasir {

struct Miss {
    MissReason reason = MissReason::none;
    std::uint32_t diverged_at = 0;
};

/// Where the session's last request and this prompt part before the first page that was not found,
/// that is the reason; else what became of that page.
Miss explain_miss(KvCache::Miss first_page, std::uint32_t n_cached,
                  const std::optional<Holders::Divergence>& divergence,
                  std::span<const TokenId> prompt, bool is_chat, const Tokenizer& tokenizer);

}  // namespace kvasir
