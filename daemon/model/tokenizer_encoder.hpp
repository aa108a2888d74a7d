// How text without special tokens becomes ids; one implementation a kind of vocabulary.
#pragma once

#include <string_view>
#include <vector>

#include "config/base/types.hpp"

namespace kvasir {

/// Immutable: const members may be called from any thread.
class TextEncoder {
public:
    TextEncoder() = default;
    TextEncoder(const TextEncoder&) = delete;
    TextEncoder& operator=(const TextEncoder&) = delete;
    virtual ~TextEncoder() = default;

    /// Appends to ids. Any bytes are accepted. O(n log n). Throws std::bad_alloc only.
    virtual void encode(std::string_view text, std::vector<TokenId>& ids) const = 0;
};

}  // namespace kvasir
