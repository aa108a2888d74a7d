// GenerationCall: one request for text or embeddings on its way through the engine, and the source
// of its answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "daemon/engine/generation.hpp"
#include "daemon/http/answer_writer.hpp"
#include "daemon/http/completion_response.hpp"
#include "daemon/http/error_response.hpp"
#include "daemon/http/exchange.hpp"

namespace kvasir {

/// Three parties: a worker submits the choices, the engine's thread delivers, the connection's
/// strand pulls. The first two leave what they have under the mutex and wake the strand, which
/// makes the JSON, and submits what there was no room for at first.
class GenerationCall final : public ResponseSource,
                             public std::enable_shared_from_this<GenerationCall> {
public:
    struct Plan {
        std::unique_ptr<AnswerWriter> writer;  // has begun
        bool stream = false;
        std::vector<GenerationRequest> requests;  // [prompt][n]
        std::string prompt_param;                 // what to blame for a prompt that does not fit
        std::size_t n_at_once = SIZE_MAX;         // of these, with the engine at a time
        std::size_t queue_bytes = 0;  // of a stream: more than this unread drops the client
    };

    GenerationCall(Plan plan, std::shared_ptr<GenerationEngine> engine,
                   std::shared_ptr<Exchange> exchange);

    /// Submits every choice, or the first n_at_once; the engine's refusal becomes the answer. Call
    /// once, after Exchange::attach.
    void submit();

    Piece pull() override;
    Piece keep_alive() override;
    void stop() override;
    void abandon() noexcept override;

private:
    class ChoiceSink;
    struct Arrival {
        std::size_t choice;
        std::variant<GenerationChunk, GenerationEnd> what;
    };

    std::optional<Error> submit_choice(std::size_t choice, GenerationRequest request);
    void refuse(const Error& error);

    // Engine's thread.
    void on_chunk(std::size_t choice, GenerationChunk chunk) noexcept;
    void on_end(std::size_t choice, GenerationEnd end) noexcept;
    void queue(std::size_t choice, GenerationChunk chunk);  // of a stream: bounded
    void gather(std::size_t choice,
                GenerationChunk chunk);  // of a whole answer: bounded by max_tokens
    void lose() noexcept;                // no memory: the answer cannot be complete

    void cancel_all() noexcept;
    void fail(ApiError error);

    // Strand.
    std::vector<Arrival> take_arrivals(Piece& piece);
    void take_chunk(Piece& piece, std::size_t choice, GenerationChunk chunk);
    void take_end(Piece& piece, std::size_t choice, GenerationEnd end);
    void submit_more();
    void open(Piece& piece);
    void finish(Piece& piece, std::size_t last_choice);
    void fail_now(Piece& piece, const ApiError& error);

    Plan plan_;
    const std::size_t n_choices_;
    const std::shared_ptr<GenerationEngine> engine_;
    const std::size_t n_first_;  // choices that the worker submits

    std::mutex mutex_;
    std::shared_ptr<Exchange> exchange_;  // null once abandoned
    std::vector<RequestId> submitted_;
    std::vector<Arrival> arrivals_;
    std::size_t arrival_bytes_ = 0;
    std::optional<ApiError> failure_;
    bool overflowed_ = false;
    bool lost_ = false;
    bool cancelled_ = false;  // what is submitted from now on is cancelled at once

    // Strand only.
    std::vector<ChoicePart> parts_;  // whole answers: all of it
    std::vector<std::optional<GenerationEnd>> ends_;
    std::size_t n_ended_ = 0;
    std::size_t next_ = 0;  // choice to submit
    bool opened_ = false;
    bool done_ = false;
};

}  // namespace kvasir
