// Filters. Source: Jinja2's list of builtin filters, and tojson as transformers defines it.
#pragma once

#include <unordered_map>

#include "daemon/template/runtime.hpp"

namespace kvasir::jinja {

using Filter = Result<Value> (*)(Runtime&, const Value&, Arguments&);
using FilterTable = std::unordered_map<std::string_view, Filter>;

const FilterTable& text_filters();
const FilterTable& number_filters();
const FilterTable& sequence_filters();
const FilterTable& select_filters();

/// `a.b.0` of a value. Errors: as get_item.
Result<Value> follow_path(Runtime& runtime, Value value, const Value& path,
                          const std::optional<Value>& fallback);
/// What sort, min, unique compare: strings without case, unless asked.
Result<Value> sort_key(Runtime& runtime, const Value& value, bool case_sensitive);
/// Stable. Errors: the first pair that has no order.
Result<> sort_by_keys(Runtime& runtime, std::vector<std::pair<Value, Value>>& keyed, bool reverse);

inline bool flag(const std::optional<Value>& value) {
    return value && is_true(*value);
}

}  // namespace kvasir::jinja
