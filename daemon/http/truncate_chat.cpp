#include "daemon/http/truncate_chat.hpp"

#include <algorithm>

namespace kvasir {

std::size_t count_leading(std::span<const MessageSize> messages) {
    const auto first = std::ranges::find_if(
        messages, [](const MessageSize& m) { return m.role != ChatRole::system; });
    return static_cast<std::size_t>(first - messages.begin());
}

std::size_t first_kept_message(std::span<const MessageSize> messages, std::uint32_t n_fixed,
                               std::uint32_t n_context) {
    const std::size_t n_leading = count_leading(messages);
    std::uint64_t n_tokens = n_fixed;  // of the prompt that ends with message i
    for (const MessageSize& message : messages.first(n_leading)) n_tokens += message.n_tokens;
    const std::uint64_t n_most_left = std::uint64_t{n_context} * 3 / 4;
    std::size_t first = n_leading;
    for (std::size_t i = n_leading; i < messages.size(); ++i) {
        n_tokens += messages[i].n_tokens;
        const bool is_request = messages[i].role == ChatRole::user || i + 1 == messages.size();
        if (!is_request || n_tokens < n_context) continue;
        while (n_tokens > n_most_left) {
            std::size_t next = first + 1;  // where the oldest turn ends
            while (next <= i && messages[next].role != ChatRole::user) ++next;
            if (next > i) break;
            for (; first < next; ++first) n_tokens -= messages[first].n_tokens;
        }
    }
    return first;
}

}  // namespace kvasir
