#include <charconv>
#include <cstdlib>
#include <fmt/format.h>

#include "daemon/template/parser.hpp"

namespace kvasir::jinja {

namespace {

/// Deepest expression tree: bounds the stack of whoever walks it.
constexpr std::uint32_t kMaxExprDepth = 150;

struct Leave {
    std::uint32_t& nesting;
    ~Leave() { --nesting; }
};

ExprPtr pair_of(ExprPtr node, ExprPtr left, ExprPtr right) {
    node->items.push_back(std::move(left));
    node->items.push_back(std::move(right));
    return node;
}

}  // namespace

ExprPtr Parser::make(ExprKind kind) const {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->line = now().line;
    return expr;
}

Result<ExprPtr> Parser::finish(ExprPtr expr) const {
    std::uint32_t deepest = 0;
    const auto look = [&](const ExprPtr& part) {
        if (part) deepest = std::max(deepest, part->depth);
    };
    for (const ExprPtr& item : expr->items) look(item);
    for (const ExprPtr& item : expr->arguments.positional) look(item);
    for (const NamedExpr& item : expr->arguments.named) look(item.value);
    look(expr->arguments.star);
    look(expr->arguments.star_star);
    expr->depth = deepest + 1;
    if (expr->depth <= kMaxExprDepth) return expr;
    return Error{ErrorCode::too_large, fmt::format("line {}: expression deeper than {} levels",
                                                   expr->line, kMaxExprDepth)};
}

/// Macros learn whether their body mentions caller, varargs, kwargs.
void Parser::note_name(const std::string& name) {
    for (MacroCode* macro : open_macros_) {
        macro->uses_caller |= name == "caller";
        macro->uses_varargs |= name == "varargs";
        macro->uses_kwargs |= name == "kwargs";
    }
}

bool Parser::at_tuple_end() const {
    return now().kind == TokenKind::variable_end || now().kind == TokenKind::block_end ||
           now().is_op(")") || at_name({"in", "recursive"});
}

Parser::Parsed Parser::parse_expression(bool with_condition) {
    const Leave leave{nesting_};
    KVASIR_TRY_VOID(enter());
    return with_condition ? parse_conditional() : parse_or();
}

Parser::Parsed Parser::parse_conditional() {
    KVASIR_TRY(ExprPtr value, parse_or());
    while (now().is_name("if")) {
        auto node = make(ExprKind::conditional);
        skip();
        KVASIR_TRY(ExprPtr condition, parse_or());
        ExprPtr other;
        if (skip_name("else")) {
            KVASIR_TRY(other, parse_expression());
        }
        node = pair_of(std::move(node), std::move(value), std::move(condition));
        node->items.push_back(std::move(other));
        KVASIR_TRY(value, finish(std::move(node)));
    }
    return value;
}

Parser::Parsed Parser::parse_or() {
    KVASIR_TRY(ExprPtr left, parse_and());
    while (now().is_name("or")) {
        auto node = make(ExprKind::logic_or);
        skip();
        KVASIR_TRY(ExprPtr right, parse_and());
        KVASIR_TRY(left, finish(pair_of(std::move(node), std::move(left), std::move(right))));
    }
    return left;
}

Parser::Parsed Parser::parse_and() {
    KVASIR_TRY(ExprPtr left, parse_not());
    while (now().is_name("and")) {
        auto node = make(ExprKind::logic_and);
        skip();
        KVASIR_TRY(ExprPtr right, parse_not());
        KVASIR_TRY(left, finish(pair_of(std::move(node), std::move(left), std::move(right))));
    }
    return left;
}

Parser::Parsed Parser::parse_not() {
    if (!now().is_name("not")) return parse_compare();
    const Leave leave{nesting_};
    KVASIR_TRY_VOID(enter());
    auto node = make(ExprKind::logic_not);
    skip();
    KVASIR_TRY(node->items.emplace_back(), parse_not());
    return finish(std::move(node));
}

namespace {

std::optional<Op> compare_op(const Token& token) {
    if (token.is_name("in")) return Op::in;
    if (token.kind != TokenKind::op) return std::nullopt;
    if (token.text == "==") return Op::eq;
    if (token.text == "!=") return Op::ne;
    if (token.text == "<") return Op::lt;
    if (token.text == "<=") return Op::le;
    if (token.text == ">") return Op::gt;
    if (token.text == ">=") return Op::ge;
    return std::nullopt;
}

}  // namespace

Parser::Parsed Parser::parse_compare() {
    auto node = make(ExprKind::compare);
    KVASIR_TRY(node->items.emplace_back(), parse_sum());
    for (;;) {
        std::optional<Op> op = compare_op(now());
        if (op) {
            skip();
        } else if (now().is_name("not") && peek().is_name("in")) {
            op = Op::not_in;
            skip();
            skip();
        } else {
            break;
        }
        node->ops.push_back(*op);
        KVASIR_TRY(node->items.emplace_back(), parse_sum());
    }
    if (node->ops.empty()) return std::move(node->items.front());
    return finish(std::move(node));
}

Parser::Parsed Parser::parse_sum() {
    KVASIR_TRY(ExprPtr left, parse_concat());
    while (now().is_op("+") || now().is_op("-")) {
        auto node = make(ExprKind::binary);
        node->op = now().is_op("+") ? Op::add : Op::sub;
        skip();
        KVASIR_TRY(ExprPtr right, parse_concat());
        KVASIR_TRY(left, finish(pair_of(std::move(node), std::move(left), std::move(right))));
    }
    return left;
}

Parser::Parsed Parser::parse_concat() {
    auto node = make(ExprKind::concat);
    do {
        KVASIR_TRY(node->items.emplace_back(), parse_product());
    } while (skip_op("~"));
    if (node->items.size() == 1) return std::move(node->items.front());
    return finish(std::move(node));
}

Parser::Parsed Parser::parse_product() {
    KVASIR_TRY(ExprPtr left, parse_power());
    for (;;) {
        auto node = make(ExprKind::binary);
        if (now().is_op("*"))
            node->op = Op::mul;
        else if (now().is_op("/"))
            node->op = Op::div;
        else if (now().is_op("//"))
            node->op = Op::floor_div;
        else if (now().is_op("%"))
            node->op = Op::mod;
        else
            return left;
        skip();
        KVASIR_TRY(ExprPtr right, parse_power());
        KVASIR_TRY(left, finish(pair_of(std::move(node), std::move(left), std::move(right))));
    }
}

Parser::Parsed Parser::parse_power() {
    KVASIR_TRY(ExprPtr left, parse_unary());
    while (now().is_op("**")) {
        auto node = make(ExprKind::binary);
        node->op = Op::pow;
        skip();
        KVASIR_TRY(ExprPtr right, parse_unary());
        KVASIR_TRY(left, finish(pair_of(std::move(node), std::move(left), std::move(right))));
    }
    return left;
}

Parser::Parsed Parser::parse_unary(bool with_filter) {
    ExprPtr node;
    if (now().is_op("-") || now().is_op("+")) {
        const Leave leave{nesting_};
        KVASIR_TRY_VOID(enter());
        auto sign = make(now().is_op("-") ? ExprKind::negate : ExprKind::plus);
        skip();
        KVASIR_TRY(sign->items.emplace_back(), parse_unary(false));
        KVASIR_TRY(node, finish(std::move(sign)));
    } else {
        KVASIR_TRY(node, parse_primary());
    }
    KVASIR_TRY(node, parse_postfix(std::move(node)));
    if (!with_filter) return node;
    return parse_filters(std::move(node), false);
}

Parser::Parsed Parser::parse_primary() {
    const Token& token = now();
    if (token.is_op("(")) {
        skip();
        KVASIR_TRY(ExprPtr inner, parse_tuple(true, true));
        KVASIR_TRY_VOID(expect_op(")"));
        return inner;
    }
    if (token.is_op("[")) return parse_list();
    if (token.is_op("{")) return parse_dict();
    if (token.kind != TokenKind::name) return parse_literal();
    const std::string name = token.text;
    auto node = make(ExprKind::constant);
    skip();
    if (name == "true" || name == "True")
        node->constant = Value(true);
    else if (name == "false" || name == "False")
        node->constant = Value(false);
    else if (name == "none" || name == "None")
        node->constant = Value(None{});
    else
        node->kind = ExprKind::name;
    if (node->kind == ExprKind::name) note_name(name);
    node->name = name;
    return node;
}

Parser::Parsed Parser::parse_literal() {
    auto node = make(ExprKind::constant);
    const Token& token = now();
    if (token.kind == TokenKind::string) {
        std::string text;
        for (; now().kind == TokenKind::string; skip()) text += now().text;
        node->constant = make_constant(std::move(text));
        return node;
    }
    if (token.kind == TokenKind::real) {
        node->constant = Value(std::strtod(token.text.c_str(), nullptr));
        skip();
        return node;
    }
    if (token.kind != TokenKind::integer) return unexpected("an expression");
    int base = 10;
    std::string_view digits = token.text;
    if (digits.size() > 2 && digits[0] == '0' && (digits[1] & 0x40) != 0) {
        const char marker = static_cast<char>(digits[1] | 0x20);
        base = marker == 'x' ? 16 : marker == 'o' ? 8 : 2;
        digits.remove_prefix(2);
    }
    std::int64_t number = 0;
    const auto [end, failed] =
        std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
    if (failed != std::errc() || end != digits.data() + digits.size())
        return error(fmt::format("number {}: expected one of 64 bits", token.text.substr(0, 40)));
    node->constant = Value(number);
    skip();
    return node;
}

Parser::Parsed Parser::parse_list() {
    auto node = make(ExprKind::list);
    skip();
    while (!now().is_op("]")) {
        if (!node->items.empty()) KVASIR_TRY_VOID(expect_op(","));
        if (now().is_op("]")) break;
        KVASIR_TRY(node->items.emplace_back(), parse_expression());
    }
    skip();
    return finish(std::move(node));
}

Parser::Parsed Parser::parse_dict() {
    auto node = make(ExprKind::dict);
    skip();
    while (!now().is_op("}")) {
        if (!node->items.empty()) KVASIR_TRY_VOID(expect_op(","));
        if (now().is_op("}")) break;
        KVASIR_TRY(node->items.emplace_back(), parse_expression());
        KVASIR_TRY_VOID(expect_op(":"));
        KVASIR_TRY(node->items.emplace_back(), parse_expression());
    }
    skip();
    return finish(std::move(node));
}

Parser::Parsed Parser::parse_tuple(bool with_condition, bool explicit_parentheses) {
    auto node = make(ExprKind::tuple);
    bool has_comma = false;
    for (;;) {
        if (at_tuple_end()) break;
        KVASIR_TRY(node->items.emplace_back(), parse_expression(with_condition));
        if (!skip_op(",")) break;
        has_comma = true;
    }
    if (!has_comma && !node->items.empty()) return std::move(node->items.front());
    if (!has_comma && !explicit_parentheses) return unexpected("an expression");
    return finish(std::move(node));
}

}  // namespace kvasir::jinja
