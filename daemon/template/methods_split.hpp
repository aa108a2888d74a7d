// str.split and its relatives.
#pragma once

#include "daemon/template/runtime.hpp"

namespace kvasir::jinja {

template <bool from_right>
Result<Value> split_method(Runtime& runtime, const std::string& text, Arguments& arguments);
Result<Value> splitlines_method(Runtime& runtime, const std::string& text, Arguments& arguments);
template <bool from_right>
Result<Value> partition_method(Runtime& runtime, const std::string& text, Arguments& arguments);

}  // namespace kvasir::jinja
