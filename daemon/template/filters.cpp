#include "daemon/template/filters.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

namespace {

Filter find_filter(std::string_view name) {
    for (const FilterTable* table :
         {&text_filters(), &sequence_filters(), &select_filters(), &number_filters()}) {
        if (const auto found = table->find(name); found != table->end()) return found->second;
    }
    return nullptr;
}

}  // namespace

bool has_filter(std::string_view name) {
    return find_filter(name) != nullptr;
}

Result<Value> call_filter(Runtime& runtime, std::string_view name, const Value& value,
                          Arguments& arguments) {
    const Filter filter = find_filter(name);
    if (filter == nullptr) return type_error(fmt::format("no filter named '{}'", name));
    return filter(runtime, value, arguments);
}

Result<Value> follow_path(Runtime& runtime, Value value, const Value& path,
                          const std::optional<Value>& fallback) {
    if (!path.is_string()) {
        KVASIR_TRY(value, get_item(runtime, value, path));
        if (value.is_undefined() && fallback) return *fallback;
        return value;
    }
    std::string_view rest = path.text();
    for (;;) {
        const std::size_t dot = std::min(rest.find('.'), rest.size());
        const std::string_view part = rest.substr(0, dot);
        std::int64_t number = 0;
        const auto [end, failed] = std::from_chars(part.data(), part.data() + part.size(), number);
        const bool is_number = !part.empty() && failed == std::errc() &&
                               end == part.data() + part.size() && part[0] != '-';
        KVASIR_TRY(const Value key, is_number ? Result<Value>(Value(number))
                                              : runtime.make_string(std::string(part)));
        KVASIR_TRY(value, get_item(runtime, value, key));
        if (value.is_undefined() && fallback) value = *fallback;
        if (dot == rest.size()) return value;
        rest = rest.substr(dot + 1);
    }
}

Result<Value> sort_key(Runtime& runtime, const Value& value, bool case_sensitive) {
    if (case_sensitive || !value.is_string()) return value;
    return runtime.make_string(to_lower(value.text()));
}

Result<> sort_by_keys(Runtime& runtime, std::vector<std::pair<Value, Value>>& keyed, bool reverse) {
    std::optional<Error> failed;
    const auto before = [&](const auto& a, const auto& b) {
        if (failed) return false;
        const std::uint64_t bytes = a.first.is_string() ? a.first.text().size() : 0;
        if (auto worked = runtime.work(bytes); worked.has_error()) {
            failed = std::move(worked).error();
            return false;
        }
        const auto order = reverse ? less(b.first, a.first) : less(a.first, b.first);
        if (order.has_error()) failed = order.error();
        return order.has_value() && *order;
    };
    std::stable_sort(keyed.begin(), keyed.end(), before);
    if (failed) return std::move(*failed);
    return {};
}

}  // namespace kvasir::jinja
