// LineReader: what the user types in `kvasir chat`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/kvasir/interrupts.hpp"

namespace kvasir::client {

struct EditorOptions {
    std::vector<std::string> history;   // oldest first
    std::vector<std::string> commands;  // a tab completes them at the start of a line
    bool has_colours = false;
};

class LineReader {
public:
    enum class Status {
        line,
        end,          // end of input
        cleared,      // Ctrl-C within a line, which is dropped
        interrupted,  // Ctrl-C on an empty line
        too_long,
    };
    static constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20;

    virtual ~LineReader() = default;
    /// The next line without its end; blocks. The prompt is shown where a person types. What was
    /// pasted, or typed with Alt-Enter, can hold newlines.
    virtual Status read(const std::string& prompt, std::string& line) = 0;
    virtual bool is_interactive() const = 0;
    /// For the arrow keys and Ctrl-R.
    virtual void remember(const std::string& entry) = 0;

    /// Blocks until standard input can be read; false on Ctrl-C.
    static bool wait_for_input(const Interrupts& interrupts);

    /// Lines from a file or a pipe.
    static std::unique_ptr<LineReader> create_plain(Interrupts& interrupts);
    /// With editing and history. nullptr where standard input and output are no terminal.
    static std::unique_ptr<LineReader> create_edited(Interrupts& interrupts,
                                                     const EditorOptions& options);
};

}  // namespace kvasir::client
