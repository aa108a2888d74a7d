// A template as a tree. Every node knows its line; depth is bounded by the parser, so walking and
// destroying a tree may recurse.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/template/value.hpp"

namespace kvasir::jinja {

enum class ExprKind {
    constant,
    name,
    tuple,                // items
    list,                 // items
    dict,                 // items: key, value, key, value, ...
    negate,               // items[0]
    plus,                 // items[0]
    logic_not,            // items[0]
    logic_and,            // items[0], items[1]
    logic_or,             // items[0], items[1]
    binary,               // op, items[0], items[1]
    concat,               // items, joined as text
    compare,              // items[0] ops[0] items[1] ops[1] ...
    conditional,          // items: value, condition, other value (null: undefined)
    attribute,            // items[0].name
    subscript,            // items[0][items[1]]
    slice,                // items[0][items[1]:items[2]:items[3]], each may be null
    call,                 // items[0](arguments)
    filter,               // items[0] | name(arguments); items[0] is null where a block is filtered
    test,                 // items[0] is name(arguments)
    namespace_attribute,  // target of set: name.attribute
};

enum class Op { add, sub, mul, div, floor_div, mod, pow, eq, ne, lt, le, gt, ge, in, not_in };

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct NamedExpr {
    std::string name;
    ExprPtr value;
};

struct ArgumentExprs {
    std::vector<ExprPtr> positional;
    std::vector<NamedExpr> named;
    ExprPtr star;       // *sequence
    ExprPtr star_star;  // **dict
};

struct Expr {
    ExprKind kind = ExprKind::constant;
    std::uint32_t line = 0;
    std::uint32_t depth = 1;
    Value constant;
    std::string name;
    std::string attribute;  // of namespace_attribute
    Op op = Op::add;
    std::vector<Op> ops;
    std::vector<ExprPtr> items;
    ArgumentExprs arguments;
};

enum class StmtKind {
    text,
    output,
    if_else,
    for_loop,
    set,
    set_block,
    macro,
    call_block,
    filter_block,
    with,
    scope,  // {% generation %}: a body that keeps its variables
    break_loop,
    continue_loop,
};

struct Stmt;
using Body = std::vector<Stmt>;

struct Branch {
    ExprPtr condition;  // null: else
    Body body;
};

struct Parameter {
    std::string name;
    ExprPtr default_value;  // null: none
};

/// A macro, or what a call block hands over as caller().
struct MacroCode {
    std::string name;
    std::vector<Parameter> parameters;
    bool uses_caller = false;  // names that the body mentions
    bool uses_varargs = false;
    bool uses_kwargs = false;
    Body body;
};

struct Stmt {
    StmtKind kind = StmtKind::text;
    std::uint32_t line = 0;
    std::string text;
    ExprPtr target;  // of for, set, set_block
    ExprPtr value;   // output, iterable, assigned value, call, filter of a block
    ExprPtr test;    // the `if` of a for
    bool recursive = false;
    std::vector<Branch> branches;
    std::vector<std::pair<ExprPtr, ExprPtr>> assignments;  // of with
    std::unique_ptr<MacroCode> macro;
    Body body;
    Body else_body;
};

}  // namespace kvasir::jinja
