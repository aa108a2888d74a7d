#include "daemon/http/generation_call.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

namespace kvasir {
namespace {

ApiError server_stopping() {
    return {ErrorKind::stopping, "the server is stopping; the answer is incomplete", {}};
}

ApiError out_of_memory() {
    return {ErrorKind::out_of_memory, "out of memory while the answer was gathered", {}};
}

ApiError end_error(const GenerationEnd& end) {
    if (end.reason == FinishReason::error && end.error) return to_api_error(*end.error);
    if (end.reason == FinishReason::error)
        return {ErrorKind::internal, "generation failed without a reason", {}};
    return {ErrorKind::cancelled, "the request was cancelled by the server", {}};
}

/// What an undelivered chunk holds in memory, roughly.
std::size_t chunk_bytes(const GenerationChunk& chunk) {
    std::size_t bytes = sizeof(chunk) + chunk.text.size();
    for (const GeneratedToken& token : chunk.tokens)
        bytes += sizeof(token) + token.bytes.size() + token.top.size() * sizeof(TokenLogprob);
    return bytes;
}

}  // namespace

class GenerationCall::ChoiceSink final : public GenerationSink {
public:
    ChoiceSink(std::shared_ptr<GenerationCall> call, std::size_t choice)
        : call_(std::move(call)), choice_(choice) {}
    void on_chunk(GenerationChunk chunk) noexcept override {
        call_->on_chunk(choice_, std::move(chunk));
    }
    void on_end(GenerationEnd end) noexcept override { call_->on_end(choice_, std::move(end)); }

private:
    const std::shared_ptr<GenerationCall> call_;
    const std::size_t choice_;
};

GenerationCall::GenerationCall(Plan plan, std::shared_ptr<GenerationEngine> engine,
                               std::shared_ptr<Exchange> exchange)
    : plan_(std::move(plan)),
      n_choices_(plan_.requests.size()),
      engine_(std::move(engine)),
      n_first_(std::min(n_choices_, plan_.n_at_once)),
      exchange_(std::move(exchange)),
      parts_(n_choices_),
      ends_(n_choices_),
      next_(n_first_) {}

void GenerationCall::submit() {
    try {
        for (std::size_t choice = 0; choice < n_first_; ++choice) {
            if (const auto refusal = submit_choice(choice, std::move(plan_.requests[choice])))
                return refuse(*refusal);
        }
    } catch (const std::exception&) {  // std::bad_alloc, in practice
        fail(out_of_memory());
    }
}

std::optional<Error> GenerationCall::submit_choice(std::size_t choice, GenerationRequest request) {
    if (const std::lock_guard lock(mutex_); cancelled_) return std::nullopt;
    auto sink = std::make_shared<ChoiceSink>(shared_from_this(), choice);
    const Result<RequestId> id = engine_->submit(std::move(request), std::move(sink));
    if (id.has_error()) return id.error();
    std::unique_lock lock(mutex_);
    submitted_.push_back(*id);
    const bool cancelled = cancelled_;
    lock.unlock();
    if (cancelled) engine_->cancel(*id);
    return std::nullopt;
}

void GenerationCall::refuse(const Error& error) {
    const bool blames_prompt =
        error.code == ErrorCode::too_large || error.code == ErrorCode::invalid_argument;
    fail(to_api_error(error, blames_prompt ? plan_.prompt_param : std::string()));
}

/// Where the engine's queue is full, the next choice that ends tries again.
void GenerationCall::submit_more() {
    try {
        for (; next_ < n_choices_ && next_ - n_ended_ < plan_.n_at_once; ++next_) {
            const auto refusal = submit_choice(next_, plan_.requests[next_]);
            if (refusal && refusal->code == ErrorCode::exhausted && next_ > n_ended_) return;
            if (refusal) return refuse(*refusal);
            plan_.requests[next_] = {};
        }
    } catch (const std::exception&) {
        fail(out_of_memory());
    }
}

void GenerationCall::on_chunk(std::size_t choice, GenerationChunk chunk) noexcept {
    if (!plan_.writer->has_tokens()) chunk.tokens.clear();
    if (chunk.text.empty() && chunk.tokens.empty()) return;
    try {
        plan_.stream ? queue(choice, std::move(chunk)) : gather(choice, std::move(chunk));
    } catch (...) {
        lose();
    }
}

void GenerationCall::on_end(std::size_t choice, GenerationEnd end) noexcept {
    try {
        const std::lock_guard lock(mutex_);
        if (exchange_ == nullptr) return;
        arrivals_.push_back({choice, std::move(end)});
        exchange_->wake();
    } catch (...) {
        lose();
    }
}

void GenerationCall::lose() noexcept {
    {
        const std::lock_guard lock(mutex_);
        lost_ = true;  // where even waking fails, the connection's keep-alive tick finds it
    }
    cancel_all();
}

void GenerationCall::queue(std::size_t choice, GenerationChunk chunk) {
    const std::size_t bytes = chunk_bytes(chunk);
    {
        const std::lock_guard lock(mutex_);
        if (exchange_ == nullptr || overflowed_) return;
        if (arrival_bytes_ + bytes <= plan_.queue_bytes) {
            arrivals_.push_back({choice, std::move(chunk)});
            arrival_bytes_ += bytes;
            exchange_->wake();
            return;
        }
        overflowed_ = true;
        arrivals_.clear();
        exchange_->wake();
    }
    cancel_all();
}

void GenerationCall::gather(std::size_t choice, GenerationChunk chunk) {
    const std::lock_guard lock(mutex_);
    if (exchange_ == nullptr) return;
    for (Arrival& arrival : arrivals_) {
        auto* gathered = std::get_if<GenerationChunk>(&arrival.what);
        if (arrival.choice != choice || gathered == nullptr) continue;
        gathered->text += chunk.text;
        std::move(chunk.tokens.begin(), chunk.tokens.end(), std::back_inserter(gathered->tokens));
        return;
    }
    arrivals_.push_back({choice, std::move(chunk)});
}

void GenerationCall::cancel_all() noexcept {
    std::vector<RequestId> ids;
    {
        const std::lock_guard lock(mutex_);
        cancelled_ = true;
        ids.swap(submitted_);
    }
    // Not under the mutex: the engine may hold its own while it delivers to us.
    for (const RequestId id : ids) engine_->cancel(id);
}

void GenerationCall::fail(ApiError error) {
    cancel_all();
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(error);
    if (exchange_ != nullptr) exchange_->wake();
}

void GenerationCall::stop() {
    fail(server_stopping());
}

void GenerationCall::abandon() noexcept {
    std::shared_ptr<Exchange> released;
    {
        const std::lock_guard lock(mutex_);
        released.swap(exchange_);
        arrivals_.clear();
    }
    cancel_all();
}

std::vector<GenerationCall::Arrival> GenerationCall::take_arrivals(Piece& piece) {
    std::optional<ApiError> failure;
    std::vector<Arrival> arrivals;
    {
        const std::lock_guard lock(mutex_);
        failure = failure_;
        if (lost_ && !failure) failure = out_of_memory();
        piece.drop = overflowed_;
        arrivals.swap(arrivals_);
        arrival_bytes_ = 0;
    }
    if (failure) fail_now(piece, *failure);
    return arrivals;
}

ResponseSource::Piece GenerationCall::pull() {
    Piece piece;
    if (done_) return piece;
    std::vector<Arrival> arrivals = take_arrivals(piece);
    for (Arrival& arrival : arrivals) {
        if (done_) break;
        if (auto* chunk = std::get_if<GenerationChunk>(&arrival.what)) {
            take_chunk(piece, arrival.choice, std::move(*chunk));
        } else {
            take_end(piece, arrival.choice, std::move(std::get<GenerationEnd>(arrival.what)));
        }
    }
    return piece;
}

ResponseSource::Piece GenerationCall::keep_alive() {
    Piece piece = pull();
    if (done_ || !plan_.stream) return piece;
    if (piece.bytes.empty()) {
        open(piece);
        plan_.writer->keep_alive(piece.bytes);
    }
    return piece;
}

void GenerationCall::open(Piece& piece) {
    if (opened_) return;
    opened_ = true;
    piece.open_stream = true;
    piece.stream_type = plan_.writer->stream_type();
    plan_.writer->open(piece.bytes);
}

void GenerationCall::take_chunk(Piece& piece, std::size_t choice, GenerationChunk chunk) {
    if (!plan_.stream) {
        ChoicePart& part = parts_[choice];
        part.text += chunk.text;
        std::move(chunk.tokens.begin(), chunk.tokens.end(), std::back_inserter(part.tokens));
        return;
    }
    open(piece);
    plan_.writer->chunk(piece.bytes, choice, std::move(chunk));
}

void GenerationCall::take_end(Piece& piece, std::size_t choice, GenerationEnd end) {
    if (ends_[choice]) return;
    if (end.reason == FinishReason::error || end.reason == FinishReason::cancelled) {
        cancel_all();
        fail_now(piece, end_error(end));
        return;
    }
    ends_[choice] = std::move(end);
    ++n_ended_;
    submit_more();
    if (n_ended_ == n_choices_) {
        finish(piece, choice);
    } else if (plan_.stream) {
        open(piece);
        plan_.writer->end_choice(piece.bytes, choice, *ends_[choice]);
    }
}

void GenerationCall::finish(Piece& piece, std::size_t last_choice) {
    std::vector<GenerationEnd> ends;
    for (std::optional<GenerationEnd>& end : ends_) ends.push_back(std::move(*end));
    done_ = true;
    if (!plan_.stream) {
        piece.whole.emplace();
        piece.whole->body = plan_.writer->whole(parts_, ends);
        return;
    }
    open(piece);
    plan_.writer->finish(piece.bytes, last_choice, ends);
    piece.end = true;
}

void GenerationCall::fail_now(Piece& piece, const ApiError& error) {
    if (done_) return;
    done_ = true;
    if (!opened_) {
        piece = {};
        piece.whole = plan_.writer->refuse(error);
        return;
    }
    plan_.writer->fail(piece.bytes, error);
    piece.end = true;
}

}  // namespace kvasir
