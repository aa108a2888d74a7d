// map, select, reject and their attribute forms.
#include <fmt/format.h>

#include "daemon/template/filters.hpp"

namespace kvasir::jinja {

namespace {

/// Takes the first positional argument away.
Value take_first(Arguments& arguments) {
    Value first = std::move(arguments.positional.front());
    arguments.positional.erase(arguments.positional.begin());
    return first;
}

Result<Value> map_attribute(Runtime& runtime, const Items& items, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "map", {"attribute", "default"}, 1));
    Items out;
    for (const Value& item : items) {
        KVASIR_TRY(out.emplace_back(), follow_path(runtime, item, *bound[0], bound[1]));
    }
    return runtime.make_list(std::move(out), SequenceType::iterator);
}

Result<Value> mapped(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const Items items, runtime.iterate(value));
    if (arguments.positional.empty()) return map_attribute(runtime, items, arguments);
    const Value name = take_first(arguments);
    KVASIR_TRY(const std::string_view filter, to_string_view(name, "map"));
    Items out;
    for (const Value& item : items) {
        Arguments each = arguments;
        KVASIR_TRY_VOID(runtime.step());
        KVASIR_TRY(out.emplace_back(), call_filter(runtime, filter, item, each));
    }
    return runtime.make_list(std::move(out), SequenceType::iterator);
}

template <bool by_attribute, bool keep>
Result<Value> selected(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const Items items, runtime.iterate(value));
    Value attribute(None{});
    if (by_attribute) {
        if (arguments.positional.empty()) return type_error("Missing parameter for attribute name");
        attribute = take_first(arguments);
    }
    Value test(None{});
    if (!arguments.positional.empty()) test = take_first(arguments);
    Items out;
    for (const Value& item : items) {
        Value subject = item;
        if (by_attribute) {
            KVASIR_TRY(subject, follow_path(runtime, item, attribute, std::nullopt));
        }
        bool holds = is_true(subject);
        if (!test.is_none()) {
            KVASIR_TRY(const std::string_view name, to_string_view(test, "select"));
            Arguments each = arguments;
            KVASIR_TRY_VOID(runtime.step());
            KVASIR_TRY(holds, call_test(runtime, name, subject, each));
        }
        if (holds == keep) out.push_back(item);
    }
    return runtime.make_list(std::move(out), SequenceType::iterator);
}

/// The attribute only, never an item of that name.
Result<Value> attribute_of(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "attr", {"name"}, 1));
    KVASIR_TRY(const std::string_view name, to_string_view(*bound[0], "attr"));
    if (value.is_dict() && !has_method(value, name))
        return make_undefined(fmt::format("'dict object' has no attribute '{}'", name));
    return get_attribute(runtime, value, name);
}

}  // namespace

const FilterTable& select_filters() {
    static const FilterTable table = {
        {"map", mapped},
        {"select", selected<false, true>},
        {"reject", selected<false, false>},
        {"selectattr", selected<true, true>},
        {"rejectattr", selected<true, false>},
        {"attr", attribute_of},
    };
    return table;
}

}  // namespace kvasir::jinja
