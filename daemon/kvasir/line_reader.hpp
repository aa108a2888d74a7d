// LineReader: what the user types in `kvasir chat`.
#pragma once

#include <memory>
#include <string>

#include "daemon/kvasir/interrupts.hpp"

namespace kvasir::client {

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
    /// The next line without its end; blocks. The prompt is shown where a person types.
    virtual Status read(const std::string& prompt, std::string& line) = 0;
    virtual bool is_interactive() const = 0;

    /// With editing and history, kept in memory only, where standard input is a terminal.
    static std::unique_ptr<LineReader> create(Interrupts& interrupts);
};

}  // namespace kvasir::client
