// ConnectionExchange: brings an answer from any thread to the connection's strand.
#pragma once

#include <atomic>
#include <memory>

#include "daemon/http/exchange.hpp"

namespace kvasir {

class Connection;

class ConnectionExchange final : public Exchange,
                                 public std::enable_shared_from_this<ConnectionExchange> {
public:
    ConnectionExchange(HttpRequest request, std::weak_ptr<Connection> connection,
                       std::shared_ptr<std::atomic<bool>> gone);
    ~ConnectionExchange() override;

    void reply(HttpResponse response) override;
    void attach(std::shared_ptr<ResponseSource> source) override;
    void wake() override;
    bool gone() const override { return *gone_; }

private:
    void send(HttpResponse response);

    const std::weak_ptr<Connection> connection_;
    const std::shared_ptr<std::atomic<bool>> gone_;
    std::atomic<bool> answered_{false};
    std::atomic<bool> wake_posted_{false};
};

}  // namespace kvasir
