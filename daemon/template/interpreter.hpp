// Walks a template's tree and writes its text. One object is one rendering.
#pragma once

#include <functional>

#include "daemon/template/ast.hpp"
#include "daemon/template/runtime.hpp"

namespace kvasir::jinja {

/// Variables of one block. Macros keep the scopes around their definition.
struct Scope : Object {
    explicit Scope(Scope* parent_given) : parent(parent_given) {}
    const char* type_name() const override { return "scope"; }
    const Value* find(std::string_view name) const;
    void set(std::string_view name, Value value);

    Scope* parent;
    bool captured = false;  // outlives its block
    std::vector<std::pair<std::string_view, Value>> variables;
};

struct Macro : Object {
    const char* type_name() const override { return "Macro"; }
    bool is_callable() const override { return true; }
    const MacroCode* code = nullptr;
    Scope* scope = nullptr;
};

/// `loop`
struct Loop : Object {
    const char* type_name() const override { return "LoopContext"; }
    bool is_callable() const override { return true; }
    Items items;
    std::size_t n_items = 0;
    std::size_t index = 0;
    std::uint32_t nesting = 0;  // of recursive calls
    const Stmt* recursion = nullptr;
    Scope* scope = nullptr;  // of the for itself
    std::optional<Items> last_changed;
};

class Interpreter : public Runtime {
public:
    using Runtime::Runtime;
    /// Errors: see ChatTemplate::render.
    Result<std::string> render(const Body& body, const boost::json::object& variables);
    Result<Value> call(const Value& callee, Arguments arguments) override;

private:
    enum class Flow { next, break_loop, continue_loop };
    class Capture;
    class Inner;

    Error located(Error error, std::uint32_t line);
    Result<> enter();
    Result<> write(std::string_view text);

    // interpreter_statements.cpp
    Result<Flow> run(const Body& body);
    Result<Flow> run(const Stmt& stmt);
    Result<Flow> run_kind(const Stmt& stmt);
    Result<Flow> run_if(const Stmt& stmt);
    Result<Flow> run_for(const Stmt& stmt);
    Result<Flow> run_with(const Stmt& stmt);
    Result<Flow> run_captured(const Stmt& stmt);
    Result<> run_call_block(const Stmt& stmt);
    Result<Flow> run_loop(const Stmt& stmt, Value iterable, std::uint32_t nesting);
    Result<Items> select_items(const Stmt& stmt, Items items);
    Result<Macro*> make_macro(const MacroCode& code);
    Result<> assign(const Expr& target, Value value);

    // interpreter_calls.cpp
    Result<Value> call_with(const Value& callee, Arguments arguments, const Value* caller);
    Result<Value> call_macro(const Macro& macro, Arguments arguments, const Value* caller);
    Result<> bind_parameters(const Macro& macro, Arguments arguments, const Value* caller);
    Result<> bind_rest(const Macro& macro, Arguments& arguments, const Value* caller);
    Result<Value> call_loop(const Loop& loop, Arguments arguments);
    Result<Value> eval_call(const Expr& expr, const Value* caller);
    Result<Arguments> eval_arguments(const ArgumentExprs& exprs);

    // interpreter_expressions.cpp
    Result<Value> eval(const Expr& expr);
    Result<Value> eval_kind(const Expr& expr);
    Result<Value> eval_items(const Expr& expr);
    Result<Value> eval_dict(const Expr& expr);
    Result<Value> eval_concat(const Expr& expr);
    Result<Value> eval_compare(const Expr& expr);
    Result<Value> eval_unary(const Expr& expr);
    Result<Value> eval_logic(const Expr& expr);
    Result<Value> eval_conditional(const Expr& expr);
    Result<Value> eval_slice(const Expr& expr);
    Result<Value> eval_filter(const Expr& expr, const Value* piped = nullptr);
    Result<Value> eval_test(const Expr& expr);
    Result<bool> compare(Op op, const Value& left, const Value& right);
    Result<Value> lookup(const std::string& name);

    std::vector<std::unique_ptr<Scope>> captured_scopes_;
    Scope* scope_ = nullptr;
    std::string* out_ = nullptr;
    std::uint64_t written_bytes_ = 0;  // in all buffers that are open
    std::uint32_t depth_ = 0;
    std::uint32_t calls_ = 0;
    bool located_ = false;
};

}  // namespace kvasir::jinja
