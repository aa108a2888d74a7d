// Cuts text into the pieces that byte-pair merging never crosses, by the regular expressions a
// vocabulary was made with.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir {

/// Where matches of an expression cut.
enum class PreTokenizerCut {
    isolate,            // a match is a piece, and so is what lies between matches
    threes_from_right,  // as isolate, and a match is cut into threes of characters from its end
    with_previous,      // a match ends the piece it follows
    with_next,          // a match begins the piece that follows
};

/// One expression, in Oniguruma's dialect as far as vocabularies use it.
struct PreTokenizerStep {
    std::string_view pattern;
    PreTokenizerCut cut = PreTokenizerCut::isolate;
};

/// One row of the table: a value of tokenizer.ggml.pre and what follows from it.
struct PreTokenizerRule {
    std::string_view name;
    std::vector<PreTokenizerStep> steps;  // each cuts the pieces of the one before
    bool whole_piece_first =
        false;  // a piece that is a token needs no merging, even if no merges lead to it
    bool adds_bos = false;    // where tokenizer.ggml.add_bos_token is absent
    bool characters = false;  // tokens are characters with U+2581 for a space, not byte-level text
};

/// Every known rule; tests iterate it.
std::span<const PreTokenizerRule> all_pre_tokenizers();

/// Errors: unsupported (no such name; the message lists the known ones).
Result<const PreTokenizerRule*> find_pre_tokenizer_rule(std::string_view name);

/// Immutable: const members may be called from any thread. Characters are classified by PCRE2's
/// Unicode tables (14 in PCRE2 10.42): to them a letter of a later version is punctuation, which
/// moves a cut only where such a letter meets another letter, a digit or a line end.
class PreTokenizer {
public:
    enum class Jit { if_possible, off };
    /// Runs without JIT where the system forbids writable code. Errors: unsupported (an expression
    /// that does not compile, or uses what means something else in PCRE2).
    static Result<PreTokenizer> create(std::span<const PreTokenizerStep> steps,
                                       Jit jit = Jit::if_possible);
    /// By name. Errors: unsupported.
    static Result<PreTokenizer> create(std::string_view name, Jit jit = Jit::if_possible);
    PreTokenizer(PreTokenizer&&) noexcept;
    PreTokenizer& operator=(PreTokenizer&&) noexcept;
    ~PreTokenizer();

    /// Appends views into text that, joined, are text. A byte that is no UTF-8 is a piece of its
    /// own.
    void split(std::string_view text, std::vector<std::string_view>& pieces) const;

private:
    struct Pattern;
    PreTokenizer();
    void split_valid(std::string_view text, std::vector<std::string_view>& pieces) const;

    std::vector<std::unique_ptr<Pattern>> patterns_;
};

}  // namespace kvasir
