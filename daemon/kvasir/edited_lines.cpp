// A person at a terminal: libedit, with history, bracketed paste, and a tab that knows the
// commands.
#include <cerrno>
#include <cstdio>
#include <cwchar>
#include <histedit.h>
#include <string_view>
#include <unistd.h>
#include <utility>

#include "daemon/kvasir/line_reader.hpp"

namespace kvasir::client {
namespace {

// Source: xterm's control sequences, "Bracketed Paste Mode".
constexpr std::string_view kPasteOn = "\x1b[?2004h";
constexpr std::string_view kPasteOff = "\x1b[?2004l";
constexpr std::wstring_view kPasteEnd = L"\x1b[201~";

/// What a paste may put into a line: no control characters but newlines and tabs.
std::wstring pasted_text(std::wstring_view raw) {
    std::wstring text;
    for (std::size_t i = 0; i < raw.size(); ++i) {
        const wchar_t c = raw[i];
        if (c == L'\r') {
            text += L'\n';
            if (i + 1 < raw.size() && raw[i + 1] == L'\n') ++i;
        } else if (c == L'\n' || c == L'\t' || (c >= 0x20 && c != 0x7f && (c < 0x80 || c > 0x9f))) {
            text += c;
        }
    }
    if (text.ends_with(L'\n')) text.pop_back();
    return text;
}

/// libedit reads through read_character, so that Ctrl-C is noticed.
class EditedLines final : public LineReader {
public:
    EditedLines(Interrupts& interrupts, const EditorOptions& options)
        : interrupts_(interrupts),
          commands_(options.commands),
          has_colours_(options.has_colours),
          history_(::history_init()),
          editor_(::el_init("kvasir", stdin, stdout, stderr)) {
        if (!is_usable()) return;
        HistEvent event{};
        ::history(history_, &event, H_SETSIZE, 1000);
        ::history(history_, &event, H_SETUNIQUE, 1);
        for (const std::string& entry : options.history) remember(entry);
        ::el_set(editor_, EL_CLIENTDATA, this);
        ::el_set(editor_, EL_EDITOR, "emacs");
        ::el_set(editor_, EL_HIST, ::history, history_);
        ::el_set(editor_, EL_PROMPT_ESC, &EditedLines::show_prompt, '\1');
        ::el_set(editor_, EL_GETCFN, &EditedLines::read_character);
        ::el_set(editor_, EL_SIGNAL, 1);  // restores the terminal around Ctrl-Z
        // Wide: of narrow names libedit keeps copies that it never frees.
        ::el_wset(editor_, EL_ADDFN, L"kvasir-paste", L"take a bracketed paste",
                  &EditedLines::paste);
        ::el_wset(editor_, EL_ADDFN, L"kvasir-newline", L"go on in a new line",
                  &EditedLines::insert_newline);
        ::el_wset(editor_, EL_ADDFN, L"kvasir-complete", L"complete a command",
                  &EditedLines::complete);
        ::el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
        ::el_set(editor_, EL_BIND, "\\e[200~", "kvasir-paste", nullptr);
        ::el_set(editor_, EL_BIND, "\\e\\r", "kvasir-newline", nullptr);
        ::el_set(editor_, EL_BIND, "\\e\\n", "kvasir-newline", nullptr);
        ::el_set(editor_, EL_BIND, "^I", "kvasir-complete", nullptr);
        ::el_set(editor_, EL_BIND, "\\e[3~", "ed-delete-next-char", nullptr);
        ::el_set(editor_, EL_BIND, "\\e[1;5C", "em-next-word", nullptr);
        ::el_set(editor_, EL_BIND, "\\e[1;5D", "ed-prev-word", nullptr);
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

    void remember(const std::string& entry) override {
        HistEvent event{};
        if (!entry.empty()) ::history(history_, &event, H_ENTER, entry.c_str());
    }

    Status read(const std::string& prompt, std::string& line) override {
        // The escape sequences stand between \1, which libedit does not count.
        prompt_ = has_colours_ ? "\1\x1b[1;36m\1" + prompt + "\1\x1b[0m\1" : prompt;
        interrupted_ = false;
        ::el_resize(editor_);
        int n = 0;
        (void)!::write(STDOUT_FILENO, kPasteOn.data(), kPasteOn.size());
        const char* text = ::el_gets(editor_, &n);
        (void)!::write(STDOUT_FILENO, kPasteOff.data(), kPasteOff.size());
        if (interrupted_) {
            (void)!::write(STDOUT_FILENO, "\n", 1);
            return had_text_ ? Status::cleared : Status::interrupted;
        }
        if (text == nullptr || n <= 0) return Status::end;
        std::string_view view(text, static_cast<std::size_t>(n));
        if (view.size() > kMaxLineBytes) return Status::too_long;
        if (view.ends_with('\n')) view.remove_suffix(1);
        line = view;
        return Status::line;
    }

private:
    static EditedLines* self(EditLine* editor) {
        void* data = nullptr;
        ::el_get(editor, EL_CLIENTDATA, &data);
        return static_cast<EditedLines*>(data);
    }

    static char* show_prompt(EditLine* editor) { return self(editor)->prompt_.data(); }

    static unsigned char insert_newline(EditLine* editor, int /*key*/) {
        return ::el_winsertstr(editor, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
    }

    /// Everything up to the paste's end, as one text: its newlines send nothing.
    static unsigned char paste(EditLine* editor, int /*key*/) {
        std::wstring raw;
        bool is_too_long = false;
        while (!raw.ends_with(kPasteEnd)) {
            wchar_t c = 0;
            if (::el_wgetc(editor, &c) != 1) return CC_EOF;
            if (raw.size() >= kMaxLineBytes) {
                is_too_long = true;
                raw.erase(0, raw.size() / 2);  // only its end matters now
            }
            raw += c;
        }
        if (is_too_long) return CC_ERROR;  // which beeps
        raw.resize(raw.size() - kPasteEnd.size());
        return ::el_winsertstr(editor, pasted_text(raw).c_str()) == 0 ? CC_REFRESH : CC_ERROR;
    }

    static unsigned char complete(EditLine* editor, int /*key*/) {
        const LineInfo* info = ::el_line(editor);
        const std::string_view typed(info->buffer,
                                     static_cast<std::size_t>(info->cursor - info->buffer));
        if (!typed.starts_with('/')) return CC_ERROR;
        std::string_view common;
        std::size_t n_found = 0;
        for (const std::string& command : self(editor)->commands_) {
            if (!command.starts_with(typed)) continue;
            if (n_found++ == 0) common = command;
            std::size_t n = 0;
            while (n < common.size() && n < command.size() && common[n] == command[n]) ++n;
            common = common.substr(0, n);
        }
        if (n_found == 0) return CC_ERROR;
        const std::string rest(common.substr(typed.size()));
        if (rest.empty()) return CC_REFRESH_BEEP;
        return ::el_insertstr(editor, rest.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
    }

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
    std::vector<std::string> commands_;
    bool has_colours_ = false;
    History* history_ = nullptr;
    EditLine* editor_ = nullptr;
    std::string prompt_;
    bool interrupted_ = false;
    bool had_text_ = false;
};

}  // namespace

std::unique_ptr<LineReader> LineReader::create_edited(Interrupts& interrupts,
                                                      const EditorOptions& options) {
    if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1) return nullptr;
    auto edited = std::make_unique<EditedLines>(interrupts, options);
    if (!edited->is_usable()) return nullptr;
    return edited;
}

}  // namespace kvasir::client
