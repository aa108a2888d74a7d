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
void get_ollama_tags(ServerContext& context, const ExchangePtr& exchange);
void get_ollama_ps(ServerContext& context, const ExchangePtr& exchange);
void get_ollama_version(ServerContext& context, const ExchangePtr& exchange);

// Of the cache: answered on the engine's thread, between two steps. On the io thread: no body.
void get_sessions(ServerContext& context, const ExchangePtr& exchange);
void get_session(ServerContext& context, const ExchangePtr& exchange);
void delete_session(ServerContext& context, const ExchangePtr& exchange);
void post_session_save(ServerContext& context, const ExchangePtr& exchange);
void post_session_restore(ServerContext& context, const ExchangePtr& exchange);
void get_prefixes(ServerContext& context, const ExchangePtr& exchange);
void get_prefix(ServerContext& context, const ExchangePtr& exchange);
void delete_prefix(ServerContext& context, const ExchangePtr& exchange);
void post_context_end(ServerContext& context, const ExchangePtr& exchange);
void get_cache(ServerContext& context, const ExchangePtr& exchange);
// On a worker.
void post_session(ServerContext& context, const ExchangePtr& exchange);
void patch_session(ServerContext& context, const ExchangePtr& exchange);
void post_prefix(ServerContext& context, const ExchangePtr& exchange);
void post_cache_evict(ServerContext& context, const ExchangePtr& exchange);

// On a worker: they parse and tokenize. The model is ready.
void post_completions(ServerContext& context, const ExchangePtr& exchange);
void post_chat_completions(ServerContext& context, const ExchangePtr& exchange);
void post_responses(ServerContext& context, const ExchangePtr& exchange);
void post_embeddings(ServerContext& context, const ExchangePtr& exchange);
void post_ollama_embed(ServerContext& context, const ExchangePtr& exchange);
void post_ollama_embeddings(ServerContext& context, const ExchangePtr& exchange);
void post_ollama_chat(ServerContext& context, const ExchangePtr& exchange);
void post_ollama_generate(ServerContext& context, const ExchangePtr& exchange);
void post_ollama_show(ServerContext& context, const ExchangePtr& exchange);
void post_tokenize(ServerContext& context, const ExchangePtr& exchange);
void post_apply_template(ServerContext& context, const ExchangePtr& exchange);
void post_detokenize(ServerContext& context, const ExchangePtr& exchange);

}  // namespace kvasir
