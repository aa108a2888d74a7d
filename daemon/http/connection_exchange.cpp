#include "daemon/http/connection_exchange.hpp"

#include <utility>

#include "daemon/http/connection.hpp"
#include "daemon/http/ollama_error.hpp"

namespace kvasir {

ConnectionExchange::ConnectionExchange(HttpRequest request, std::weak_ptr<Connection> connection,
                                       std::shared_ptr<std::atomic<bool>> gone)
    : Exchange(std::move(request)), connection_(std::move(connection)), gone_(std::move(gone)) {}

ConnectionExchange::~ConnectionExchange() {
    if (answered_) return;
    try {
        send(error_response_at(request().path,
                               {ErrorKind::internal, "the request was dropped", {}}));
    } catch (...) {  // no memory to say so: the client's own timeout ends it
    }
}

void ConnectionExchange::reply(HttpResponse response) {
    if (!answered_.exchange(true)) send(std::move(response));
}

void ConnectionExchange::attach(std::shared_ptr<ResponseSource> source) {
    if (answered_.exchange(true)) return;
    const std::shared_ptr<Connection> connection = connection_.lock();
    if (!connection) return source->abandon();
    connection->post([from = this, source = std::move(source)](Connection& self) mutable {
        self.take_source(from, std::move(source));
    });
}

void ConnectionExchange::wake() {
    if (wake_posted_.exchange(true)) return;
    try {
        if (const std::shared_ptr<Connection> connection = connection_.lock()) {
            connection->post([self = shared_from_this()](Connection& c) {
                self->wake_posted_ = false;
                c.on_wake(self.get());
            });
        }
    } catch (...) {
        wake_posted_ = false;
        throw;
    }
}

void ConnectionExchange::send(HttpResponse response) {
    if (const std::shared_ptr<Connection> connection = connection_.lock()) {
        connection->post([from = static_cast<const Exchange*>(this),
                          response = std::move(response)](Connection& self) mutable {
            self.deliver(from, std::move(response));
        });
    }
}

}  // namespace kvasir
