// strftime() of a given local time, in the C locale.
#pragma once

#include "daemon/template/chat_template.hpp"

namespace kvasir::jinja {

/// Errors: invalid_argument (a directive that needs a time zone, or an unknown one).
Result<std::string> time_text(const TemplateTime& time, std::string_view format);

}  // namespace kvasir::jinja
