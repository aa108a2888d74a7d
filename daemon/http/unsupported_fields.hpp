// Fields of other servers and of OpenAI that would change the answer and that nothing here can
// honour.
#pragma once

#include <boost/json/object.hpp>

#include "daemon/http/error_response.hpp"

namespace kvasir {

/// An error that names the first such field whose value asks for anything; nullopt where none does.
std::optional<ApiError> find_unsupported_field(const boost::json::object& body);

}  // namespace kvasir
