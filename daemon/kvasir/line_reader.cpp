#include "daemon/kvasir/line_reader.hpp"

#include <array>
#include <cerrno>
#include <poll.h>
#include <unistd.h>
#include <utility>

namespace kvasir::client {

bool LineReader::wait_for_input(const Interrupts& interrupts) {
    while (true) {
        std::array<pollfd, 2> fds = {{{STDIN_FILENO, POLLIN, 0}, {interrupts.fd(), POLLIN, 0}}};
        const int n = ::poll(fds.data(), interrupts.fd() < 0 ? 1 : 2, -1);
        if (interrupts.pending()) return false;
        if (n > 0 || (n < 0 && errno != EINTR)) return true;  // a bad descriptor: let read say so
    }
}

namespace {

class PlainLines final : public LineReader {
public:
    explicit PlainLines(Interrupts& interrupts) : interrupts_(interrupts) {}

    bool is_interactive() const override { return false; }
    void remember(const std::string& /*entry*/) override {}

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

}  // namespace

std::unique_ptr<LineReader> LineReader::create_plain(Interrupts& interrupts) {
    return std::make_unique<PlainLines>(interrupts);
}

}  // namespace kvasir::client
