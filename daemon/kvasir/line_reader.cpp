#include "daemon/kvasir/line_reader.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cwchar>
#include <histedit.h>
#include <poll.h>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace kvasir::client {
namespace {

/// Blocks until standard input can be read; false on Ctrl-C.
bool wait_for_input(const Interrupts& interrupts) {
    while (true) {
        std::array<pollfd, 2> fds = {{{STDIN_FILENO, POLLIN, 0}, {interrupts.fd(), POLLIN, 0}}};
        const int n = ::poll(fds.data(), interrupts.fd() < 0 ? 1 : 2, -1);
        if (interrupts.pending()) return false;
        if (n > 0 || (n < 0 && errno != EINTR)) return true;  // a bad descriptor: let read say so
    }
}

/// Lines from a file or a pipe.
class PlainLines final : public LineReader {
public:
    explicit PlainLines(Interrupts& interrupts) : interrupts_(interrupts) {}

    bool is_interactive() const override { return false; }

    Status read(const std::string& /*prompt*/, std::string& line) override {
        while (true) {
            const std::size_t end = buffer_.find('\n');
            if (end != std::string::npos) {
                line = buffer_.substr(0, end);
                buffer_.erase(0, end + 1);
                return Status::line;
            }
            if (buffer_.size() > kMaxLineBytes) return Status::too_long;
            std::array<char, 16384> piece{};
            if (!wait_for_input(interrupts_)) {
                (void)interrupts_.take();
                return Status::interrupted;
            }
            const ssize_t n = ::read(STDIN_FILENO, piece.data(), piece.size());
            if (n > 0) {
                buffer_.append(piece.data(), static_cast<std::size_t>(n));
            } else if (n == 0 || errno != EINTR) {
                if (buffer_.empty()) return Status::end;
                line = std::exchange(buffer_, {});
                return Status::line;
            }
        }
    }

private:
    Interrupts& interrupts_;
    std::string buffer_;
};

/// A person at a terminal. libedit reads through read_character, so that Ctrl-C is noticed.
class EditedLines final : public LineReader {
public:
    explicit EditedLines(Interrupts& interrupts) : interrupts_(interrupts) {
        history_ = ::history_init();
        editor_ = ::el_init("kvasir", stdin, stdout, stderr);
        if (editor_ == nullptr || history_ == nullptr) return;
        HistEvent event{};
        ::history(history_, &event, H_SETSIZE, 500);
        ::history(history_, &event, H_SETUNIQUE, 1);
        ::el_set(editor_, EL_CLIENTDATA, this);
        ::el_set(editor_, EL_EDITOR, "emacs");
        ::el_set(editor_, EL_HIST, ::history, history_);
        ::el_set(editor_, EL_PROMPT, &EditedLines::show_prompt);
        ::el_set(editor_, EL_GETCFN, &EditedLines::read_character);
        ::el_set(editor_, EL_SIGNAL, 1);  // restores the terminal around Ctrl-Z
        ::el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
        ::el_source(editor_, nullptr);  // the user's ~/.editrc
    }
    ~EditedLines() override {
        if (editor_ != nullptr) ::el_end(editor_);
        if (history_ != nullptr) ::history_end(history_);
    }
    EditedLines(const EditedLines&) = delete;
    EditedLines& operator=(const EditedLines&) = delete;

    bool is_usable() const { return editor_ != nullptr && history_ != nullptr; }
    bool is_interactive() const override { return true; }

    Status read(const std::string& prompt, std::string& line) override {
        prompt_ = prompt;
        interrupted_ = false;
        ::el_resize(editor_);
        int n = 0;
        const char* text = ::el_gets(editor_, &n);
        if (interrupted_) {
            (void)::write(STDOUT_FILENO, "\n", 1);
            return had_text_ ? Status::cleared : Status::interrupted;
        }
        if (text == nullptr || n <= 0) return Status::end;
        std::string_view view(text, static_cast<std::size_t>(n));
        if (view.size() > kMaxLineBytes) return Status::too_long;
        if (view.ends_with('\n')) view.remove_suffix(1);
        line = view;
        HistEvent event{};
        if (!line.empty()) ::history(history_, &event, H_ENTER, line.c_str());
        return Status::line;
    }

private:
    static EditedLines* self(EditLine* editor) {
        void* data = nullptr;
        ::el_get(editor, EL_CLIENTDATA, &data);
        return static_cast<EditedLines*>(data);
    }

    static char* show_prompt(EditLine* editor) { return self(editor)->prompt_.data(); }

    /// One character in the locale's encoding. 1, 0 at the end of input, -1 on Ctrl-C.
    static int read_character(EditLine* editor, wchar_t* out) {
        EditedLines& reader = *self(editor);
        std::mbstate_t state{};
        while (true) {
            if (!wait_for_input(reader.interrupts_)) {
                (void)reader.interrupts_.take();
                const LineInfo* info = ::el_line(editor);
                reader.had_text_ = info->lastchar != info->buffer;
                reader.interrupted_ = true;
                return -1;
            }
            char byte = 0;
            const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
            if (n == 0) return 0;
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return -1;
            const std::size_t used = std::mbrtowc(out, &byte, 1, &state);
            if (used == static_cast<std::size_t>(-2)) continue;  // more bytes of this character
            if (used == static_cast<std::size_t>(-1)) *out = L'?';
            return 1;
        }
    }

    Interrupts& interrupts_;
    EditLine* editor_ = nullptr;
    History* history_ = nullptr;
    std::string prompt_;
    bool interrupted_ = false;
    bool had_text_ = false;
};

}  // namespace

std::unique_ptr<LineReader> LineReader::create(Interrupts& interrupts) {
    if (isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1) {
        auto edited = std::make_unique<EditedLines>(interrupts);
        if (edited->is_usable()) return edited;
    }
    return std::make_unique<PlainLines>(interrupts);
}

}  // namespace kvasir::client
