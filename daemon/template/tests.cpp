// `is` tests. Source: Jinja2's list of builtin tests.
#include <algorithm>
#include <fmt/format.h>
#include <unordered_map>

#include "daemon/template/ast.hpp"
#include "daemon/template/runtime.hpp"
#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

namespace {

bool is_sequence_value(const Value& value) {
    if (value.is_undefined() || value.is_string() || value.is_dict()) return true;
    return value.is<Sequence>() && !value.is_sequence(SequenceType::view) &&
           !value.is_sequence(SequenceType::iterator);
}

/// Python's `is`: objects by identity, constants by value.
bool is_same(const Value& a, const Value& b) {
    if (std::string_view(a.type_name()) != b.type_name()) return false;
    if (a.is<Sequence>()) return a.as<Sequence>()->get() == b.as<Sequence>()->get();
    if (a.is_dict()) return a.as<Dict>()->get() == b.as<Dict>()->get();
    return equals(a, b);
}

Result<bool> all_case(Runtime& runtime, const Value& value, bool upper) {
    KVASIR_TRY(const std::string text, runtime.to_text(value));
    bool found = false;
    for (std::size_t at = 0; at < text.size(); at += point_bytes(text, at)) {
        const char32_t point = point_at(text, at);
        if (upper ? is_lower(point) : is_upper(point)) return false;
        found |= upper ? is_upper(point) : is_lower(point);
    }
    return found;
}

Result<std::int64_t> remainder(Runtime& runtime, const Value& value, const Value& divisor) {
    if (value.is_undefined()) return undefined_error(value);
    KVASIR_TRY(const Value rest, binary(runtime, Op::mod, value, divisor));
    if (rest.is<double>()) return rest.real() == 0 ? 0 : rest.real() == 1 ? 1 : 2;
    return to_integer(rest, "remainder");
}

using Plain = bool (*)(const Value&);

/// Tests without an argument that cannot fail.
const std::unordered_map<std::string_view, Plain>& plain_tests() {
    static const std::unordered_map<std::string_view, Plain> table = {
        {"defined", [](const Value& v) { return !v.is_undefined(); }},
        {"undefined", [](const Value& v) { return v.is_undefined(); }},
        {"none", [](const Value& v) { return v.is_none(); }},
        {"boolean", [](const Value& v) { return v.is_bool(); }},
        {"true", [](const Value& v) { return v.is_bool() && v.integer() != 0; }},
        {"false", [](const Value& v) { return v.is_bool() && v.integer() == 0; }},
        {"integer", [](const Value& v) { return v.is_integer() && !v.is_bool(); }},
        {"float", [](const Value& v) { return v.is<double>(); }},
        {"number", [](const Value& v) { return v.is_number(); }},
        {"string", [](const Value& v) { return v.is_string(); }},
        {"mapping", [](const Value& v) { return v.is_dict(); }},
        {"iterable", [](const Value& v) { return is_iterable(v); }},
        {"sequence", is_sequence_value},
        {"callable",
         [](const Value& v) { return v.object() != nullptr && v.object()->is_callable(); }},
        {"escaped", [](const Value&) { return false; }},
    };
    return table;
}

std::optional<Op> compare_test(std::string_view name) {
    static const std::unordered_map<std::string_view, Op> table = {
        {"eq", Op::eq}, {"equalto", Op::eq}, {"==", Op::eq},       {"ne", Op::ne},
        {"!=", Op::ne}, {"lt", Op::lt},      {"lessthan", Op::lt}, {"<", Op::lt},
        {"le", Op::le}, {"<=", Op::le},      {"gt", Op::gt},       {"greaterthan", Op::gt},
        {">", Op::gt},  {"ge", Op::ge},      {">=", Op::ge},       {"in", Op::in},
    };
    const auto found = table.find(name);
    if (found == table.end()) return std::nullopt;
    return found->second;
}

Result<bool> run_compare(Runtime& runtime, Op op, const Value& a, const Value& b) {
    switch (op) {
        case Op::eq: return equals(a, b);
        case Op::ne: return !equals(a, b);
        case Op::lt: return less(a, b, "<");
        case Op::gt: return less(b, a, ">");
        case Op::in: return contains(runtime, b, a);
        default: break;
    }
    KVASIR_TRY(const bool other, op == Op::le ? less(b, a, "<=") : less(a, b, ">="));
    return !other;
}

bool has_argument(std::string_view name) {
    return name == "divisibleby" || name == "sameas" || compare_test(name).has_value();
}

bool is_fallible(std::string_view name) {
    constexpr std::string_view kNames[] = {"odd", "even", "lower", "upper", "filter", "test"};
    return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace

bool has_test(std::string_view name) {
    return plain_tests().contains(name) || has_argument(name) || is_fallible(name);
}

Result<bool> call_test(Runtime& runtime, std::string_view name, const Value& value,
                       Arguments& arguments) {
    if (!has_test(name)) return type_error(fmt::format("no test named '{}'", name));
    if (has_argument(name)) {
        KVASIR_TRY(const auto bound, bind(arguments, name, {"other"}, 1));
        if (name == "sameas") return is_same(value, *bound[0]);
        if (name == "divisibleby") {
            KVASIR_TRY(const std::int64_t rest, remainder(runtime, value, *bound[0]));
            return rest == 0;
        }
        KVASIR_TRY_VOID(runtime.work(value.is_string() ? value.text().size() : 0));
        return run_compare(runtime, *compare_test(name), value, *bound[0]);
    }
    KVASIR_TRY([[maybe_unused]] const auto none, bind(arguments, name, {}));
    if (const auto plain = plain_tests().find(name); plain != plain_tests().end())
        return plain->second(value);
    if (name == "filter" || name == "test") {
        if (!value.is_string()) return false;
        return name == "filter" ? has_filter(value.text()) : has_test(value.text());
    }
    if (name == "lower" || name == "upper") return all_case(runtime, value, name == "upper");
    KVASIR_TRY(const std::int64_t rest, remainder(runtime, value, Value(std::int64_t{2})));
    return rest == (name == "odd" ? 1 : 0);
}

}  // namespace kvasir::jinja
