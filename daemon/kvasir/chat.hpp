// Chat: a conversation with the model, typed or piped in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/kvasir/call.hpp"
#include "daemon/kvasir/conversation.hpp"
#include "daemon/kvasir/history_file.hpp"
#include "daemon/kvasir/line_reader.hpp"

namespace kvasir::client {

/// One conversation after the other, until the input or the user ends. At a terminal it has a
/// session of its own, which ends with it, unless the user names one.
class Chat {
public:
    Chat(Context& context, LineReader& reader, HistoryFile& history);

    ExitCode run();

    /// "/help", "/save", ...
    static std::vector<std::string> command_names();

private:
    LineReader::Status read_message(std::string& message);
    LineReader::Status read_block(std::string& message);
    /// Absent: go on.
    std::optional<ExitCode> answer_line(std::string message);
    std::optional<ExitCode> say(std::string text);
    ExitCode reply_as_json(const std::string& body, std::string& text);
    void count(const GenerationResult& result);

    // chat_commands.cpp
    std::optional<ExitCode> handle_command(const std::string& line);
    std::optional<ExitCode> save(const std::string& path);
    void show_stats();
    void show_session();
    void use_session(const std::string& name);
    void start_anew();
    void end_own_session();
    void note(const std::string& text);

    Context& context_;
    LineReader& reader_;
    HistoryFile& history_;
    Conversation conversation_;
    bool owns_session_ = false;  // the session's name is this chat's
    bool has_used_session_ = false;
    bool has_said_no_history_ = false;
    GenerationResult last_;
    std::uint64_t n_prompt_total_ = 0;
    std::uint64_t n_cached_total_ = 0;
    std::uint64_t n_generated_total_ = 0;
};

}  // namespace kvasir::client
