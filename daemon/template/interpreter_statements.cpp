#include <fmt/format.h>

#include "daemon/template/interpreter_scopes.hpp"

namespace kvasir::jinja {

Result<Interpreter::Flow> Interpreter::run(const Body& body) {
    for (const Stmt& stmt : body) {
        KVASIR_TRY(const Flow flow, run(stmt));
        if (flow != Flow::next) return flow;
    }
    return Flow::next;
}

Result<Interpreter::Flow> Interpreter::run(const Stmt& stmt) {
    auto entered = enter();
    Result<Flow> flow =
        entered.has_error() ? Result<Flow>(std::move(entered).error()) : run_kind(stmt);
    --depth_;
    if (flow.has_error()) return located(std::move(flow).error(), stmt.line);
    return flow;
}

Result<Interpreter::Flow> Interpreter::run_kind(const Stmt& stmt) {
    switch (stmt.kind) {
        case StmtKind::text: KVASIR_TRY_VOID(write(stmt.text)); return Flow::next;
        case StmtKind::output: {
            KVASIR_TRY(const Value value, eval(*stmt.value));
            if (value.is_string()) {
                KVASIR_TRY_VOID(write(value.text()));
                return Flow::next;
            }
            KVASIR_TRY(const std::string text, to_text(value));
            KVASIR_TRY_VOID(write(text));
            return Flow::next;
        }
        case StmtKind::if_else: return run_if(stmt);
        case StmtKind::for_loop: return run_for(stmt);
        case StmtKind::set: {
            KVASIR_TRY(Value value, eval(*stmt.value));
            KVASIR_TRY_VOID(assign(*stmt.target, std::move(value)));
            return Flow::next;
        }
        case StmtKind::macro: {
            KVASIR_TRY(Macro * macro, make_macro(*stmt.macro));
            scope_->set(stmt.macro->name, Value(macro));
            return Flow::next;
        }
        case StmtKind::call_block: KVASIR_TRY_VOID(run_call_block(stmt)); return Flow::next;
        case StmtKind::set_block:
        case StmtKind::filter_block: return run_captured(stmt);
        case StmtKind::with: return run_with(stmt);
        case StmtKind::scope: {
            const Inner inner(*this);
            return run(stmt.body);
        }
        case StmtKind::break_loop: return Flow::break_loop;
        case StmtKind::continue_loop: return Flow::continue_loop;
    }
    return Flow::next;
}

Result<Interpreter::Flow> Interpreter::run_if(const Stmt& stmt) {
    for (const Branch& branch : stmt.branches) {
        if (branch.condition) {
            KVASIR_TRY(const Value condition, eval(*branch.condition));
            if (!is_true(condition)) continue;
        }
        return run(branch.body);
    }
    return Flow::next;
}

Result<Interpreter::Flow> Interpreter::run_with(const Stmt& stmt) {
    Items values;
    for (const auto& assignment : stmt.assignments) {
        KVASIR_TRY(values.emplace_back(), eval(*assignment.second));
    }
    const Inner inner(*this);
    for (std::size_t i = 0; i < values.size(); ++i)
        KVASIR_TRY_VOID(assign(*stmt.assignments[i].first, std::move(values[i])));
    return run(stmt.body);
}

/// {% set x %}...{% endset %} and {% filter f %}...{% endfilter %}.
Result<Interpreter::Flow> Interpreter::run_captured(const Stmt& stmt) {
    Value value;
    {
        const Inner inner(*this);
        Capture capture(*this);
        KVASIR_TRY(const Flow flow, run(stmt.body));
        if (flow != Flow::next) return flow;
        KVASIR_TRY(value, make_string(std::move(capture.text)));
    }
    if (stmt.value) {
        KVASIR_TRY(value, eval_filter(*stmt.value, &value));
    }
    if (stmt.target) {
        KVASIR_TRY_VOID(assign(*stmt.target, std::move(value)));
        return Flow::next;
    }
    KVASIR_TRY(const std::string text, to_text(value));
    KVASIR_TRY_VOID(write(text));
    return Flow::next;
}

Result<> Interpreter::run_call_block(const Stmt& stmt) {
    KVASIR_TRY(Macro * macro, make_macro(*stmt.macro));
    const Value caller(macro);
    KVASIR_TRY(const Value value, eval_call(*stmt.value, &caller));
    KVASIR_TRY(const std::string text, to_text(value));
    return write(text);
}

Result<Macro*> Interpreter::make_macro(const MacroCode& code) {
    KVASIR_TRY(Macro * macro, make_object<Macro>());
    macro->code = &code;
    macro->scope = scope_;
    for (Scope* scope = scope_; scope != nullptr && !scope->captured; scope = scope->parent)
        scope->captured = true;
    return macro;
}

Result<Interpreter::Flow> Interpreter::run_for(const Stmt& stmt) {
    KVASIR_TRY(Value iterable, eval(*stmt.value));
    return run_loop(stmt, std::move(iterable), 0);
}

/// The items that the loop's own `if` lets through.
Result<Items> Interpreter::select_items(const Stmt& stmt, Items items) {
    if (!stmt.test) return items;
    Items kept;
    Inner inner(*this);
    for (Value& item : items) {
        inner.renew();
        KVASIR_TRY_VOID(assign(*stmt.target, item));
        KVASIR_TRY(const Value keep, eval(*stmt.test));
        if (is_true(keep)) kept.push_back(std::move(item));
    }
    return kept;
}

Result<Interpreter::Flow> Interpreter::run_loop(const Stmt& stmt, Value iterable,
                                                std::uint32_t nesting) {
    KVASIR_TRY(Items items, iterate(iterable));
    KVASIR_TRY(items, select_items(stmt, std::move(items)));
    if (items.empty()) {
        const Inner inner(*this);
        return run(stmt.else_body);
    }
    KVASIR_TRY(Loop * loop, make_object<Loop>());
    loop->items = std::move(items);
    loop->n_items = loop->items.size();
    loop->nesting = nesting;
    if (stmt.recursive) {
        loop->recursion = &stmt;
        loop->scope = scope_;
        for (Scope* scope = scope_; scope != nullptr && !scope->captured; scope = scope->parent)
            scope->captured = true;
    }
    {
        Inner inner(*this);
        for (loop->index = 0; loop->index < loop->n_items; ++loop->index) {
            inner.renew();
            scope_->set("loop", Value(loop));
            KVASIR_TRY_VOID(assign(*stmt.target, loop->items[loop->index]));
            KVASIR_TRY(const Flow flow, run(stmt.body));
            if (flow == Flow::break_loop) break;
        }
    }
    loop->items.clear();  // the object itself stays: a namespace may hold it
    loop->items.shrink_to_fit();
    loop->index = std::min(loop->index, loop->n_items - 1);
    return Flow::next;
}

Result<> Interpreter::assign(const Expr& target, Value value) {
    if (target.kind == ExprKind::name) {
        scope_->set(target.name, std::move(value));
        return {};
    }
    if (target.kind == ExprKind::namespace_attribute) {
        KVASIR_TRY(const Value holder, lookup(target.name));
        auto* found = dynamic_cast<Namespace*>(holder.object());
        if (found == nullptr) {
            return type_error(
                fmt::format("cannot assign attribute '{}' of '{}': {}, expected a "
                            "namespace",
                            target.attribute, target.name, holder.type_name()));
        }
        if (Value* old = found->find(target.attribute)) {
            *old = std::move(value);
        } else {
            KVASIR_TRY_VOID(step());
            found->attributes.emplace_back(target.attribute, std::move(value));
        }
        return {};
    }
    KVASIR_TRY(Items items, iterate(value));
    if (items.size() != target.items.size()) {
        return type_error(
            fmt::format("cannot unpack {} values, expected {}", items.size(), target.items.size()));
    }
    for (std::size_t i = 0; i < items.size(); ++i)
        KVASIR_TRY_VOID(assign(*target.items[i], std::move(items[i])));
    return {};
}

}  // namespace kvasir::jinja
