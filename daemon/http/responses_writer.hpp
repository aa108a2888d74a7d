// OpenAI's Response objects as answers: one JSON object, or typed server-sent events from
// response.created to response.completed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "daemon/http/answer_parts.hpp"
#include "daemon/http/answer_writer.hpp"
#include "daemon/http/responses_item.hpp"
#include "daemon/http/responses_request.hpp"

namespace kvasir {

/// Thoughts, text and calls are items, in the order in which they came. There is at least one.
class ResponsesWriter final : public AnswerWriter {
public:
    struct Shape {
        std::string id;
        std::uint64_t created = 0;
        std::string model;
        ResponseEcho echo;
        /// Of each item of an answer that has ended; may be none.
        std::function<void(std::string id, std::string item)> remember;
    };

    ResponsesWriter(Shape shape, AnswerParts parts)
        : shape_(std::move(shape)), parts_(std::move(parts)) {}

    void begin(std::span<const GenerationRequest> requests) override { parts_.begin(requests); }
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
    void write_usage(JsonWriter& json, const GenerationEnd& end) const;

    void remember_items() const;
    bool is_open(ResponsesItem::Kind kind) const;
    // Of a stream.
    void append_part(std::string& out, const ChoicePart& part);
    void append_text(std::string& out, ResponsesItem::Kind kind, const std::string& text);
    void append_call(std::string& out, const ChoicePart::Call& call);
    void open_item(std::string& out, ResponsesItem item);
    void close_item(std::string& out, ResponsesItem::Status status);

    void begin_event(JsonWriter& json, const char* type);
    void append_response_event(std::string& out, const char* type, const State& state);
    void append_item_event(std::string& out, const char* type, bool has_part);
    void append_part_event(std::string& out, const char* type);
    // About the last item.
    void begin_item_event(JsonWriter& json, const char* type);
    void append_delta(std::string& out, const std::string& text);
    void append_done(std::string& out);

    const Shape shape_;
    AnswerParts parts_;
    std::vector<ResponsesItem> items_;  // so far; the last may be in progress
    std::uint64_t n_events_ = 0;
};

}  // namespace kvasir
