// Methods of Python's str.
#pragma once

#include "daemon/template/runtime.hpp"

namespace kvasir::jinja {

bool has_string_method(std::string_view name);
/// REQUIRES: self.is_string(), has_string_method(name).
Result<Value> call_string_method(Runtime& runtime, const Value& self, std::string_view name,
                                 Arguments& arguments);

/// text.replace(old, with, at most n times; negative: all).
Result<Value> replace_text(Runtime& runtime, std::string_view text, std::string_view old,
                           std::string_view with, std::int64_t n_times);
/// text.center(width, fill) and its like.
enum class Align { left, center, right };
Result<Value> pad_text(Runtime& runtime, std::string_view text, std::int64_t width,
                       std::string_view fill, Align align);

}  // namespace kvasir::jinja
