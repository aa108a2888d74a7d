// "messages" of POST /api/chat. Included by .cpp files alone, as request_fields.hpp.
#pragma once

#include <boost/json/array.hpp>

#include "daemon/http/request_fields.hpp"

namespace kvasir {

/// As messages of a chat: calls with their arguments as text and with ids, which Ollama's clients
/// need not send, and each result with the id of the call that it answers.
Outcome read_ollama_messages(const JsonFields& fields, boost::json::array& messages);

}  // namespace kvasir
