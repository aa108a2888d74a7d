// Arithmetic as Python does it, on 64-bit integers.
#include <cmath>
#include <fmt/format.h>

#include "daemon/template/ast.hpp"
#include "daemon/template/runtime.hpp"

namespace kvasir::jinja {

namespace {

const char* op_sign(Op op) {
    switch (op) {
        case Op::add: return "+";
        case Op::sub: return "-";
        case Op::mul: return "*";
        case Op::div: return "/";
        case Op::floor_div: return "//";
        case Op::mod: return "%";
        case Op::pow: return "**";
        default: return "?";
    }
}

Error overflow() {
    return type_error("integer overflow: beyond 64 bits");
}

std::int64_t floor_mod(std::int64_t a, std::int64_t b) {
    const std::int64_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Result<Value> integer_power(std::int64_t base, std::int64_t exponent) {
    if (exponent < 0) {
        if (base == 0) return type_error("0.0 cannot be raised to a negative power");
        return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
    }
    if (base == 0 || base == 1) return Value(exponent == 0 ? std::int64_t{1} : base);
    if (base == -1) return Value(std::int64_t{exponent % 2 == 0 ? 1 : -1});
    std::int64_t result = 1;
    for (; exponent > 0; --exponent) {  // at most 63 rounds before it overflows
        if (__builtin_mul_overflow(result, base, &result)) return overflow();
    }
    return Value(result);
}

Result<Value> integer_op(Op op, std::int64_t a, std::int64_t b) {
    std::int64_t result = 0;
    switch (op) {
        case Op::add:
            if (__builtin_add_overflow(a, b, &result)) return overflow();
            return Value(result);
        case Op::sub:
            if (__builtin_sub_overflow(a, b, &result)) return overflow();
            return Value(result);
        case Op::mul:
            if (__builtin_mul_overflow(a, b, &result)) return overflow();
            return Value(result);
        case Op::pow: return integer_power(a, b);
        default: break;
    }
    if (b == 0) {
        return type_error(op == Op::div ? "division by zero"
                                        : "integer division or modulo by zero");
    }
    if (op == Op::div) return Value(static_cast<double>(a) / static_cast<double>(b));
    if (b == -1) {  // the one divisor that can overflow
        if (op == Op::mod) return Value(std::int64_t{0});
        if (__builtin_sub_overflow(std::int64_t{0}, a, &result)) return overflow();
        return Value(result);
    }
    const std::int64_t rest = floor_mod(a, b);
    if (op == Op::mod) return Value(rest);
    return Value(a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0));
}

Result<Value> real_op(Op op, double a, double b) {
    switch (op) {
        case Op::add: return Value(a + b);
        case Op::sub: return Value(a - b);
        case Op::mul: return Value(a * b);
        case Op::pow:
            if (a == 0 && b < 0) return type_error("0.0 cannot be raised to a negative power");
            if (a < 0 && b != std::floor(b))
                return type_error("a negative number to a fraction: complex numbers");
            return Value(std::pow(a, b));
        default: break;
    }
    if (b == 0) return type_error("float division by zero");
    if (op == Op::div) return Value(a / b);
    double rest = std::fmod(a, b);
    if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
    if (op == Op::mod) return Value(rest);
    return Value(std::round((a - rest) / b));
}

Result<Value> repeat(Runtime& runtime, const Value& value, std::int64_t n) {
    const auto times = static_cast<std::uint64_t>(std::max<std::int64_t>(n, 0));
    const bool is_text = value.is_string();
    const std::uint64_t size = is_text ? value.text().size() : value.items().size();
    std::uint64_t total = 0;
    if (__builtin_mul_overflow(times, size, &total)) total = UINT64_MAX / 2;
    if (is_text) {
        KVASIR_TRY_VOID(runtime.check_string(total));
        std::string text;
        text.reserve(total);
        for (std::uint64_t i = 0; size > 0 && i < times; ++i) text += value.text();
        return runtime.make_string(std::move(text));
    }
    KVASIR_TRY_VOID(runtime.check_items(total));
    KVASIR_TRY_VOID(runtime.step(total));
    Items items;
    items.reserve(total);
    for (std::uint64_t i = 0; size > 0 && i < times; ++i)
        items.insert(items.end(), value.items().begin(), value.items().end());
    return runtime.make_list(std::move(items), (*value.as<Sequence>())->type);
}

bool is_joinable(const Value& value) {
    return value.is_sequence(SequenceType::list) || value.is_sequence(SequenceType::tuple);
}

Result<Value> add_sequences(Runtime& runtime, const Value& left, const Value& right) {
    Items items;
    KVASIR_TRY_VOID(runtime.check_items(left.items().size() + right.items().size()));
    items.reserve(left.items().size() + right.items().size());
    items.insert(items.end(), left.items().begin(), left.items().end());
    items.insert(items.end(), right.items().begin(), right.items().end());
    return runtime.make_list(std::move(items), (*left.as<Sequence>())->type);
}

}  // namespace

Result<Value> binary(Runtime& runtime, Op op, const Value& left, const Value& right) {
    if (left.is_undefined()) return undefined_error(left);
    if (op == Op::mod && left.is_string()) return percent_format(runtime, left.text(), right);
    if (right.is_undefined()) return undefined_error(right);
    if (left.is_integer() && right.is_integer())
        return integer_op(op, left.integer(), right.integer());
    if (left.is_number() && right.is_number()) return real_op(op, left.real(), right.real());
    if (op == Op::add && left.is_string() && right.is_string()) {
        KVASIR_TRY_VOID(runtime.check_string(left.text().size() + right.text().size()));
        return runtime.make_string(left.text() + right.text());
    }
    if (op == Op::add && is_joinable(left) && is_joinable(right) &&
        (*left.as<Sequence>())->type == (*right.as<Sequence>())->type)
        return add_sequences(runtime, left, right);
    if (op == Op::mul) {
        if (right.is_integer() && (left.is_string() || is_joinable(left)))
            return repeat(runtime, left, right.integer());
        if (left.is_integer() && (right.is_string() || is_joinable(right)))
            return repeat(runtime, right, left.integer());
    }
    if (op == Op::add && left.is_string()) {
        return type_error(
            fmt::format("can only concatenate str (not \"{}\") to str", right.type_name()));
    }
    return type_error(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", op_sign(op),
                                  left.type_name(), right.type_name()));
}

Result<bool> contains(Runtime& runtime, const Value& container, const Value& value) {
    if (container.is_string()) {
        if (value.is_undefined()) return undefined_error(value);
        if (!value.is_string()) {
            return type_error(fmt::format("'in <string>' requires string as left operand, not {}",
                                          value.type_name()));
        }
        KVASIR_TRY_VOID(runtime.work(container.text().size()));
        return container.text().find(value.text()) != std::string::npos;
    }
    if (container.is_dict()) {
        if (!is_hashable(value))
            return type_error(fmt::format("unhashable type: '{}'", value.type_name()));
        if (!value.is_string()) KVASIR_TRY_VOID(runtime.step(container.dict().pairs.size()));
        return container.dict().find(value) != nullptr;
    }
    if (!is_iterable(container)) {
        return type_error(
            fmt::format("argument of type '{}' is not iterable", container.type_name()));
    }
    KVASIR_TRY(const Items items, runtime.iterate(container));
    for (const Value& item : items) {
        if (item.is_string()) KVASIR_TRY_VOID(runtime.work(item.text().size()));
        if (equals(item, value)) return true;
    }
    return false;
}

}  // namespace kvasir::jinja
