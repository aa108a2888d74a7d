// Methods of lists, tuples and dicts, and the choice of the right table for a value.
#include <algorithm>
#include <fmt/format.h>

#include "daemon/template/interpreter.hpp"
#include "daemon/template/methods_string.hpp"

namespace kvasir::jinja {

namespace {

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_list_or_tuple(const Value& value) {
    return value.is_sequence(SequenceType::list) || value.is_sequence(SequenceType::tuple) ||
           value.is_sequence(SequenceType::range);
}

Result<Value> dict_method(Runtime& runtime, const DictObject& dict, std::string_view name,
                          Arguments& arguments) {
    if (name == "get") {
        KVASIR_TRY(const auto bound, bind(arguments, "get", {"key", "default"}, 1));
        if (!is_hashable(*bound[0]))
            return type_error(fmt::format("unhashable type: '{}'", bound[0]->type_name()));
        if (!bound[0]->is_string()) KVASIR_TRY_VOID(runtime.step(dict.pairs.size()));
        if (const Value* found = dict.find(*bound[0])) return *found;
        return bound[1].value_or(Value(None{}));
    }
    KVASIR_TRY([[maybe_unused]] const auto none, bind(arguments, name, {}));
    KVASIR_TRY_VOID(runtime.step(dict.pairs.size()));
    if (name == "copy") return runtime.make_dict(dict.pairs);
    Items items;
    for (const auto& [key, value] : dict.pairs) {
        if (name == "keys") {
            items.push_back(key);
        } else if (name == "values") {
            items.push_back(value);
        } else {
            KVASIR_TRY(items.emplace_back(), runtime.make_list({key, value}, SequenceType::tuple));
        }
    }
    return runtime.make_list(std::move(items), SequenceType::view);
}

Result<Value> list_method(Runtime& runtime, const Value& self, std::string_view name,
                          Arguments& arguments) {
    const Items& items = self.items();
    KVASIR_TRY_VOID(runtime.step(items.size()));
    if (name == "copy") return runtime.make_list(items);
    KVASIR_TRY(const auto bound, bind(arguments, name, {"value"}, 1));
    if (name == "count") {
        return Value(std::int64_t{std::count_if(items.begin(), items.end(), [&](const Value& item) {
            return equals(item, *bound[0]);
        })});
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (equals(items[i], *bound[0])) return Value(static_cast<std::int64_t>(i));
    }
    KVASIR_TRY(const std::string text, runtime.to_repr(*bound[0]));
    return type_error(fmt::format("{} is not in {}", text.substr(0, 80), self.type_name()));
}

Result<Value> loop_method(Runtime& runtime, Loop& loop, std::string_view name,
                          Arguments& arguments) {
    KVASIR_TRY_VOID(runtime.step(1 + arguments.positional.size()));
    if (name == "cycle") {
        if (arguments.positional.empty()) return type_error("no items for cycling given");
        return arguments.positional[loop.index % arguments.positional.size()];
    }
    const Items& given = arguments.positional;
    const bool same =
        loop.last_changed && std::equal(given.begin(), given.end(), loop.last_changed->begin(),
                                        loop.last_changed->end(), equals);
    loop.last_changed = given;
    return Value(!same);
}

}  // namespace

bool has_method(const Value& value, std::string_view name) {
    if (value.is_string()) return has_string_method(name);
    if (value.is_dict()) return is_one_of(name, {"get", "items", "keys", "values", "copy"});
    if (value.is_sequence(SequenceType::list) && name == "copy") return true;
    if (is_list_or_tuple(value)) return is_one_of(name, {"index", "count"});
    if (dynamic_cast<const Loop*>(value.object()) != nullptr)
        return is_one_of(name, {"cycle", "changed"});
    return false;
}

bool is_unsafe_method(const Value& value, std::string_view name) {
    if (value.is_dict())
        return is_one_of(name, {"clear", "pop", "popitem", "setdefault", "update"});
    if (value.is_sequence(SequenceType::list)) {
        return is_one_of(
            name, {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"});
    }
    return false;
}

Result<Value> call_method(Runtime& runtime, const Value& self, std::string_view name,
                          Arguments& arguments) {
    if (self.is_string()) return call_string_method(runtime, self, name, arguments);
    if (self.is_dict()) return dict_method(runtime, self.dict(), name, arguments);
    if (self.is<Sequence>()) return list_method(runtime, self, name, arguments);
    if (auto* loop = dynamic_cast<Loop*>(self.object()))
        return loop_method(runtime, *loop, name, arguments);
    return type_error(fmt::format("'{}' has no method '{}'", self.type_name(), name));
}

}  // namespace kvasir::jinja
