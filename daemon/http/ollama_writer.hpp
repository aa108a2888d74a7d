// Ollama's answers: one JSON object, or a line of JSON for every piece of thoughts or text and
// every call, and a last one with the figures.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "daemon/http/answer_parts.hpp"
#include "daemon/http/answer_writer.hpp"

namespace kvasir {

/// A time since 1970 as created_at has it: RFC 3339 in UTC with nanoseconds.
std::string utc_time(std::chrono::nanoseconds since_1970);

class OllamaWriter final : public AnswerWriter {
public:
    struct Shape {
        std::string model;
        bool is_chat = false;          // message.content, else response
        bool returns_context = false;  // the conversation's tokens are part of the last object
    };

    OllamaWriter(Shape shape, AnswerParts parts)
        : shape_(std::move(shape)), parts_(std::move(parts)) {}

    void begin(std::span<const GenerationRequest> requests) override;
    bool has_tokens() const override { return shape_.returns_context; }

    const char* stream_type() const override { return "application/x-ndjson"; }
    void open(std::string& out) override;
    void chunk(std::string& out, std::size_t choice, GenerationChunk chunk) override;
    void end_choice(std::string& out, std::size_t choice, const GenerationEnd& end) override;
    void finish(std::string& out, std::size_t last_choice,
                std::span<const GenerationEnd> ends) override;
    /// A piece without text: Ollama's readers know no comments and no empty lines.
    void keep_alive(std::string& out) override;
    void fail(std::string& out, const ApiError& error) override;

    std::string whole(std::span<ChoicePart> parts, std::span<const GenerationEnd> ends) override;
    HttpResponse refuse(const ApiError& error) const override;

private:
    void append_piece(std::string& out, const ChoicePart& part) const;
    void append_last(std::string& out, const ChoicePart& part, const GenerationEnd& end);
    void gather_calls(ChoicePart& part);
    void end_call(ChoicePart& part);
    void keep(const std::vector<GeneratedToken>& tokens);

    const Shape shape_;
    AnswerParts parts_;
    std::optional<ChoicePart::Call> call_;  // the one that comes in; calls go out whole
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::vector<TokenId> context_;  // prompt and answer so far, where it is returned
};

/// What a request without prompt or messages gets: the model is there, and stays.
std::string ollama_load_json(const std::string& model, bool is_chat);

}  // namespace kvasir
