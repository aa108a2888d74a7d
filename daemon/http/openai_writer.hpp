// OpenAI's completions and chats as answers: one JSON object, or server-sent events up to [DONE].
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/http/answer_parts.hpp"
#include "daemon/http/answer_writer.hpp"

namespace kvasir {

class OpenAiWriter final : public AnswerWriter {
public:
    /// n: choices a prompt. echoes: a prompt; empty: no echo.
    OpenAiWriter(AnswerShape shape, std::uint32_t n, std::vector<std::string> echoes,
                 AnswerParts parts)
        : shape_(std::move(shape)), n_(n), echoes_(std::move(echoes)), parts_(std::move(parts)) {}

    void begin(std::span<const GenerationRequest> requests) override;
    bool has_tokens() const override { return shape_.logprobs || shape_.return_tokens; }

    const char* stream_type() const override { return kEventStream; }
    void open(std::string& out) override;
    void chunk(std::string& out, std::size_t choice, GenerationChunk chunk) override;
    void end_choice(std::string& out, std::size_t choice, const GenerationEnd& end) override;
    void finish(std::string& out, std::size_t last_choice,
                std::span<const GenerationEnd> ends) override;
    void keep_alive(std::string& out) override;
    void fail(std::string& out, const ApiError& error) override;

    std::string whole(std::span<ChoicePart> parts, std::span<const GenerationEnd> ends) override;
    HttpResponse refuse(const ApiError& error) const override { return error_response(error); }

private:
    std::string echo_of(std::size_t choice) const;
    void append_rest(std::string& out, std::size_t choice);
    const char* reason_of(std::size_t choice, const GenerationEnd& end) const;

    const AnswerShape shape_;
    const std::uint32_t n_;
    const std::vector<std::string> echoes_;
    AnswerParts parts_;
    std::vector<std::size_t> text_offsets_;  // of a stream's choices: characters sent
};

}  // namespace kvasir
