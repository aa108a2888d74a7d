#include "daemon/kvasir/history_file.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/file_descriptor.hpp"

namespace kvasir::client {
namespace {

std::string escaped(std::string_view entry) {
    std::string line;
    for (const char c : entry) {
        if (c == '\n') {
            line += "\\n";
        } else if (c == '\\') {
            line += "\\\\";
        } else if (static_cast<unsigned char>(c) >= 0x20 || c == '\t') {
            line += c;
        }
    }
    return line;
}

std::string unescaped(std::string_view line) {
    std::string entry;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\\' && i + 1 < line.size()) {
            ++i;
            entry += line[i] == 'n' ? '\n' : line[i];
        } else if (static_cast<unsigned char>(line[i]) >= 0x20 || line[i] == '\t') {
            entry += line[i];
        }
    }
    return entry;
}

Error failed(const std::string& path) {
    return {ErrorCode::io, fmt::format("{}: {}", path, std::strerror(errno))};
}

/// A regular file of ours that nobody else reads: opened without following a link.
Result<FileDescriptor> open_private(const std::string& path, int flags) {
    FileDescriptor file(
        ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600));
    if (file.get() < 0) return failed(path);
    struct stat found {};
    if (::fstat(file.get(), &found) != 0) return failed(path);
    if (!S_ISREG(found.st_mode) || found.st_uid != ::geteuid()) {
        return Error{ErrorCode::unsupported,
                     fmt::format("{}: expected a regular file of your own", path)};
    }
    if ((found.st_mode & 077) != 0 && ::fchmod(file.get(), 0600) != 0) return failed(path);
    return file;
}

Result<void> make_directories(const std::string& path) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
        const std::string directory = path.substr(0, slash);
        if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return failed(directory);
    }
    return {};
}

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed(path);
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

/// The file's last kMostFileBytes.
Result<std::string> read_end(int fd, const std::string& path) {
    const off_t size = ::lseek(fd, 0, SEEK_END);
    constexpr auto kMost = static_cast<off_t>(HistoryFile::kMostFileBytes);
    if (size < 0 || ::lseek(fd, size > kMost ? size - kMost : 0, SEEK_SET) < 0) return failed(path);
    std::string bytes;
    std::array<char, 65536> piece{};
    while (bytes.size() < HistoryFile::kMostFileBytes) {
        const ssize_t n = ::read(fd, piece.data(), piece.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed(path);
        if (n == 0) break;
        bytes.append(piece.data(), static_cast<std::size_t>(n));
    }
    if (size > kMost) bytes.erase(0, bytes.find('\n') + 1);  // a line that was cut
    return bytes;
}

/// The file anew, by way of another beside it.
Result<void> replace(const std::string& path, const std::vector<std::string>& entries) {
    const std::string temporary = fmt::format("{}.{}", path, ::getpid());
    std::string bytes;
    for (const std::string& entry : entries) bytes.append(escaped(entry)).append("\n");
    KVASIR_TRY(const FileDescriptor file, open_private(temporary, O_WRONLY | O_CREAT | O_EXCL));
    const Result<void> written = write_all(file.get(), bytes, temporary);
    if (written.has_error() || ::rename(temporary.c_str(), path.c_str()) != 0) {
        const Error error = written.has_error() ? written.error() : failed(path);
        ::unlink(temporary.c_str());
        return error;
    }
    return {};
}

}  // namespace

std::string HistoryFile::default_path() {
    const char* named = std::getenv("KVASIR_HISTORY");
    if (named != nullptr) return named;
    const char* state = std::getenv("XDG_STATE_HOME");
    if (state != nullptr && *state == '/') return std::string(state) + "/kvasir/history";
    const char* home = std::getenv("HOME");
    // Accounts of services name homes that nobody has made, and neither do we.
    if (home == nullptr || *home != '/' || ::access(home, W_OK) != 0) return {};
    return std::string(home) + "/.local/state/kvasir/history";
}

Result<std::vector<std::string>> HistoryFile::load() {
    std::vector<std::string> entries;
    if (path_.empty() || (::access(path_.c_str(), F_OK) != 0 && errno == ENOENT)) return entries;
    KVASIR_TRY(const FileDescriptor file, open_private(path_, O_RDONLY));
    KVASIR_TRY(const std::string bytes, read_end(file.get(), path_));
    std::string_view rest = bytes;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        if (!line.empty() && line.size() <= kMostEntryBytes) entries.push_back(unescaped(line));
    }
    if (entries.size() <= kMostEntries) return entries;
    const bool is_long = entries.size() > 2 * kMostEntries;
    entries.erase(entries.begin(), entries.end() - kMostEntries);
    if (is_long) KVASIR_TRY_VOID(replace(path_, entries));
    return entries;
}

Result<void> HistoryFile::append(std::string_view entry) {
    const std::string line = escaped(entry) + "\n";
    if (path_.empty() || line.size() > kMostEntryBytes) return {};
    KVASIR_TRY_VOID(make_directories(path_));
    KVASIR_TRY(const FileDescriptor file, open_private(path_, O_WRONLY | O_CREAT | O_APPEND));
    return write_all(file.get(), line, path_);
}

}  // namespace kvasir::client
