// AnswerWriter: how the door that a request came through writes its answer. GenerationCall says
// what happens, a writer what that looks like.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "daemon/engine/generation.hpp"
#include "daemon/http/completion_response.hpp"
#include "daemon/http/error_response.hpp"

namespace kvasir {

/// Of one answer, whole or streamed. A stream calls open first and finish or fail last, and appends
/// whole events only. On the connection's strand, but for begin and has_tokens.
class AnswerWriter {
public:
    virtual ~AnswerWriter() = default;

    /// What the engine is about to get, [prompt][n]. On a worker, before anything else.
    virtual void begin(std::span<const GenerationRequest> requests) = 0;
    /// Whether chunks and parts are to have their tokens, not only their text. Any thread,
    /// constant.
    virtual bool has_tokens() const = 0;

    virtual const char* stream_type() const = 0;  // Content-Type
    virtual void open(std::string& out) = 0;
    virtual void chunk(std::string& out, std::size_t choice, GenerationChunk chunk) = 0;
    /// A choice has ended, others have not.
    virtual void end_choice(std::string& out, std::size_t choice, const GenerationEnd& end) = 0;
    /// The last choice has ended. ends: [prompt][n].
    virtual void finish(std::string& out, std::size_t last_choice,
                        std::span<const GenerationEnd> ends) = 0;
    /// A sign of life while there is nothing to say.
    virtual void keep_alive(std::string& out) = 0;
    virtual void fail(std::string& out, const ApiError& error) = 0;

    /// The body of a whole answer. parts and ends: [prompt][n].
    virtual std::string whole(std::span<ChoicePart> parts, std::span<const GenerationEnd> ends) = 0;
    /// Instead of any answer.
    virtual HttpResponse refuse(const ApiError& error) const = 0;
};

}  // namespace kvasir
