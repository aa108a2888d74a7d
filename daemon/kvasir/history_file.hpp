// HistoryFile: what was typed in earlier chats.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir::client {

/// A file that only its owner can read, one entry a line, its newlines written as `\n`. Entries are
/// appended as they are typed, so chats that run at the same time keep each other's.
class HistoryFile {
public:
    static constexpr std::size_t kMostEntries = 1000;
    static constexpr std::size_t kMostEntryBytes = std::size_t{64} << 10;
    static constexpr std::size_t kMostFileBytes = std::size_t{8} << 20;

    /// KVASIR_HISTORY, else kvasir/history in XDG_STATE_HOME, else in ~/.local/state.
    /// Empty: none.
    static std::string default_path();

    /// path empty: keeps nothing.
    explicit HistoryFile(std::string path) : path_(std::move(path)) {}

    /// The last kMostEntries, oldest first; a file that is not there has none. One that has grown
    /// to twice as many is cut to these. Errors: io, unsupported (no regular file of ours).
    Result<std::vector<std::string>> load();

    /// Makes the directory and the file where there is none. Errors: io, unsupported.
    Result<void> append(std::string_view entry);

private:
    std::string path_;
};

}  // namespace kvasir::client
