#include "daemon/grammar/json_grammar.hpp"

#include "daemon/grammar/text_automaton.hpp"

namespace kvasir::grammar {

namespace {

constexpr std::uint32_t kMaxIndentation = 16;

/// -?(0|[1-9][0-9]{0,14}), and -0 only with something behind it.
Fragment digits(Nfa& nfa, std::string_view first, unsigned n_more) {
    Fragment whole = nfa.one_of(SymbolSet::of(first));
    const std::uint32_t end = nfa.add_state();
    nfa.add_empty(whole.end, end);
    for (unsigned i = 0; i < n_more; ++i) {
        const Fragment digit = nfa.one_of(SymbolSet{{'0', '9'}});
        nfa.add_empty(whole.end, digit.start);
        nfa.add_empty(digit.end, end);
        whole.end = digit.end;
    }
    return {whole.start, end};
}

Fragment integer_digits(Nfa& nfa) {
    return digits(nfa, "123456789", JsonGrammar::kMaxDigits - 1);
}

Fragment optional(Nfa& nfa, Fragment one) {
    return nfa.either(nfa.empty(), one);
}

Dfa integer_automaton() {
    Nfa nfa;
    const Fragment sign = optional(nfa, nfa.ascii("-"));
    const Fragment whole = nfa.either(nfa.ascii("0"), nfa.sequence(sign, integer_digits(nfa)));
    Budget budget;
    return determinize(nfa, whole, budget).value();
}

Dfa number_automaton() {
    Nfa nfa;
    const Fragment sign = optional(nfa, nfa.ascii("-"));
    const Fragment integer = nfa.either(nfa.ascii("0"), integer_digits(nfa));
    const Fragment fraction =
        nfa.sequence(nfa.ascii("."), digits(nfa, "0123456789", JsonGrammar::kMaxDigits - 1));
    const Fragment exponent_sign = nfa.sequence(nfa.one_of(SymbolSet::of("eE")),
                                                optional(nfa, nfa.one_of(SymbolSet::of("+-"))));
    const Fragment exponent = nfa.sequence(exponent_sign, digits(nfa, "0123456789", 1));
    const Fragment whole =
        nfa.sequence(nfa.sequence(sign, integer),
                     nfa.sequence(optional(nfa, fraction), optional(nfa, exponent)));
    Budget budget;
    return determinize(nfa, whole, budget).value();
}

}  // namespace

NodeId JsonGrammar::gap() {
    if (!gap_) {
        const NodeId blank = builder_.literal(" ");
        gap_ = builder_.choice({builder_.empty(), blank,
                                builder_.sequence({builder_.literal("\n"),
                                                   builder_.repeat(blank, 0, kMaxIndentation)})});
    }
    return *gap_;
}

NodeId JsonGrammar::colon() {
    if (!colon_)
        colon_ =
            builder_.sequence({builder_.literal(":"), builder_.optional(builder_.literal(" "))});
    return *colon_;
}

NodeId JsonGrammar::comma() {
    if (!comma_) comma_ = builder_.sequence({builder_.literal(","), gap()});
    return *comma_;
}

NodeId JsonGrammar::braced(NodeId inside, bool may_be_empty, const char* brackets) {
    const NodeId open = builder_.literal({brackets, 1});
    const NodeId close = builder_.literal({brackets + 1, 1});
    const NodeId full = builder_.sequence({open, gap(), inside, gap(), close});
    if (!may_be_empty) return full;
    return builder_.choice({full, builder_.sequence({open, close})});
}

NodeId JsonGrammar::string_of_length(std::uint32_t low, std::uint32_t high) {
    if (!character_) character_ = builder_.terminal(json_character());
    const NodeId quote = builder_.literal("\"");
    return builder_.sequence({quote, builder_.repeat(*character_, low, high), quote});
}

NodeId JsonGrammar::string() {
    if (!string_) string_ = string_of_length(0, kNoLimit);
    return *string_;
}

NodeId JsonGrammar::number() {
    if (!number_) number_ = builder_.terminal(number_automaton());
    return *number_;
}

NodeId JsonGrammar::integer() {
    if (!integer_) integer_ = builder_.terminal(integer_automaton());
    return *integer_;
}

NodeId JsonGrammar::boolean() {
    if (!boolean_)
        boolean_ = builder_.choice({builder_.literal("true"), builder_.literal("false")});
    return *boolean_;
}

NodeId JsonGrammar::null() {
    if (!null_) null_ = builder_.literal("null");
    return *null_;
}

NodeId JsonGrammar::object() {
    if (!object_) {
        object_ = builder_.rule("object");
        const NodeId member = builder_.sequence({string(), colon(), value()});
        const NodeId more = builder_.sequence({comma(), member});
        const NodeId members = builder_.sequence({member, builder_.repeat(more, 0, kNoLimit)});
        builder_.define(*object_, braced(members, true, "{}"));
    }
    return *object_;
}

NodeId JsonGrammar::array() {
    if (!array_) {
        array_ = builder_.rule("array");
        const NodeId more = builder_.sequence({comma(), value()});
        const NodeId items = builder_.sequence({value(), builder_.repeat(more, 0, kNoLimit)});
        builder_.define(*array_, braced(items, true, "[]"));
    }
    return *array_;
}

NodeId JsonGrammar::value() {
    if (!value_) {
        value_ = builder_.rule("value");
        builder_.define(
            *value_, builder_.choice({object(), array(), string(), number(), boolean(), null()}));
    }
    return *value_;
}

Result<std::shared_ptr<const Grammar>> json_object_grammar() {
    GrammarBuilder builder;
    JsonGrammar json(builder);
    return builder.finish(json.object());
}

}  // namespace kvasir::grammar
