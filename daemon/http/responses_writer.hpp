// OpenAI's Response objects as answers: one JSON object, or typed server-sent events from
// response.created to response.completed.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/http/answer_writer.hpp"
#include "daemon/http/responses_request.hpp"

namespace kvasir {

class JsonWriter;

/// One message with one part of text.
class ResponsesWriter final : public AnswerWriter {
public:
    struct Shape {
        std::string id;
        std::string item_id;
        std::uint64_t created = 0;
        std::string model;
        ResponseEcho echo;
    };

    explicit ResponsesWriter(Shape shape) : shape_(std::move(shape)) {}

    void begin(std::span<const GenerationRequest>) override {}
    bool has_tokens() const override { return false; }

    const char* stream_type() const override { return kEventStream; }
    void open(std::string& out) override;
    void chunk(std::string& out, std::size_t choice, GenerationChunk chunk) override;
    void end_choice(std::string&, std::size_t, const GenerationEnd&) override {}
    void finish(std::string& out, std::size_t last_choice,
                std::span<const GenerationEnd> ends) override;
    void keep_alive(std::string& out) override { out += kEventComment; }
    void fail(std::string& out, const ApiError& error) override;

    std::string whole(std::span<ChoicePart> parts, std::span<const GenerationEnd> ends) override;
    HttpResponse refuse(const ApiError& error) const override { return error_response(error); }

private:
    /// in_progress while neither end nor error is there.
    struct State {
        const GenerationEnd* end = nullptr;
        const ApiError* error = nullptr;
    };

    const char* status(const State& state) const;
    void write_response(JsonWriter& json, const State& state) const;
    void write_item(JsonWriter& json, const State& state, bool has_part) const;
    void write_part(JsonWriter& json, std::string_view text) const;
    void begin_event(JsonWriter& json, const char* type);
    void append_response_event(std::string& out, const char* type, const State& state);
    void append_item_event(std::string& out, const char* type, const State& state, bool has_part);
    void append_part_event(std::string& out, const char* type, std::string_view text);
    void append_text_event(std::string& out, const char* type, const char* field,
                           std::string_view text);

    const Shape shape_;
    std::string text_;  // all of it so far: the last events repeat it
    std::uint64_t n_events_ = 0;
};

}  // namespace kvasir
