// CompletionStream: the text and the figures in a streamed OpenAI reply.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/error.hpp"
#include "daemon/kvasir/sse_parser.hpp"

namespace kvasir::client {

struct GenerationStats {
    std::optional<std::uint64_t> n_prompt_tokens;
    std::optional<std::uint64_t> n_cached_tokens;
    std::optional<std::uint64_t> n_generated_tokens;
    std::optional<double> generate_tokens_per_second;  // the server's figure
    std::string finish_reason;
};

/// The message in an OpenAI error object, with its code; the text itself where it is none.
std::string error_message(std::string_view body);

/// Reads chunks of /v1/completions and /v1/chat/completions. Unknown fields are ignored.
class CompletionStream {
public:
    struct Pieces {
        std::string text;
        std::string thoughts;  // reasoning_content
    };

    /// Appends what the bytes bring. Errors: corrupt (a chunk is no JSON object), io (the
    /// server reported an error), too_large.
    Result<void> push(std::string_view bytes, Pieces& pieces);

    /// Whether `[DONE]` has come: a stream that ends without it was cut off.
    bool is_done() const { return is_done_; }
    const GenerationStats& stats() const { return stats_; }

private:
    Result<void> take_chunk(const std::string& data, Pieces& pieces);

    SseParser parser_;
    GenerationStats stats_;
    bool is_done_ = false;
};

}  // namespace kvasir::client
