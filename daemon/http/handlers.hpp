// The handlers behind the routes. Each answers its exchange, now or later, and never blocks on the
// device.
#pragma once

#include <memory>

#include "daemon/http/exchange.hpp"
#include "daemon/http/server_context.hpp"

namespace kvasir {

using ExchangePtr = std::shared_ptr<Exchange>;

// On the io thread: cheap.
void get_health(ServerContext& context, const ExchangePtr& exchange);
void get_metrics(ServerContext& context, const ExchangePtr& exchange);
void get_models(ServerContext& context, const ExchangePtr& exchange);

// On a worker: they parse and tokenize. The model is ready.
void post_completions(ServerContext& context, const ExchangePtr& exchange);
void post_chat_completions(ServerContext& context, const ExchangePtr& exchange);
void post_tokenize(ServerContext& context, const ExchangePtr& exchange);
void post_detokenize(ServerContext& context, const ExchangePtr& exchange);

}  // namespace kvasir
