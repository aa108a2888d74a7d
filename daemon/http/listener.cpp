#include "daemon/http/listener.hpp"

#include <boost/asio/post.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "config/base/log.hpp"

namespace kvasir {

namespace {

constexpr int kAcceptsAtOnce = 64;  // then the running connections have their turn
constexpr std::chrono::milliseconds kPause{100};

}  // namespace

Listener::Listener(boost::asio::io_context& io, ListeningSocket socket, OnAccept on_accept)
    : strand_(boost::asio::make_strand(io)),
      descriptor_(strand_),
      timer_(strand_),
      socket_(std::make_unique<ListeningSocket>(std::move(socket))),
      family_(socket_->family()),
      port_(socket_->port()),
      on_accept_(std::move(on_accept)) {}

void Listener::start() {
    boost::asio::post(strand_, [self = shared_from_this()] {
        boost::system::error_code ec;
        self->descriptor_.assign(::fcntl(self->socket_->fd(), F_DUPFD_CLOEXEC, 0), ec);
        if (ec) log_error("cannot listen", {{"error", ec.message()}});
        if (!ec) self->wait();
    });
}

void Listener::stop() {
    boost::asio::post(strand_, [self = shared_from_this()] {
        self->stopped_ = true;
        boost::system::error_code ec;
        self->descriptor_.close(ec);
        self->timer_.cancel();
        self->socket_.reset();
    });
}

void Listener::wait() {
    if (stopped_) return;
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [self = shared_from_this()](const boost::system::error_code& ec) {
                               if (!ec) self->accept_some();
                           });
}

void Listener::accept_some() {
    for (int i = 0; i < kAcceptsAtOnce && !stopped_; ++i) {
        const int fd =
            ::accept4(descriptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) break;
            if (errno == EINTR || errno == ECONNABORTED) continue;
            // Out of descriptors or memory: the queue stays readable, so waiting for it would spin.
            log_warn("cannot accept a connection", {{"error", std::strerror(errno)}});
            return pause();
        }
        try {
            on_accept_(fd, family_);
        } catch (const std::exception& e) {
            log_error("connection refused", {{"what", e.what()}});
            return pause();
        }
    }
    wait();
}

void Listener::pause() {
    timer_.expires_after(kPause);
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
        if (!ec) self->accept_some();
    });
}

}  // namespace kvasir
