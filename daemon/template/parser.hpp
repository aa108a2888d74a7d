// Tokens to a tree. Source: Jinja2's grammar and precedences, jinja2/parser.py.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "daemon/template/ast.hpp"
#include "daemon/template/lexer.hpp"

namespace kvasir::jinja {

struct SyntaxOptions {
    bool generation_blocks = true;  // {% generation %}, transformers' extension
};

class Parser {
public:
    Parser(std::vector<Token> tokens, SyntaxOptions options)
        : tokens_(std::move(tokens)), options_(options) {}

    /// Errors: corrupt, unsupported, too_large (nested too deep), with the line.
    Result<Body> parse();

private:
    using Names = std::initializer_list<std::string_view>;
    using Parsed = Result<ExprPtr>;

    const Token& now() const { return tokens_[at_]; }
    const Token& peek() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
    void skip() { at_ += at_ + 1 < tokens_.size() ? 1 : 0; }
    bool skip_op(std::string_view op);
    bool skip_name(std::string_view name);
    bool at_name(Names names) const;
    Result<> expect_op(std::string_view op);
    Result<std::string> expect_name();
    Result<> expect_block_end();
    Error error(std::string_view what) const;
    Error unexpected(std::string_view expected) const;
    Result<> enter();

    // parser_statements.cpp
    Result<Body> parse_body(Names ends);
    Result<Body> parse_body_of(std::string_view end);
    Result<Body> parse_loop_body(Names ends);
    Result<> parse_tag(Body& body);
    Result<Stmt> parse_statement();
    Result<Stmt> parse_if();
    Result<Stmt> parse_for();
    Result<Stmt> parse_set();
    Result<Stmt> parse_macro();
    Result<Stmt> parse_call_block();
    Result<Stmt> parse_filter_block();
    Result<Stmt> parse_with();
    Result<> parse_signature(MacroCode& macro);
    Result<Body> parse_macro_body(MacroCode& macro, std::string_view end);
    Parsed parse_target(bool with_namespace);
    Parsed parse_one_target(bool with_namespace);

    // parser_expressions.cpp
    Parsed parse_expression(bool with_condition = true);
    Parsed parse_conditional();
    Parsed parse_or();
    Parsed parse_and();
    Parsed parse_not();
    Parsed parse_compare();
    Parsed parse_sum();
    Parsed parse_concat();
    Parsed parse_product();
    Parsed parse_power();
    Parsed parse_unary(bool with_filter = true);
    Parsed parse_primary();
    Parsed parse_literal();
    Parsed parse_list();
    Parsed parse_dict();
    Parsed parse_tuple(bool with_condition, bool explicit_parentheses);
    Parsed parse_postfix(ExprPtr expr);
    Parsed parse_filters(ExprPtr expr, bool starts_inside);
    Parsed parse_one_filter(ExprPtr expr);
    Parsed parse_test(ExprPtr expr);
    Parsed parse_subscript(ExprPtr expr);
    Result<> parse_arguments(ArgumentExprs& arguments);
    Result<> parse_argument(ArgumentExprs& arguments);
    bool at_tuple_end() const;
    ExprPtr make(ExprKind kind) const;
    Result<ExprPtr> finish(ExprPtr expr) const;
    void note_name(const std::string& name);

    std::vector<Token> tokens_;
    SyntaxOptions options_;
    std::size_t at_ = 0;
    std::uint32_t nesting_ = 0;
    std::uint32_t loops_ = 0;              // for loops around, within this macro
    std::vector<MacroCode*> open_macros_;  // macros and call blocks around
};

}  // namespace kvasir::jinja
