#include <algorithm>
#include <fmt/format.h>

#include "daemon/template/parser.hpp"

namespace kvasir::jinja {

namespace {

/// Blocks and parentheses within each other; each level costs the parser some kilobytes of stack.
constexpr std::uint32_t kMaxNesting = 100;

struct Leave {
    std::uint32_t& nesting;
    ~Leave() { --nesting; }
};

}  // namespace

bool Parser::skip_op(std::string_view op) {
    if (!now().is_op(op)) return false;
    skip();
    return true;
}

bool Parser::skip_name(std::string_view name) {
    if (!now().is_name(name)) return false;
    skip();
    return true;
}

bool Parser::at_name(Names names) const {
    return now().kind == TokenKind::name &&
           std::find(names.begin(), names.end(), now().text) != names.end();
}

Error Parser::error(std::string_view what) const {
    return {ErrorCode::corrupt, fmt::format("line {}: {}", now().line, what)};
}

Error Parser::unexpected(std::string_view expected) const {
    std::string found;
    switch (now().kind) {
        case TokenKind::end: found = "the end of the template"; break;
        case TokenKind::block_end:
        case TokenKind::variable_end: found = "the end of the tag"; break;
        case TokenKind::data:
        case TokenKind::block_begin:
        case TokenKind::variable_begin: found = "text"; break;
        default: found = fmt::format("'{}'", now().text.substr(0, 40));
    }
    return error(fmt::format("unexpected {}, expected {}", found, expected));
}

Result<> Parser::expect_op(std::string_view op) {
    if (!skip_op(op)) return unexpected(fmt::format("'{}'", op));
    return {};
}

Result<std::string> Parser::expect_name() {
    if (now().kind != TokenKind::name) return unexpected("a name");
    std::string name = now().text;
    skip();
    return name;
}

Result<> Parser::expect_block_end() {
    if (now().kind != TokenKind::block_end) return unexpected("'%}'");
    skip();
    return {};
}

Result<> Parser::enter() {
    if (++nesting_ <= kMaxNesting) return {};
    return Error{ErrorCode::too_large,
                 fmt::format("line {}: nested deeper than {} levels", now().line, kMaxNesting)};
}

Result<Body> Parser::parse() {
    KVASIR_TRY(Body body, parse_body({}));
    if (now().kind != TokenKind::end) return unexpected("the end of the template");
    return body;
}

/// Up to a tag that begins with one of `ends`; stands on that name then.
Result<Body> Parser::parse_body(Names ends) {
    const Leave leave{nesting_};
    KVASIR_TRY_VOID(enter());
    Body body;
    for (;;) {
        const Token& token = now();
        if (token.kind == TokenKind::end) {
            if (ends.size() == 0) return body;
            return error(fmt::format("the template ends, expected '{}'", *ends.begin()));
        }
        if (token.kind == TokenKind::data) {
            Stmt& text = body.emplace_back();
            text.line = token.line;
            text.text = token.text;
            skip();
        } else if (token.kind == TokenKind::variable_begin) {
            Stmt output;
            output.kind = StmtKind::output;
            output.line = token.line;
            skip();
            KVASIR_TRY(output.value, parse_tuple(true, false));
            if (now().kind != TokenKind::variable_end) return unexpected("'}}'");
            skip();
            body.push_back(std::move(output));
        } else {
            skip();
            if (at_name(ends)) return body;
            KVASIR_TRY_VOID(parse_tag(body));
        }
    }
}

Result<Body> Parser::parse_body_of(std::string_view end) {
    KVASIR_TRY_VOID(expect_block_end());
    KVASIR_TRY(Body body, parse_body({end}));
    skip();
    return body;
}

Result<> Parser::parse_tag(Body& body) {
    const std::uint32_t line = now().line;
    KVASIR_TRY(Stmt stmt, parse_statement());
    stmt.line = line;
    KVASIR_TRY_VOID(expect_block_end());
    body.push_back(std::move(stmt));
    return {};
}

Result<Stmt> Parser::parse_statement() {
    const std::string name = now().kind == TokenKind::name ? now().text : "";
    if (name == "if") return parse_if();
    if (name == "for") return parse_for();
    if (name == "set") return parse_set();
    if (name == "macro") return parse_macro();
    if (name == "call") return parse_call_block();
    if (name == "filter") return parse_filter_block();
    if (name == "with") return parse_with();
    Stmt stmt;
    if (name == "break" || name == "continue") {
        if (loops_ == 0) return error(fmt::format("'{}' outside a loop", name));
        skip();
        stmt.kind = name == "break" ? StmtKind::break_loop : StmtKind::continue_loop;
        return stmt;
    }
    if (name == "generation" && options_.generation_blocks) {
        skip();
        stmt.kind = StmtKind::scope;
        KVASIR_TRY(stmt.body, parse_body_of("endgeneration"));
        return stmt;
    }
    constexpr std::string_view kFiles[] = {"include", "import", "from", "extends", "block"};
    if (std::find(std::begin(kFiles), std::end(kFiles), name) != std::end(kFiles)) {
        return Error{ErrorCode::unsupported,
                     fmt::format("line {}: '{}': a chat template is one file", now().line, name)};
    }
    return unexpected("a statement");
}

Result<Stmt> Parser::parse_if() {
    Stmt stmt;
    stmt.kind = StmtKind::if_else;
    for (;;) {
        skip();  // if, elif
        Branch& branch = stmt.branches.emplace_back();
        KVASIR_TRY(branch.condition, parse_tuple(false, false));
        KVASIR_TRY_VOID(expect_block_end());
        KVASIR_TRY(branch.body, parse_body({"endif", "elif", "else"}));
        if (!at_name({"elif"})) break;
    }
    if (skip_name("else")) {
        KVASIR_TRY_VOID(expect_block_end());
        KVASIR_TRY(stmt.branches.emplace_back().body, parse_body({"endif"}));
    }
    skip();
    return stmt;
}

Result<Body> Parser::parse_loop_body(Names ends) {
    ++loops_;
    auto body = parse_body(ends);
    --loops_;
    return body;
}

Result<Stmt> Parser::parse_for() {
    skip();
    Stmt stmt;
    stmt.kind = StmtKind::for_loop;
    KVASIR_TRY(stmt.target, parse_target(false));
    if (!skip_name("in")) return unexpected("'in'");
    KVASIR_TRY(stmt.value, parse_tuple(false, false));
    if (skip_name("if")) {
        KVASIR_TRY(stmt.test, parse_expression());
    }
    stmt.recursive = skip_name("recursive");
    KVASIR_TRY_VOID(expect_block_end());
    KVASIR_TRY(stmt.body, parse_loop_body({"endfor", "else"}));
    if (skip_name("else")) {
        KVASIR_TRY_VOID(expect_block_end());
        KVASIR_TRY(stmt.else_body, parse_body({"endfor"}));
    }
    skip();
    return stmt;
}

Result<Stmt> Parser::parse_set() {
    skip();
    Stmt stmt;
    stmt.kind = StmtKind::set;
    KVASIR_TRY(stmt.target, parse_target(true));
    if (skip_op("=")) {
        KVASIR_TRY(stmt.value, parse_tuple(true, false));
        return stmt;
    }
    stmt.kind = StmtKind::set_block;
    KVASIR_TRY(stmt.value, parse_filters(nullptr, false));
    KVASIR_TRY(stmt.body, parse_body_of("endset"));
    return stmt;
}

/// One name, or several with commas between them.
Parser::Parsed Parser::parse_target(bool with_namespace) {
    auto tuple = make(ExprKind::tuple);
    bool has_comma = false;
    for (;;) {
        if (!tuple->items.empty() && (at_tuple_end() || now().is_op("="))) break;
        KVASIR_TRY(tuple->items.emplace_back(), parse_one_target(with_namespace));
        if (!skip_op(",")) break;
        has_comma = true;
    }
    if (!has_comma) return std::move(tuple->items.front());
    return tuple;
}

Parser::Parsed Parser::parse_one_target(bool with_namespace) {
    if (skip_op("(")) {
        const Leave leave{nesting_};
        KVASIR_TRY_VOID(enter());
        KVASIR_TRY(ExprPtr inner, parse_target(with_namespace));
        KVASIR_TRY_VOID(expect_op(")"));
        return inner;
    }
    auto target = make(ExprKind::name);
    KVASIR_TRY(target->name, expect_name());
    for (const char* constant : {"true", "false", "none", "True", "False", "None", "loop"}) {
        if (target->name == constant)
            return error(fmt::format("'{}' cannot be assigned to", constant));
    }
    if (with_namespace && skip_op(".")) {
        target->kind = ExprKind::namespace_attribute;
        KVASIR_TRY(target->attribute, expect_name());
        note_name(target->name);
    }
    return target;
}

Result<> Parser::parse_signature(MacroCode& macro) {
    KVASIR_TRY_VOID(expect_op("("));
    while (!now().is_op(")")) {
        if (!macro.parameters.empty()) KVASIR_TRY_VOID(expect_op(","));
        if (now().is_op(")")) break;
        Parameter parameter;
        KVASIR_TRY(parameter.name, expect_name());
        if (skip_op("=")) {
            KVASIR_TRY(parameter.default_value, parse_expression());
        } else if (!macro.parameters.empty() && macro.parameters.back().default_value) {
            return error("parameter without a default follows one with a default");
        }
        macro.parameters.push_back(std::move(parameter));
    }
    skip();
    return {};
}

Result<Body> Parser::parse_macro_body(MacroCode& macro, std::string_view end) {
    open_macros_.push_back(&macro);
    const std::uint32_t loops = std::exchange(loops_, 0);
    auto body = parse_body_of(end);
    loops_ = loops;
    open_macros_.pop_back();
    return body;
}

Result<Stmt> Parser::parse_macro() {
    skip();
    Stmt stmt;
    stmt.kind = StmtKind::macro;
    stmt.macro = std::make_unique<MacroCode>();
    KVASIR_TRY(stmt.macro->name, expect_name());
    KVASIR_TRY_VOID(parse_signature(*stmt.macro));
    KVASIR_TRY(stmt.macro->body, parse_macro_body(*stmt.macro, "endmacro"));
    return stmt;
}

Result<Stmt> Parser::parse_call_block() {
    skip();
    Stmt stmt;
    stmt.kind = StmtKind::call_block;
    stmt.macro = std::make_unique<MacroCode>();
    stmt.macro->name = "caller";
    if (now().is_op("(")) KVASIR_TRY_VOID(parse_signature(*stmt.macro));
    KVASIR_TRY(stmt.value, parse_expression());
    if (stmt.value->kind != ExprKind::call) return error("expected a call of a macro");
    KVASIR_TRY(stmt.macro->body, parse_macro_body(*stmt.macro, "endcall"));
    return stmt;
}

Result<Stmt> Parser::parse_filter_block() {
    skip();
    Stmt stmt;
    stmt.kind = StmtKind::filter_block;
    KVASIR_TRY(stmt.value, parse_filters(nullptr, true));
    KVASIR_TRY(stmt.body, parse_body_of("endfilter"));
    return stmt;
}

Result<Stmt> Parser::parse_with() {
    skip();
    Stmt stmt;
    stmt.kind = StmtKind::with;
    while (now().kind != TokenKind::block_end) {
        if (!stmt.assignments.empty()) KVASIR_TRY_VOID(expect_op(","));
        KVASIR_TRY(ExprPtr target, parse_target(false));
        KVASIR_TRY_VOID(expect_op("="));
        KVASIR_TRY(ExprPtr value, parse_expression());
        stmt.assignments.emplace_back(std::move(target), std::move(value));
    }
    KVASIR_TRY(stmt.body, parse_body_of("endwith"));
    return stmt;
}

}  // namespace kvasir::jinja
