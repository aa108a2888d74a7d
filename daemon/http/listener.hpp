// Listener: takes connections from one listening socket.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <memory>

#include "daemon/http/listening_socket.hpp"

namespace kvasir {

class Listener : public std::enable_shared_from_this<Listener> {
public:
    /// fd is the callee's. May throw std::bad_alloc; the connection is then dropped.
    using OnAccept = std::function<void(int fd, int family)>;

    Listener(boost::asio::io_context& io, ListeningSocket socket, OnAccept on_accept);

    void start();
    /// Any thread. Closes the socket and removes its file.
    void stop();
    std::uint16_t port() const { return port_; }

private:
    void wait();
    void accept_some();
    void pause();

    boost::asio::strand<boost::asio::io_context::executor_type> strand_;
    boost::asio::posix::stream_descriptor descriptor_;  // a duplicate: asio closes what it holds
    boost::asio::steady_timer timer_;
    std::unique_ptr<ListeningSocket> socket_;
    const int family_;
    const std::uint16_t port_;
    const OnAccept on_accept_;
    bool stopped_ = false;
};

}  // namespace kvasir
