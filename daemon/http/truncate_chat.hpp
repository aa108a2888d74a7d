// overflow = "truncate": which turns of a conversation go when it no longer fits the context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "daemon/http/completion_request.hpp"

namespace kvasir {

struct MessageSize {
    ChatRole role = ChatRole::user;
    std::uint32_t n_tokens = 0;  // as rendered
};

/// The system messages that a conversation begins with: they always stay.
std::size_t count_leading(std::span<const MessageSize> messages);

/// The first message after the leading system messages that stays; the leading ones always do.
///
/// A turn begins with a user's message and ends before the next. When a prompt that ends with a
/// user's message has n_context tokens or more, the oldest whole turns go until at most 3/4 of
/// n_context are left, or one turn. What went stays gone until that overflows again: the outcome is
/// that of all requests the history stands for, one after the other, so it depends on the history
/// alone, and between two cuts every prompt begins like the one before. n_fixed: tokens around the
/// messages. O(messages).
std::size_t first_kept_message(std::span<const MessageSize> messages, std::uint32_t n_fixed,
                               std::uint32_t n_context);

}  // namespace kvasir
