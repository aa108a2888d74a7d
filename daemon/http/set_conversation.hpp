// A conversation that a door has read by its own rules, handed to whoever writes it down for the
// model. Included by .cpp files alone, as request_fields.hpp.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "daemon/http/request_fields.hpp"

namespace kvasir {

/// messages: objects with role and content, checked. template_variables: further ones of the
/// model's template, as chat_template_kwargs has them.
Outcome set_conversation(boost::json::array messages, boost::json::object template_variables,
                         const ModelInfo& model, CompletionRequest& request);

/// Null, false, 0, "", [] and {}: a client that sends its defaults asks for nothing.
bool asks_for_nothing(const boost::json::value& value);

/// The first of these fields that asks for something is an error that names it.
Outcome refuse_fields(const JsonFields& fields, std::initializer_list<std::string_view> names);

}  // namespace kvasir
