// TextStates: how far plain characters lead.
#include <vector>

#include "daemon/grammar/plain_text.hpp"
#include "daemon/grammar/text_states.hpp"

namespace kvasir::grammar {

/// The one state that all bytes of the range lead to, and n_more - 1 continuation bytes from there;
/// kDead where there are several or none.
TextState TextStates::after_character(TextState state, unsigned n_more, std::uint8_t low,
                                      std::uint8_t high) {
    TextState common = kDead;
    TextState before = kDead;
    for (unsigned byte = low; byte <= high; ++byte) {
        const TextState next = step(state, static_cast<std::uint8_t>(byte));
        if (next == kDead) return kDead;
        if (next == before) continue;  // its continuations are known
        before = next;
        const TextState end = n_more == 1 ? next : after_character(next, n_more - 1, 0x80, 0xbf);
        if (end == kDead || (common != kDead && end != common)) return kDead;
        common = end;
    }
    return common;
}

/// The one state that all plain characters lead to.
TextState TextStates::after_plain(TextState state) {
    TextState common = kDead;
    for (unsigned byte = 0x20; byte < 0x7f; ++byte) {
        if (!is_plain_ascii(byte)) continue;
        const TextState next = step(state, static_cast<std::uint8_t>(byte));
        if (next == kDead || (common != kDead && next != common)) return kDead;
        common = next;
    }
    for (const Utf8Lead& lead : kUtf8Leads) {
        for (unsigned byte = lead.low; byte <= lead.high; ++byte) {
            const TextState inside = step(state, static_cast<std::uint8_t>(byte));
            if (inside == kDead) return kDead;
            TextState end = kDead;
            if (lead.n_more == 1) {
                end = after_character(inside, 1, 0x80, 0xbf);
            } else {
                end = after_character(inside, lead.n_more, lead.second_low, lead.second_high);
            }
            if (end != common) return kDead;
        }
    }
    return common;
}

std::uint8_t TextStates::n_plain(TextState state) {
    std::vector<TextState> chain;
    std::uint8_t n = 0;
    while (true) {
        const std::uint8_t known = n_plain_[static_cast<std::size_t>(state)];
        if (known != kUnknownPlain) {
            n = known;
            break;
        }
        const TextState next = after_plain(state);
        if (next == kDead || next == state) {
            n = next == kDead ? 0 : kManyPlain;
            n_plain_[static_cast<std::size_t>(state)] = n;
            break;
        }
        chain.push_back(state);
        // A longer way says no more, and one round a circle would not end.
        if (chain.size() == kManyPlain) break;
        state = next;
    }
    for (std::size_t i = chain.size(); i-- > 0;) {
        if (n < kManyPlain) ++n;
        n_plain_[static_cast<std::size_t>(chain[i])] = n;
    }
    return n;
}

}  // namespace kvasir::grammar
