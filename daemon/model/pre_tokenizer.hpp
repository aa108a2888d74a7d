// Cuts text into the pieces that byte-pair merging never crosses, by the regular expressions a
// vocabulary was made with.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir {

/// One row of the table: a value of tokenizer.ggml.pre and what follows from it.
struct PreTokenizerRule {
    std::string_view name;
    std::vector<std::string_view>
        patterns;  // each cuts the pieces of the one before; text between matches is a piece too
    bool whole_piece_first =
        false;  // a piece that is a token needs no merging, even if no merges lead to it
    bool adds_bos = false;  // where tokenizer.ggml.add_bos_token is absent
};

/// Every known rule; tests iterate it.
std::span<const PreTokenizerRule> all_pre_tokenizers();

/// Immutable: const members may be called from any thread.
class PreTokenizer {
public:
    enum class Jit { if_possible, off };
    /// Runs without JIT where the system forbids writable code. Errors: unsupported (name unknown).
    static Result<PreTokenizer> create(std::string_view name, Jit jit = Jit::if_possible);
    PreTokenizer(PreTokenizer&&) noexcept;
    PreTokenizer& operator=(PreTokenizer&&) noexcept;
    ~PreTokenizer();

    const PreTokenizerRule& rule() const { return *rule_; }

    /// Appends views into text that, joined, are text. A byte that is no UTF-8 is a piece of its
    /// own.
    void split(std::string_view text, std::vector<std::string_view>& pieces) const;

private:
    struct Pattern;
    explicit PreTokenizer(const PreTokenizerRule& rule);
    void split_valid(std::string_view text, std::vector<std::string_view>& pieces) const;

    const PreTokenizerRule* rule_;
    std::vector<std::unique_ptr<Pattern>> patterns_;
};

}  // namespace kvasir
