#include "daemon/kvasir/call.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace kvasir::client {

void print_error(Context& context, const std::string& message) {
    if (context.out.is_terminal() && context.out.in_line()) (void)context.out.write("\n");
    (void)context.err.write_styled("1;31", "kvasir: ");
    (void)context.err.write(message + "\n");
}

ExitCode output_status(Context& context) {
    const int error = context.out.error();
    if (error == 0) return ExitCode::ok;
    if (error == EPIPE) return ExitCode::output_gone;
    print_error(context, fmt::format("standard output: {}", std::strerror(error)));
    return ExitCode::failed;
}

CallResult call(Context& context, const HttpRequest& request, const StreamSink& sink) {
    CallResult result;
    auto connection = HttpConnection::open(context.options.endpoint);
    if (connection.has_error()) {
        // Ctrl-C while connecting shows as an interrupted system call.
        result.code = context.interrupts.take() ? ExitCode::cancelled : ExitCode::cannot_connect;
        if (result.code == ExitCode::cannot_connect)
            print_error(context, connection.error().message);
        return result;
    }
    auto reply = connection->exchange(request, sink, context.interrupts.fd());
    const bool interrupted = context.interrupts.take();
    if (reply.has_error()) {
        result.code = interrupted ? ExitCode::cancelled : ExitCode::failed;
        if (!interrupted) print_error(context, reply.error().message);
        return result;
    }
    result.status = reply->status;
    result.body = std::move(reply->body);
    if (reply->cancelled) {
        result.code = ExitCode::cancelled;
    } else if (reply->status < 200 || reply->status > 299) {
        result.code = ExitCode::failed;
        print_error(context, fmt::format("{} (HTTP {})",
                                         result.body.empty() ? "no reason given"
                                                             : error_message(result.body),
                                         reply->status));
    }
    return result;
}

Result<HttpReply> ask_quietly(Context& context, const HttpRequest& request) {
    KVASIR_TRY(HttpConnection connection, HttpConnection::open(context.options.endpoint));
    return connection.exchange(request, nullptr, context.interrupts.fd());
}

std::string percent_encoded(std::string_view text) {
    std::string encoded;
    for (const char c : text) {
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        encoded +=
            is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return encoded;
}

namespace {

/// The pieces of an answer as they come, its thoughts told apart by their looks.
class AnswerView {
public:
    AnswerView(Context& context, GenerationResult& result) : context_(context), result_(result) {}

    /// False when nothing can be written any more.
    bool show(const CompletionStream::Pieces& pieces) {
        Output& out = context_.out;
        if (!pieces.thoughts.empty() && out.is_terminal()) {
            result_.has_thoughts = true;
            if (!out.write_styled("2;3", pieces.thoughts)) return false;
        }
        if (pieces.text.empty()) return true;
        if (result_.has_thoughts && result_.text.empty() && out.in_line() && !out.write("\n"))
            return false;
        result_.text += pieces.text;
        return out.write(pieces.text);
    }

private:
    Context& context_;
    GenerationResult& result_;
};

}  // namespace

GenerationResult generate(Context& context, const std::string& target, const std::string& body) {
    using Clock = std::chrono::steady_clock;
    GenerationResult result;
    CompletionStream stream;
    AnswerView view(context, result);
    std::optional<Error> error;
    const auto begin = Clock::now();
    const auto sink = [&](std::string_view bytes) {
        CompletionStream::Pieces pieces;
        const auto status = stream.push(bytes, pieces);
        if (status.has_error()) error = status.error();
        if (!pieces.text.empty() || !pieces.thoughts.empty()) {
            result.last_token = Clock::now() - begin;
            if (!result.first_token) result.first_token = result.last_token;
            if (!view.show(pieces)) return false;
        }
        return !error && !stream.is_done();
    };
    const CallResult called = call(context, {"POST", target, body}, sink);
    result.code = called.code;
    result.stats = stream.stats();
    if (result.code != ExitCode::ok) return result;
    result.code = output_status(context);
    if (result.code != ExitCode::ok) return result;
    const std::string& reason = result.stats.finish_reason;
    if (!error && !called.body.empty()) {
        error = Error{ErrorCode::corrupt,
                      "the server's answer is no event stream: " + called.body.substr(0, 80)};
    } else if (!error && !stream.is_done()) {
        error = Error{ErrorCode::io, "the server closed the connection within its answer"};
    } else if (!error && (reason == "error" || reason == "cancelled")) {
        error = Error{ErrorCode::io, "the server ended the reply early: " + reason};
    }
    if (error) {
        print_error(context, error->message);
        result.code = ExitCode::failed;
    }
    return result;
}

std::string describe(const GenerationResult& result) {
    const GenerationStats& stats = result.stats;
    std::string line;
    if (stats.n_prompt_tokens) {
        line += fmt::format("prompt {} tokens ({} cached), ", *stats.n_prompt_tokens,
                            stats.n_cached_tokens.value_or(0));
    }
    if (!result.first_token) return line + "no text";
    line += fmt::format("first token after {:.0f} ms", result.first_token->count());
    if (!stats.n_generated_tokens) return line;
    line += fmt::format(", {} tokens", *stats.n_generated_tokens);
    std::optional<double> speed = stats.generate_tokens_per_second;
    const double seconds = (*result.last_token - *result.first_token).count() / 1000;
    if (!speed && *stats.n_generated_tokens > 1 && seconds > 0) {
        speed = static_cast<double>(*stats.n_generated_tokens - 1) / seconds;
    }
    if (speed) line += fmt::format(" at {:.1f} tokens/s", *speed);
    return line;
}

Result<std::string> read_standard_input(Context& context) {
    if (isatty(STDIN_FILENO) == 1) {
        (void)context.err.write_styled("2", "Type the text; Ctrl-D on an empty line ends it.\n");
    }
    std::string text;
    std::array<char, 65536> piece{};
    while (true) {
        const ssize_t n = ::read(STDIN_FILENO, piece.data(), piece.size());
        if (n == 0) return text;
        if (n > 0) {
            text.append(piece.data(), static_cast<std::size_t>(n));
            if (text.size() > HttpConnection::kMaxBodyBytes) {
                return Error{ErrorCode::too_large, fmt::format("standard input: more than {} bytes",
                                                               HttpConnection::kMaxBodyBytes)};
            }
        } else if (context.interrupts.pending()) {
            return Error{ErrorCode::conflict, "interrupted"};
        } else if (errno != EINTR) {
            return Error{ErrorCode::io, fmt::format("standard input: {}", std::strerror(errno))};
        }
    }
}

}  // namespace kvasir::client
