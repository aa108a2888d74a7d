#include <fmt/format.h>

#include "daemon/template/interpreter.hpp"

namespace kvasir::jinja {

Result<Value> Interpreter::eval(const Expr& expr) {
    auto entered = enter();
    Result<Value> value =
        entered.has_error() ? Result<Value>(std::move(entered).error()) : eval_kind(expr);
    --depth_;
    if (value.has_error()) return located(std::move(value).error(), expr.line);
    return value;
}

Result<Value> Interpreter::eval_kind(const Expr& expr) {
    switch (expr.kind) {
        case ExprKind::constant: return expr.constant;
        case ExprKind::name: return lookup(expr.name);
        case ExprKind::tuple:
        case ExprKind::list: return eval_items(expr);
        case ExprKind::dict: return eval_dict(expr);
        case ExprKind::negate:
        case ExprKind::plus:
        case ExprKind::logic_not: return eval_unary(expr);
        case ExprKind::logic_and:
        case ExprKind::logic_or: return eval_logic(expr);
        case ExprKind::binary: {
            KVASIR_TRY(const Value left, eval(*expr.items[0]));
            KVASIR_TRY(const Value right, eval(*expr.items[1]));
            return binary(*this, expr.op, left, right);
        }
        case ExprKind::concat: return eval_concat(expr);
        case ExprKind::compare: return eval_compare(expr);
        case ExprKind::conditional: return eval_conditional(expr);
        case ExprKind::attribute: {
            KVASIR_TRY(const Value object, eval(*expr.items[0]));
            return get_attribute(*this, object, expr.name);
        }
        case ExprKind::subscript: {
            KVASIR_TRY(const Value object, eval(*expr.items[0]));
            KVASIR_TRY(const Value index, eval(*expr.items[1]));
            return get_item(*this, object, index);
        }
        case ExprKind::slice: return eval_slice(expr);
        case ExprKind::call: return eval_call(expr, nullptr);
        case ExprKind::filter: return eval_filter(expr);
        case ExprKind::test: return eval_test(expr);
        case ExprKind::namespace_attribute: break;
    }
    return type_error("not an expression");
}

Result<Value> Interpreter::lookup(const std::string& name) {
    for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
        if (const Value* found = scope->find(name)) return *found;
    }
    if (Object* global = find_global(name)) return Value(global);
    return make_undefined(fmt::format("'{}' is undefined", name));
}

Result<Value> Interpreter::eval_items(const Expr& expr) {
    Items items;
    items.reserve(expr.items.size());
    for (const ExprPtr& item : expr.items) {
        KVASIR_TRY(items.emplace_back(), eval(*item));
    }
    return make_list(std::move(items),
                     expr.kind == ExprKind::tuple ? SequenceType::tuple : SequenceType::list);
}

Result<Value> Interpreter::eval_dict(const Expr& expr) {
    Pairs pairs;
    for (std::size_t i = 0; i + 1 < expr.items.size(); i += 2) {
        KVASIR_TRY(Value key, eval(*expr.items[i]));
        KVASIR_TRY(Value value, eval(*expr.items[i + 1]));
        if (!is_hashable(key))
            return type_error(fmt::format("unhashable type: '{}'", key.type_name()));
        bool replaced = false;
        for (auto& [known, old] : pairs) {
            if (!equals(known, key)) continue;
            old = value;
            replaced = true;
        }
        KVASIR_TRY_VOID(step(pairs.size()));
        if (!replaced) pairs.emplace_back(std::move(key), std::move(value));
    }
    return make_dict(std::move(pairs));
}

Result<Value> Interpreter::eval_unary(const Expr& expr) {
    KVASIR_TRY(const Value value, eval(*expr.items[0]));
    if (expr.kind == ExprKind::logic_not) return Value(!is_true(value));
    const bool negates = expr.kind == ExprKind::negate;
    if (value.is<double>()) return Value(negates ? -value.real() : value.real());
    if (value.is_undefined()) return undefined_error(value);
    if (!value.is_integer()) {
        return type_error(fmt::format("bad operand type for unary {}: '{}'", negates ? "-" : "+",
                                      value.type_name()));
    }
    if (!negates) return Value(value.integer());
    return binary(*this, Op::sub, Value(std::int64_t{0}), value);
}

Result<Value> Interpreter::eval_logic(const Expr& expr) {
    KVASIR_TRY(Value left, eval(*expr.items[0]));
    if (is_true(left) == (expr.kind == ExprKind::logic_or)) return left;
    return eval(*expr.items[1]);
}

Result<Value> Interpreter::eval_conditional(const Expr& expr) {
    KVASIR_TRY(const Value condition, eval(*expr.items[1]));
    if (is_true(condition)) return eval(*expr.items[0]);
    if (expr.items[2]) return eval(*expr.items[2]);
    return make_undefined(
        "the inline if-expression evaluated to false and no else section was defined");
}

Result<Value> Interpreter::eval_concat(const Expr& expr) {
    std::string text;
    for (const ExprPtr& item : expr.items) {
        KVASIR_TRY(const Value value, eval(*item));
        KVASIR_TRY(const std::string part, to_text(value));
        KVASIR_TRY_VOID(check_string(text.size() + part.size()));
        text += part;
    }
    return make_string(std::move(text));
}

Result<bool> Interpreter::compare(Op op, const Value& left, const Value& right) {
    KVASIR_TRY_VOID(work(left.is_string() ? left.text().size() : 0));
    if (left.is<Sequence>()) KVASIR_TRY_VOID(step(left.items().size()));
    if (left.is_dict()) KVASIR_TRY_VOID(step(left.dict().pairs.size()));
    switch (op) {
        case Op::eq: return equals(left, right);
        case Op::ne: return !equals(left, right);
        case Op::lt: return less(left, right, "<");
        case Op::gt: return less(right, left, ">");
        case Op::in: return contains(*this, right, left);
        case Op::not_in: {
            KVASIR_TRY(const bool found, contains(*this, right, left));
            return !found;
        }
        default: break;
    }
    const bool is_nan = (left.is<double>() && left.real() != left.real()) ||
                        (right.is<double>() && right.real() != right.real());
    if (is_nan && left.is_number() && right.is_number()) return false;
    const bool is_le = op == Op::le;
    KVASIR_TRY(const bool greater, is_le ? less(right, left, "<=") : less(left, right, ">="));
    return !greater;
}

Result<Value> Interpreter::eval_compare(const Expr& expr) {
    KVASIR_TRY(Value left, eval(*expr.items[0]));
    for (std::size_t i = 0; i < expr.ops.size(); ++i) {
        KVASIR_TRY(Value right, eval(*expr.items[i + 1]));
        KVASIR_TRY(const bool holds, compare(expr.ops[i], left, right));
        if (!holds) return Value(false);
        left = std::move(right);
    }
    return Value(true);
}

Result<Value> Interpreter::eval_slice(const Expr& expr) {
    KVASIR_TRY(const Value object, eval(*expr.items[0]));
    Value bounds[3] = {Value(None{}), Value(None{}), Value(None{})};
    for (std::size_t i = 0; i < 3; ++i) {
        if (!expr.items[i + 1]) continue;
        KVASIR_TRY(bounds[i], eval(*expr.items[i + 1]));
    }
    return get_slice(*this, object, bounds[0], bounds[1], bounds[2]);
}

/// `piped`: the text of a filter block, for the filter that stands first in the chain.
Result<Value> Interpreter::eval_filter(const Expr& expr, const Value* piped) {
    Value value;
    if (!expr.items[0]) {
        if (piped != nullptr) value = *piped;
    } else if (expr.items[0]->kind == ExprKind::filter) {
        KVASIR_TRY_VOID(enter());
        auto inner = eval_filter(*expr.items[0], piped);
        --depth_;
        if (inner.has_error()) return std::move(inner).error();
        value = std::move(*inner);
    } else {
        KVASIR_TRY(value, eval(*expr.items[0]));
    }
    KVASIR_TRY(Arguments arguments, eval_arguments(expr.arguments));
    return call_filter(*this, expr.name, value, arguments);
}

Result<Value> Interpreter::eval_test(const Expr& expr) {
    KVASIR_TRY(const Value value, eval(*expr.items[0]));
    KVASIR_TRY(Arguments arguments, eval_arguments(expr.arguments));
    KVASIR_TRY(const bool holds, call_test(*this, expr.name, value, arguments));
    return Value(holds);
}

}  // namespace kvasir::jinja
