// What every command needs: where to write, whom to ask, and what an exchange means for the exit
// code.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/kvasir/completion_stream.hpp"
#include "daemon/kvasir/http_client.hpp"
#include "daemon/kvasir/interrupts.hpp"
#include "daemon/kvasir/options.hpp"
#include "daemon/kvasir/terminal.hpp"

namespace kvasir::client {

/// Scripts depend on these.
enum class ExitCode : int {
    ok = 0,
    failed = 1,  // the server or the output
    usage = 2,
    cannot_connect = 3,
    cancelled = 130,    // as a shell reports SIGINT
    output_gone = 141,  // as a shell reports SIGPIPE: quiet
};

struct Context {
    Options options;
    Output out;  // standard output
    Output err;  // standard error
    Interrupts& interrupts;
};

struct CallResult {
    ExitCode code = ExitCode::ok;
    unsigned status = 0;
    std::string body;
};

/// One request over a new connection. Says on stderr what went wrong; a status of 400 and more is
/// ExitCode::failed with the server's message.
CallResult call(Context& context, const HttpRequest& request, const StreamSink& sink = nullptr);

/// The same without a word: for what is not the user's question. A status of 400 and more is no
/// error. Errors: io, corrupt, too_large.
Result<HttpReply> ask_quietly(Context& context, const HttpRequest& request);

/// For a segment of a path.
std::string percent_encoded(std::string_view text);

/// A streamed reply, written to stdout piece by piece.
struct GenerationResult {
    ExitCode code = ExitCode::ok;
    std::string text;
    bool has_thoughts = false;
    GenerationStats stats;
    std::optional<std::chrono::duration<double, std::milli>> first_token;  // since the request
    std::optional<std::chrono::duration<double, std::milli>> last_token;
};

/// What the model thinks first goes to a terminal alone, dim.
GenerationResult generate(Context& context, const std::string& target, const std::string& body);

/// "prompt 12 tokens (0 cached), first token after 31 ms, 40 tokens at 312.4 tokens/s".
std::string describe(const GenerationResult& result);

void print_error(Context& context, const std::string& message);

/// ok, unless stdout could not be written: then says so, but not where its reader has gone.
ExitCode output_status(Context& context);

/// Standard input to its end, at most kMaxBodyBytes. Errors: io, too_large, conflict (Ctrl-C).
Result<std::string> read_standard_input(Context& context);

}  // namespace kvasir::client
