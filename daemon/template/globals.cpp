// Functions that every template knows: range, dict, namespace, raise_exception, strftime_now.
#include <array>
#include <fmt/format.h>

#include "daemon/template/runtime.hpp"
#include "daemon/template/time_text.hpp"

namespace kvasir::jinja {

namespace {

Result<Value> make_range(Runtime& runtime, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "range", {"start", "stop", "step"}, 1));
    std::int64_t numbers[3] = {0, 0, 1};
    for (std::size_t i = 0; i < 3; ++i) {
        if (!bound[i]) continue;
        KVASIR_TRY(numbers[i], to_integer(*bound[i], "range"));
    }
    if (!bound[1]) numbers[1] = std::exchange(numbers[0], 0);
    const auto [begin, end, step] = numbers;
    if (step == 0) return type_error("range() arg 3 must not be zero");
    std::uint64_t n_items = 0;
    const auto distance = [](std::int64_t from, std::int64_t to) {
        return static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
    };
    if (step > 0 && begin < end)
        n_items = (distance(begin, end) - 1) / static_cast<std::uint64_t>(step) + 1;
    if (step < 0 && begin > end)
        n_items = (distance(end, begin) - 1) / (0 - static_cast<std::uint64_t>(step)) + 1;
    if (n_items > runtime.limits().range_items) {
        return Error{ErrorCode::too_large, fmt::format("range of {} items, at most {} allowed",
                                                       n_items, runtime.limits().range_items)};
    }
    KVASIR_TRY_VOID(runtime.check_items(n_items));
    Items items;
    items.reserve(n_items);
    for (std::uint64_t i = 0; i < n_items; ++i)
        items.emplace_back(begin + static_cast<std::int64_t>(i) * step);
    return runtime.make_list(std::move(items), SequenceType::range);
}

/// Pairs of dict() and namespace(): a mapping, or a sequence of pairs, then names.
Result<Pairs> read_pairs(Runtime& runtime, Arguments& arguments, std::string_view function) {
    Pairs pairs;
    if (arguments.positional.size() > 1)
        return type_error(fmt::format("{} expected at most 1 argument", function));
    const auto set = [&](Value key, Value value) -> Result<> {
        if (!is_hashable(key))
            return type_error(fmt::format("unhashable type: '{}'", key.type_name()));
        KVASIR_TRY_VOID(runtime.step(1 + pairs.size() / 16));
        for (auto& [known, old] : pairs) {
            if (!equals(known, key)) continue;
            old = std::move(value);
            return {};
        }
        pairs.emplace_back(std::move(key), std::move(value));
        return {};
    };
    if (!arguments.positional.empty()) {
        const Value& given = arguments.positional.front();
        if (given.is_undefined()) return undefined_error(given);
        if (given.is_dict()) {
            pairs = given.dict().pairs;
        } else {
            KVASIR_TRY(const Items items, runtime.iterate(given));
            for (const Value& item : items) {
                KVASIR_TRY(Items pair, runtime.iterate(item));
                if (pair.size() != 2)
                    return type_error(fmt::format("{}: expected pairs of key and value", function));
                KVASIR_TRY_VOID(set(std::move(pair[0]), std::move(pair[1])));
            }
        }
    }
    for (auto& [name, value] : arguments.named) {
        KVASIR_TRY(Value key, runtime.make_string(name));
        KVASIR_TRY_VOID(set(std::move(key), std::move(value)));
    }
    return pairs;
}

Result<Value> make_dict_value(Runtime& runtime, Arguments& arguments) {
    KVASIR_TRY(Pairs pairs, read_pairs(runtime, arguments, "dict"));
    return runtime.make_dict(std::move(pairs));
}

Result<Value> make_namespace(Runtime& runtime, Arguments& arguments) {
    KVASIR_TRY(Pairs pairs, read_pairs(runtime, arguments, "namespace"));
    KVASIR_TRY(Namespace * space, runtime.make_object<Namespace>());
    for (auto& [key, value] : pairs) {
        KVASIR_TRY(const std::string_view name, to_string_view(key, "namespace"));
        space->attributes.emplace_back(std::string(name), std::move(value));
    }
    return Value(space);
}

Result<Value> raise_exception(Runtime& runtime, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "raise_exception", {"message"}, 1));
    KVASIR_TRY(std::string message, runtime.to_text(*bound[0]));
    constexpr std::size_t kLongest = 2000;
    if (message.size() > kLongest) message = message.substr(0, kLongest) + "...";
    return type_error(std::move(message));
}

Result<Value> strftime_now(Runtime& runtime, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "strftime_now", {"format"}, 1));
    KVASIR_TRY(const std::string_view format, to_string_view(*bound[0], "strftime_now"));
    KVASIR_TRY_VOID(runtime.work(format.size() * 16));
    KVASIR_TRY_VOID(runtime.check_string(format.size() * 32));
    KVASIR_TRY(std::string text, time_text(runtime.now(), format));
    return runtime.make_string(std::move(text));
}

}  // namespace

Object* find_global(std::string_view name) {
    static std::array functions = {
        Function("range", make_range),          Function("dict", make_dict_value),
        Function("namespace", make_namespace),  Function("raise_exception", raise_exception),
        Function("strftime_now", strftime_now),
    };
    for (Function& function : functions) {
        if (name == function.name) return &function;
    }
    return nullptr;
}

}  // namespace kvasir::jinja
