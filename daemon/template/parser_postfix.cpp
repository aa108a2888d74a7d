// What follows a primary expression: attributes, subscripts, calls, filters, tests.
#include <charconv>
#include <fmt/format.h>

#include "daemon/template/parser.hpp"

namespace kvasir::jinja {

Parser::Parsed Parser::parse_postfix(ExprPtr expr) {
    for (;;) {
        if (now().is_op(".") || now().is_op("[")) {
            KVASIR_TRY(expr, parse_subscript(std::move(expr)));
        } else if (now().is_op("(")) {
            auto call = make(ExprKind::call);
            call->items.push_back(std::move(expr));
            KVASIR_TRY_VOID(parse_arguments(call->arguments));
            KVASIR_TRY(expr, finish(std::move(call)));
        } else {
            return expr;
        }
    }
}

Parser::Parsed Parser::parse_subscript(ExprPtr expr) {
    auto node = make(ExprKind::subscript);
    node->items.push_back(std::move(expr));
    if (skip_op(".")) {
        if (now().kind == TokenKind::name) {
            node->kind = ExprKind::attribute;
            node->name = now().text;
            skip();
            return finish(std::move(node));
        }
        if (now().kind != TokenKind::integer) return unexpected("a name or a number after '.'");
        KVASIR_TRY(node->items.emplace_back(), parse_literal());
        return finish(std::move(node));
    }
    skip();  // [
    ExprPtr first;
    if (!now().is_op(":")) {
        KVASIR_TRY(first, parse_expression());
    }
    if (!now().is_op(":")) {
        if (now().is_op(",")) {
            auto tuple = make(ExprKind::tuple);
            tuple->items.push_back(std::move(first));
            while (skip_op(",")) {
                KVASIR_TRY(tuple->items.emplace_back(), parse_expression());
            }
            KVASIR_TRY(first, finish(std::move(tuple)));
        }
        node->items.push_back(std::move(first));
        KVASIR_TRY_VOID(expect_op("]"));
        return finish(std::move(node));
    }
    node->kind = ExprKind::slice;
    node->items.push_back(std::move(first));
    for (int part = 0; part < 2; ++part) {
        ExprPtr bound;
        if (skip_op(":") && !now().is_op(":") && !now().is_op("]")) {
            KVASIR_TRY(bound, parse_expression());
        }
        node->items.push_back(std::move(bound));
    }
    KVASIR_TRY_VOID(expect_op("]"));
    return finish(std::move(node));
}

Result<> Parser::parse_arguments(ArgumentExprs& arguments) {
    KVASIR_TRY_VOID(expect_op("("));
    bool first = true;
    while (!now().is_op(")")) {
        if (!first) KVASIR_TRY_VOID(expect_op(","));
        if (!first && now().is_op(")")) break;
        first = false;
        KVASIR_TRY_VOID(parse_argument(arguments));
    }
    skip();
    return {};
}

Result<> Parser::parse_argument(ArgumentExprs& arguments) {
    if (now().is_op("*") || now().is_op("**")) {
        ExprPtr& star = now().is_op("*") ? arguments.star : arguments.star_star;
        if (star || arguments.star_star) return error("arguments in an order that is not allowed");
        skip();
        KVASIR_TRY(star, parse_expression());
        return {};
    }
    if (now().kind == TokenKind::name && peek().is_op("=")) {
        if (arguments.star_star) return error("named argument after '**'");
        NamedExpr named;
        named.name = now().text;
        skip();
        skip();
        for (const NamedExpr& other : arguments.named) {
            if (other.name == named.name)
                return error(fmt::format("argument '{}' is named twice", named.name));
        }
        KVASIR_TRY(named.value, parse_expression());
        arguments.named.push_back(std::move(named));
        return {};
    }
    if (!arguments.named.empty() || arguments.star || arguments.star_star)
        return error("argument without a name after one with a name");
    KVASIR_TRY(arguments.positional.emplace_back(), parse_expression());
    return {};
}

/// `starts_inside`: stands on the name of the first filter already, as `{% filter upper %}` does.
Parser::Parsed Parser::parse_filters(ExprPtr expr, bool starts_inside) {
    if (starts_inside) {
        KVASIR_TRY(expr, parse_one_filter(std::move(expr)));
    }
    for (;;) {
        if (skip_op("|")) {
            KVASIR_TRY(expr, parse_one_filter(std::move(expr)));
        } else if (expr && now().is_name("is")) {
            KVASIR_TRY(expr, parse_test(std::move(expr)));
        } else if (expr && now().is_op("(")) {
            KVASIR_TRY(expr, parse_postfix(std::move(expr)));
        } else {
            return expr;
        }
    }
}

Parser::Parsed Parser::parse_one_filter(ExprPtr expr) {
    auto node = make(ExprKind::filter);
    KVASIR_TRY(node->name, expect_name());
    while (skip_op(".")) {
        KVASIR_TRY(const std::string more, expect_name());
        node->name += '.';
        node->name += more;
    }
    node->items.push_back(std::move(expr));
    if (now().is_op("(")) KVASIR_TRY_VOID(parse_arguments(node->arguments));
    return finish(std::move(node));
}

Parser::Parsed Parser::parse_test(ExprPtr expr) {
    skip();  // is
    const bool negated = skip_name("not");
    auto node = make(ExprKind::test);
    KVASIR_TRY(node->name, expect_name());
    node->items.push_back(std::move(expr));
    const TokenKind kind = now().kind;
    const bool starts_value = kind == TokenKind::name || kind == TokenKind::string ||
                              kind == TokenKind::integer || kind == TokenKind::real ||
                              now().is_op("[") || now().is_op("{");
    if (now().is_op("(")) {
        KVASIR_TRY_VOID(parse_arguments(node->arguments));
    } else if (starts_value && !at_name({"else", "or", "and"})) {
        if (now().is_name("is")) return error("tests cannot be chained with 'is'");
        KVASIR_TRY(ExprPtr argument, parse_primary());
        KVASIR_TRY(node->arguments.positional.emplace_back(), parse_postfix(std::move(argument)));
    }
    KVASIR_TRY(ExprPtr test, finish(std::move(node)));
    if (!negated) return test;
    auto inverted = make(ExprKind::logic_not);
    inverted->items.push_back(std::move(test));
    return finish(std::move(inverted));
}

}  // namespace kvasir::jinja
