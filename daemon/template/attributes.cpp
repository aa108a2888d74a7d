// a.b, a[b], a[b:c:d]
#include <algorithm>
#include <fmt/format.h>

#include "daemon/template/interpreter.hpp"
#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

namespace {

std::string owner_name(const Value& value) {
    if (value.is_none()) return "None";
    if (value.object() != nullptr) return fmt::format("{} object", value.type_name());
    return fmt::format("{} object", value.type_name());
}

Value no_attribute(const Value& object, std::string_view name) {
    return make_undefined(fmt::format("'{}' has no attribute '{}'", owner_name(object), name));
}

Value loop_attribute(const Loop& loop, const Value& self, std::string_view name) {
    const auto number = [](std::size_t n) { return Value(static_cast<std::int64_t>(n)); };
    const bool is_running = !loop.items.empty();
    if (name == "index") return number(loop.index + 1);
    if (name == "index0") return number(loop.index);
    if (name == "revindex") return number(loop.n_items - loop.index);
    if (name == "revindex0") return number(loop.n_items - loop.index - 1);
    if (name == "first") return Value(loop.index == 0);
    if (name == "last") return Value(loop.index + 1 >= loop.n_items);
    if (name == "length") return number(loop.n_items);
    if (name == "depth") return number(loop.nesting + 1);
    if (name == "depth0") return number(loop.nesting);
    if (name == "previtem") {
        if (is_running && loop.index > 0) return loop.items[loop.index - 1];
        return make_undefined("there is no previous item");
    }
    if (name == "nextitem") {
        if (is_running && loop.index + 1 < loop.n_items) return loop.items[loop.index + 1];
        return make_undefined("there is no next item");
    }
    return no_attribute(self, name);
}

Result<Value> object_attribute(Runtime& runtime, const Value& self, std::string_view name) {
    Object* object = self.object();
    if (auto* space = dynamic_cast<Namespace*>(object)) {
        if (const Value* found = space->find(name)) return *found;
        return no_attribute(self, name);
    }
    if (const auto* loop = dynamic_cast<const Loop*>(object))
        return loop_attribute(*loop, self, name);
    if (const auto* macro = dynamic_cast<const Macro*>(object)) {
        if (name == "name") return runtime.make_string(macro->code->name);
        if (name == "caller") return Value(macro->code->uses_caller);
        if (name == "catch_varargs") return Value(macro->code->uses_varargs);
        if (name == "catch_kwargs") return Value(macro->code->uses_kwargs);
        if (name == "arguments") {
            Items names;
            for (const Parameter& parameter : macro->code->parameters) {
                KVASIR_TRY(names.emplace_back(), runtime.make_string(parameter.name));
            }
            return runtime.make_list(std::move(names), SequenceType::tuple);
        }
    }
    return no_attribute(self, name);
}

Result<Value> method_of(Runtime& runtime, const Value& object, std::string_view name) {
    KVASIR_TRY(BoundMethod * method, runtime.make_object<BoundMethod>(object, name));
    return Value(method);
}

Value unsafe(const Value& object, std::string_view name) {
    return make_undefined(
        fmt::format("access to attribute '{}' of '{}' object is unsafe", name, object.type_name()));
}

std::optional<Value> indexed(const Value& object, std::int64_t index) {
    const bool is_text = object.is_string();
    const auto size = static_cast<std::int64_t>(is_text ? (*object.as<String>())->n_points
                                                        : object.items().size());
    if (index < 0) index += size;
    if (index < 0 || index >= size) return std::nullopt;
    if (!is_text) return object.items()[static_cast<std::size_t>(index)];
    const std::string& text = object.text();
    const bool is_ascii = static_cast<std::size_t>(size) == text.size();
    const auto n = static_cast<std::size_t>(index);
    const std::size_t at = is_ascii ? n : point_offset(text, n);
    return make_constant(text.substr(at, point_bytes(text, at)));
}

}  // namespace

Result<Value> get_attribute(Runtime& runtime, const Value& object, std::string_view name) {
    if (object.is_undefined()) return undefined_error(object);
    if (has_method(object, name)) return method_of(runtime, object, name);
    if (is_unsafe_method(object, name) || name.substr(0, 2) == "__") return unsafe(object, name);
    if (object.is_dict()) {
        if (const Value* found = object.dict().find(name)) return *found;
        return no_attribute(object, name);
    }
    if (object.object() != nullptr) return object_attribute(runtime, object, name);
    return no_attribute(object, name);
}

Result<Value> get_item(Runtime& runtime, const Value& object, const Value& index) {
    if (object.is_undefined()) return undefined_error(object);
    if (object.is_dict() && is_hashable(index)) {
        if (!index.is_string()) KVASIR_TRY_VOID(runtime.step(object.dict().pairs.size()));
        if (const Value* found = object.dict().find(index)) return *found;
    }
    const bool has_elements =
        object.is_string() || (object.is<Sequence>() && !object.is_sequence(SequenceType::view) &&
                               !object.is_sequence(SequenceType::iterator));
    if (has_elements && index.is_integer()) {
        if (object.is_string()) KVASIR_TRY_VOID(runtime.work(object.text().size()));
        if (const auto found = indexed(object, index.integer())) return *found;
    }
    if (index.is_string()) {
        // The key was not there: Jinja2 tries the attribute then.
        if (object.is_dict() && !has_method(object, index.text()))
            return no_attribute(object, index.text());
        return get_attribute(runtime, object, index.text());
    }
    KVASIR_TRY(const std::string text, runtime.to_repr(index));
    return make_undefined(fmt::format("{} has no element {}", owner_name(object), text));
}

namespace {

/// Python's slice.indices(): clamps to the sequence.
struct Range {
    std::int64_t begin, end, step;
};

Result<Range> slice_range(std::int64_t size, const Value& begin, const Value& end,
                          const Value& step) {
    Range range{0, size, 1};
    constexpr std::string_view kWhat = "slice index";
    if (!step.is_none()) {
        KVASIR_TRY(range.step, to_integer(step, kWhat));
    }
    if (range.step == 0) return type_error("slice step cannot be zero");
    range.step = std::clamp<std::int64_t>(range.step, -size - 1, size + 1);
    const bool backward = range.step < 0;
    const std::int64_t low = backward ? -1 : 0, high = backward ? size - 1 : size;
    const auto bound = [&](const Value& given, std::int64_t fallback) -> Result<std::int64_t> {
        if (given.is_none()) return fallback;
        KVASIR_TRY(std::int64_t n, to_integer(given, kWhat));
        if (n < 0) n = n < -size ? low : n + size;
        return std::clamp(n, low, high);
    };
    KVASIR_TRY(range.begin, bound(begin, backward ? high : low));
    KVASIR_TRY(range.end, bound(end, backward ? low : high));
    return range;
}

}  // namespace

Result<Value> get_slice(Runtime& runtime, const Value& object, const Value& begin, const Value& end,
                        const Value& step) {
    if (object.is_undefined()) return undefined_error(object);
    const bool is_text = object.is_string();
    if (!is_text && (!object.is<Sequence>() || object.is_sequence(SequenceType::view) ||
                     object.is_sequence(SequenceType::iterator))) {
        return make_undefined(fmt::format("'{}' cannot be sliced", owner_name(object)));
    }
    const auto size = static_cast<std::int64_t>(is_text ? (*object.as<String>())->n_points
                                                        : object.items().size());
    KVASIR_TRY(const Range range, slice_range(size, begin, end, step));
    const auto in_range = [&](std::int64_t at) {
        return range.step > 0 ? at < range.end : at > range.end;
    };
    if (!is_text) {
        Items items;
        for (std::int64_t at = range.begin; in_range(at); at += range.step)
            items.push_back(object.items()[static_cast<std::size_t>(at)]);
        return runtime.make_list(std::move(items), (*object.as<Sequence>())->type);
    }
    const std::string& text = object.text();
    KVASIR_TRY_VOID(runtime.work(text.size()));
    if (range.step == 1) {
        if (!in_range(range.begin)) return runtime.make_string("");
        const std::size_t from = point_offset(text, static_cast<std::uint64_t>(range.begin));
        const std::size_t to = point_offset(std::string_view(text).substr(from),
                                            static_cast<std::uint64_t>(range.end - range.begin));
        return runtime.make_string(text.substr(from, to));
    }
    KVASIR_TRY_VOID(runtime.step(static_cast<std::uint64_t>(size)));
    KVASIR_TRY_VOID(runtime.check_items(static_cast<std::uint64_t>(size)));
    std::vector<std::string_view> points;
    for (std::size_t at = 0; at < text.size(); at += point_bytes(text, at))
        points.push_back(std::string_view(text).substr(at, point_bytes(text, at)));
    std::string out;
    for (std::int64_t at = range.begin; in_range(at); at += range.step)
        out += points[static_cast<std::size_t>(at)];
    return runtime.make_string(std::move(out));
}

}  // namespace kvasir::jinja
