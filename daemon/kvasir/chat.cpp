#include "daemon/kvasir/chat.hpp"

#include <boost/json.hpp>
#include <utility>

#include "daemon/kvasir/answer_fields.hpp"
#include "daemon/kvasir/commands.hpp"

namespace kvasir::client {
namespace {

constexpr std::string_view kBlock = "\"\"\"";
using Status = LineReader::Status;

bool is_blank(std::string_view text) {
    return text.find_first_not_of(" \t\n") == std::string_view::npos;
}

}  // namespace

/// One message: a line, lines joined where they end with a backslash, or a block between """.
Status Chat::read_message(std::string& message) {
    message.clear();
    std::string line;
    const char* prompt = "> ";
    while (true) {
        const auto status = reader_.read(prompt, line);
        if (status == Status::end && !message.empty()) return Status::line;
        if (status == Status::interrupted && !message.empty()) return Status::cleared;
        if (status != Status::line) return status;
        if (line.ends_with('\r')) line.pop_back();
        if (message.empty() && line.starts_with(kBlock)) {
            message = line.substr(kBlock.size());
            return read_block(message);
        }
        if (!line.ends_with('\\')) {
            message += line;
            return Status::line;
        }
        line.back() = '\n';
        message += line;
        prompt = "... ";
    }
}

/// message: what stands in the first line after the quotes.
Status Chat::read_block(std::string& message) {
    std::string line;
    while (!message.ends_with(kBlock)) {
        const auto status = reader_.read("... ", line);
        if (status == Status::end) return Status::line;
        if (status == Status::interrupted) return Status::cleared;
        if (status != Status::line) return status;
        if (line.ends_with('\r')) line.pop_back();
        if (!message.empty()) message += '\n';
        message += line;
        if (message.size() > LineReader::kMaxLineBytes) return Status::too_long;
    }
    message.resize(message.size() - kBlock.size());
    if (message.ends_with('\n')) message.pop_back();
    return Status::line;
}

ExitCode Chat::run() {
    bool warned = false;
    while (true) {
        std::string message;
        switch (read_message(message)) {
            case Status::end:
                if (reader_.is_interactive()) (void)context_.out.write("\n");
                end_own_session();
                return ExitCode::ok;
            case Status::too_long:
                print_error(context_, "a line of more than " +
                                          std::to_string(LineReader::kMaxLineBytes) + " bytes");
                if (reader_.is_interactive()) continue;
                return ExitCode::failed;
            case Status::interrupted:
                if (warned || !reader_.is_interactive()) {
                    end_own_session();
                    return ExitCode::cancelled;
                }
                warned = true;
                note("Ctrl-C again ends the conversation.\n");
                continue;
            case Status::cleared: warned = false; continue;
            case Status::line: warned = false; break;
        }
        if (is_blank(message)) continue;
        if (const auto code = answer_line(std::move(message))) {
            end_own_session();
            return *code;
        }
    }
}

std::optional<ExitCode> Chat::answer_line(std::string message) {
    if (reader_.is_interactive()) {
        reader_.remember(message);
        const auto kept = history_.append(message);
        if (kept.has_error() && !std::exchange(has_said_no_history_, true))
            note("The history is not kept: " + kept.error().message + "\n");
    }
    return message.starts_with('/') ? handle_command(message) : say(std::move(message));
}

ExitCode Chat::reply_as_json(const std::string& body, std::string& text) {
    const CallResult result = call(context_, {"POST", "/v1/chat/completions", body});
    if (result.code != ExitCode::ok) return result.code;
    boost::json::error_code ec;
    const auto reply = boost::json::parse(result.body, ec);
    const auto* content = ec ? nullptr : reply.find_pointer("/choices/0/message/content", ec);
    if (content == nullptr || !content->is_string()) {
        print_error(context_, "the server's answer has no message: " + result.body.substr(0, 80));
        return ExitCode::failed;
    }
    text = content->get_string();
    (void)context_.out.write(result.body + "\n");
    return output_status(context_);
}

void Chat::count(const GenerationResult& result) {
    n_prompt_total_ += result.stats.n_prompt_tokens.value_or(0);
    n_cached_total_ += result.stats.n_cached_tokens.value_or(0);
    n_generated_total_ += result.stats.n_generated_tokens.value_or(0);
    last_ = result;
}

std::optional<ExitCode> Chat::say(std::string text) {
    conversation_.add_user(std::move(text));
    const Options& options = context_.options;
    const std::string body = "{\"messages\":" + conversation_.messages() + "," +
                             generation_fields(options.generation, !options.json) + "}";
    has_used_session_ = true;
    GenerationResult result;
    if (options.json) {
        result.code = reply_as_json(body, result.text);
    } else {
        result = generate(context_, "/v1/chat/completions", body);
        if (context_.out.in_line()) (void)context_.out.write("\n");
    }
    // What was said before Ctrl-C stays part of the conversation; a failed exchange does not.
    const bool keeps = result.code == ExitCode::ok || result.code == ExitCode::cancelled;
    conversation_.add_assistant(keeps ? result.text : "");
    if (result.code == ExitCode::ok) {
        count(result);
        if (options.stats && !options.json) note(describe(result) + "\n");
        if (reader_.is_interactive() && result.stats.finish_reason == "length")
            note("(cut off at " + std::to_string(options.generation.max_tokens) +
                 " tokens: --max-tokens)\n");
        return std::nullopt;
    }
    const bool goes_on = result.code == ExitCode::failed || result.code == ExitCode::cancelled;
    if (context_.out.error() == 0 && reader_.is_interactive() && goes_on) return std::nullopt;
    return result.code;
}

namespace {

/// Better to learn before typing that nobody listens; other errors come with the first reply.
ExitCode greet(Context& context) {
    const auto reply = ask_quietly(context, {"GET", "/v1/models", ""});
    if (context.interrupts.take()) return ExitCode::cancelled;
    std::string model;
    if (reply.has_error()) {
        const auto connection = HttpConnection::open(context.options.endpoint);
        if (connection.has_error()) {
            print_error(context, connection.error().message);
            return ExitCode::cannot_connect;
        }
    } else if (reply->status == 200) {
        boost::json::error_code ec;
        const auto body = boost::json::parse(reply->body, ec);
        if (!ec && body.is_object()) model = first_model(body.get_object());
    }
    if (!model.empty()) (void)context.err.write_styled("1", model + "\n");
    (void)context.err.write_styled("2",
                                   "Type a message; /help lists the commands, Ctrl-D leaves.\n");
    return ExitCode::ok;
}

}  // namespace

ExitCode run_chat(Context& context) {
    HistoryFile history(HistoryFile::default_path());
    EditorOptions editor{{}, Chat::command_names(), context.out.has_colours()};
    std::unique_ptr<LineReader> reader;
    if (isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1) {
        auto entries = history.load();
        if (entries.has_error()) {
            (void)context.err.write_styled("2", "No history: " + entries.error().message + "\n");
        } else {
            editor.history = std::move(*entries);
        }
        reader = LineReader::create_edited(context.interrupts, editor);
    }
    if (!reader) reader = LineReader::create_plain(context.interrupts);
    if (reader->is_interactive()) {
        const ExitCode code = greet(context);
        if (code != ExitCode::ok) return code;
    }
    return Chat(context, *reader, history).run();
}

}  // namespace kvasir::client
