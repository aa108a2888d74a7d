// A conversation that a door has read by its own rules, handed to whoever writes it down for the
// model. Included by .cpp files alone, as request_fields.hpp.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "daemon/http/request_fields.hpp"

namespace kvasir {

struct Conversation {
    boost::json::array messages;  // with role and content, checked; calls as chats have them
    boost::json::object template_variables;  // more of the template's, as chat_template_kwargs
    ToolShape tool_shape = ToolShape::nested;
};

/// Moves tools and tool_choice, which the template sees too, out of the body they were sent in.
Outcome set_conversation(Conversation said, boost::json::object& body, const ModelInfo& model,
                         CompletionRequest& request);

/// Null, false, 0, "", [] and {}: a client that sends its defaults asks for nothing.
bool asks_for_nothing(const boost::json::value& value);

/// The first of these fields that asks for something is an error that names it.
Outcome refuse_fields(const JsonFields& fields, std::initializer_list<std::string_view> names);

}  // namespace kvasir
