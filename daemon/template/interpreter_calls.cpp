#include <algorithm>
#include <fmt/format.h>

#include "daemon/template/interpreter_scopes.hpp"

namespace kvasir::jinja {

Result<Arguments> Interpreter::eval_arguments(const ArgumentExprs& exprs) {
    Arguments arguments;
    arguments.positional.reserve(exprs.positional.size());
    for (const ExprPtr& expr : exprs.positional) {
        KVASIR_TRY(arguments.positional.emplace_back(), eval(*expr));
    }
    if (exprs.star) {
        KVASIR_TRY(const Value more, eval(*exprs.star));
        KVASIR_TRY(Items items, iterate(more));
        for (Value& item : items) arguments.positional.push_back(std::move(item));
    }
    for (const NamedExpr& named : exprs.named) {
        KVASIR_TRY(Value value, eval(*named.value));
        arguments.named.emplace_back(named.name, std::move(value));
    }
    if (!exprs.star_star) return arguments;
    KVASIR_TRY(const Value more, eval(*exprs.star_star));
    if (!more.is_dict()) return type_error("argument after ** must be a mapping");
    KVASIR_TRY_VOID(step(more.dict().pairs.size()));
    for (const auto& [key, value] : more.dict().pairs) {
        if (!key.is_string()) return type_error("keywords must be strings");
        arguments.named.emplace_back(key.text(), value);
    }
    return arguments;
}

Result<Value> Interpreter::eval_call(const Expr& expr, const Value* caller) {
    const Expr& callee = *expr.items[0];
    if (callee.kind == ExprKind::attribute) {
        KVASIR_TRY(const Value object, eval(*callee.items[0]));
        if (object.is_undefined()) return undefined_error(object);
        KVASIR_TRY(Arguments arguments, eval_arguments(expr.arguments));
        if (has_method(object, callee.name))
            return call_method(*this, object, callee.name, arguments);
        KVASIR_TRY(const Value function, get_attribute(*this, object, callee.name));
        return call_with(function, std::move(arguments), caller);
    }
    KVASIR_TRY(const Value function, eval(callee));
    KVASIR_TRY(Arguments arguments, eval_arguments(expr.arguments));
    return call_with(function, std::move(arguments), caller);
}

Result<Value> Interpreter::call(const Value& callee, Arguments arguments) {
    return call_with(callee, std::move(arguments), nullptr);
}

Result<Value> Interpreter::call_with(const Value& callee, Arguments arguments,
                                     const Value* caller) {
    if (callee.is_undefined()) return undefined_error(callee);
    if (const auto* macro = dynamic_cast<const Macro*>(callee.object()))
        return call_macro(*macro, std::move(arguments), caller);
    if (const auto* function = dynamic_cast<const Function*>(callee.object()))
        return function->code(*this, arguments);
    if (const auto* method = dynamic_cast<const BoundMethod*>(callee.object()))
        return call_method(*this, method->self, method->name, arguments);
    if (const auto* loop = dynamic_cast<const Loop*>(callee.object()))
        return call_loop(*loop, std::move(arguments));
    return type_error(fmt::format("'{}' object is not callable", callee.type_name()));
}

Result<Value> Interpreter::call_macro(const Macro& macro, Arguments arguments,
                                      const Value* caller) {
    if (calls_ >= limits().call_depth) {
        return Error{ErrorCode::too_large, fmt::format("macro '{}': calls nested deeper than {}",
                                                       macro.code->name, limits().call_depth)};
    }
    ++calls_;
    Capture capture(*this);
    Result<Flow> flow = Flow::next;
    {
        const Inner inner(*this, macro.scope);
        auto bound = bind_parameters(macro, std::move(arguments), caller);
        flow = bound.has_error() ? Result<Flow>(std::move(bound).error()) : run(macro.code->body);
    }
    --calls_;
    if (flow.has_error()) return std::move(flow).error();
    return make_string(std::move(capture.text));
}

Result<> Interpreter::bind_parameters(const Macro& macro, Arguments arguments,
                                      const Value* caller) {
    const auto& parameters = macro.code->parameters;
    const std::size_t n_given = std::min(arguments.positional.size(), parameters.size());
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        const Parameter& parameter = parameters[i];
        const auto named =
            std::find_if(arguments.named.begin(), arguments.named.end(),
                         [&](const auto& given) { return given.first == parameter.name; });
        Value value =
            make_undefined(fmt::format("parameter '{}' was not provided", parameter.name));
        if (i < n_given) {
            value = std::move(arguments.positional[i]);
        } else if (named != arguments.named.end()) {
            value = std::move(named->second);
            arguments.named.erase(named);
        } else if (parameter.default_value) {
            KVASIR_TRY(value, eval(*parameter.default_value));
        }
        scope_->set(parameter.name, std::move(value));
    }
    arguments.positional.erase(arguments.positional.begin(),
                               arguments.positional.begin() + static_cast<std::ptrdiff_t>(n_given));
    return bind_rest(macro, arguments, caller);
}

/// caller, varargs, kwargs; whatever else is left over is too much.
Result<> Interpreter::bind_rest(const Macro& macro, Arguments& arguments, const Value* caller) {
    const MacroCode& code = *macro.code;
    const bool has_parameter =
        std::any_of(code.parameters.begin(), code.parameters.end(),
                    [](const Parameter& parameter) { return parameter.name == "caller"; });
    if (code.uses_caller && !has_parameter) {
        Value given = make_undefined("No caller defined");
        const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                        [](const auto& one) { return one.first == "caller"; });
        if (caller != nullptr) {
            given = *caller;
        } else if (named != arguments.named.end()) {
            given = std::move(named->second);
            arguments.named.erase(named);
        }
        scope_->set("caller", std::move(given));
    } else if (caller != nullptr) {
        return type_error(
            fmt::format("macro '{}' was invoked with a call block but does not use "
                        "caller",
                        code.name));
    }
    if (code.uses_kwargs) {
        Pairs pairs;
        for (auto& [name, value] : arguments.named) {
            KVASIR_TRY(Value key, make_string(name));
            pairs.emplace_back(std::move(key), std::move(value));
        }
        KVASIR_TRY(Value kwargs, make_dict(std::move(pairs)));
        scope_->set("kwargs", std::move(kwargs));
    } else if (!arguments.named.empty()) {
        return type_error(fmt::format("macro '{}' takes no keyword argument '{}'", code.name,
                                      arguments.named.front().first));
    }
    if (code.uses_varargs) {
        KVASIR_TRY(Value varargs, make_list(std::move(arguments.positional), SequenceType::tuple));
        scope_->set("varargs", std::move(varargs));
    } else if (!arguments.positional.empty()) {
        return type_error(fmt::format("macro '{}' takes not more than {} argument(s)", code.name,
                                      code.parameters.size()));
    }
    return {};
}

/// loop(items): the same loop again, over other items.
Result<Value> Interpreter::call_loop(const Loop& loop, Arguments arguments) {
    if (loop.recursion == nullptr)
        return type_error("the loop must have the 'recursive' marker to be called recursively");
    KVASIR_TRY(auto bound, bind(arguments, "loop", {"iterable"}, 1));
    if (calls_ >= limits().call_depth) {
        return Error{ErrorCode::too_large,
                     fmt::format("loop: calls nested deeper than {}", limits().call_depth)};
    }
    ++calls_;
    Capture capture(*this);
    Scope* scope = std::exchange(scope_, loop.scope);
    auto flow = run_loop(*loop.recursion, std::move(*bound[0]), loop.nesting + 1);
    scope_ = scope;
    --calls_;
    if (flow.has_error()) return std::move(flow).error();
    return make_string(std::move(capture.text));
}

}  // namespace kvasir::jinja
