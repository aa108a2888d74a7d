// "input" and "instructions" of POST /v1/responses. Included by .cpp files alone, as
// request_fields.hpp.
#pragma once

#include <boost/json/array.hpp>

#include "daemon/http/request_fields.hpp"
#include "daemon/http/responses_request.hpp"

namespace kvasir {

/// As messages of a chat, the instructions first: thoughts, text and calls that follow each other
/// are one turn of the assistant's. writer: calls and their outputs are for templates alone.
/// find_item: of those that are named, not sent. Errors name the item and its part.
Outcome read_responses_input(const JsonFields& fields, ChatWriter writer, const FindItem& find_item,
                             boost::json::array& messages);

}  // namespace kvasir
