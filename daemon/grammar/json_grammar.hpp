// JsonGrammar: the parts of JSON text as a grammar. Blanks, digits and exponents are bounded, so
// that no text can go on for ever without saying anything.
#pragma once

#include <optional>

#include "daemon/grammar/grammar.hpp"

namespace kvasir::grammar {

/// Parts are made when first asked for. The builder must outlive it.
class JsonGrammar {
public:
    /// A number: 15 digits before and 15 after the point, a decimal exponent of two: every one of
    /// them is a finite double.
    static constexpr unsigned kMaxDigits = 15;

    explicit JsonGrammar(GrammarBuilder& builder) : builder_(builder) {}

    NodeId value();
    NodeId object();
    NodeId array();
    NodeId string();
    NodeId string_of_length(std::uint32_t low, std::uint32_t high);
    NodeId number();
    NodeId integer();
    NodeId boolean();
    NodeId null();

    /// Between two parts: nothing, a blank, or a new line and its indentation.
    NodeId gap();
    /// After a colon.
    NodeId colon();
    /// "," and a gap.
    NodeId comma();
    /// What is between the brackets, without gaps at its ends: [x, x, x].
    NodeId braced(NodeId inside, bool may_be_empty, const char* brackets);

private:
    GrammarBuilder& builder_;
    std::optional<NodeId> value_, object_, array_, string_, character_, number_, integer_, boolean_,
        null_, gap_, colon_, comma_;
};

/// The whole text is one JSON object.
Result<std::shared_ptr<const Grammar>> json_object_grammar();

}  // namespace kvasir::grammar
