// LiveScreen: the whole terminal for as long as it lives, given back as it was.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "config/base/file_descriptor.hpp"
#include "daemon/kvasir/screen_text.hpp"
#include "daemon/kvasir/terminal.hpp"

namespace kvasir::client {

/// On the alternate screen, without a cursor, keys unechoed. Signals that end or stop the process,
/// and SIGWINCH, come through fd(); REQUIRES: no other threads yet. A crash gives the terminal back
/// too. At most one object at a time.
class LiveScreen {
public:
    struct Size {
        std::size_t width = 80;
        std::size_t height = 24;
    };
    enum class Event { none, resized, key_q, ended };

    /// takes_interrupts: Ctrl-C is one of the signals.
    LiveScreen(Output& out, bool takes_interrupts);
    ~LiveScreen();
    LiveScreen(const LiveScreen&) = delete;
    LiveScreen& operator=(const LiveScreen&) = delete;

    Size size() const;
    /// False when the terminal cannot be written.
    bool draw(std::vector<ScreenLine> lines);

    int signal_fd() const { return signals_.get(); }
    /// Takes one signal. ended: end_signal() says by which.
    Event take_signal();
    int end_signal() const { return end_signal_; }
    /// Takes the keys that were typed. ended: the terminal has gone.
    Event take_keys();

private:
    void enter();
    void leave();
    void stop_and_go_on();

    Output& out_;
    FileDescriptor signals_;
    int end_signal_ = 0;
};

}  // namespace kvasir::client
