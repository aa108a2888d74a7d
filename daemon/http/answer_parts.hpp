// AnswerParts: what the model writes, as the parts that every door's writer gets: thoughts, text
// and function calls with their ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/http/answer_parser.hpp"
#include "daemon/http/completion_request.hpp"
#include "daemon/http/completion_response.hpp"

namespace kvasir {

/// Of all choices of one request. On the connection's strand, but for create and begin.
class AnswerParts {
public:
    /// Everything is text.
    AnswerParts() = default;
    /// By what the model's template shows of how it thinks and calls; all is text where it shows
    /// nothing of either. Adds to request.shown_specials.
    static AnswerParts create(CompletionRequest& request, const ModelInfo& model);

    /// Before the others. requests: a choice each.
    void begin(std::span<const GenerationRequest> requests);

    /// What goes out for the next piece of a stream; may be nothing.
    ChoicePart push(std::size_t choice, std::string text);
    /// The choice has ended: what was held back.
    ChoicePart finish(std::size_t choice);
    /// Instead of both: a whole answer, each call in one part.
    ChoicePart whole(std::size_t choice, std::string text);

    /// A call, or the beginning of one, went out.
    bool has_calls(std::size_t choice) const;
    /// How many tokens say this.
    std::uint64_t count_tokens(std::string_view text) const;

private:
    ChoicePart with_ids(AnswerPart part) const;

    std::optional<AnswerParser::Options> options_;
    std::shared_ptr<const Tokenizer> tokenizer_;  // with options_
    std::vector<AnswerParser> parsers_;           // a choice, with options_
};

}  // namespace kvasir
