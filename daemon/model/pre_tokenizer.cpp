#include "daemon/model/pre_tokenizer.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>
#include <string>
#include <utility>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "daemon/model/utf8.hpp"

namespace kvasir {
namespace {

// The expressions as their makers published them, in Perl's dialect over Unicode.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kOneDigit = R"(\p{N})";
constexpr std::string_view kThreeDigits = "[0-9][0-9][0-9]";
constexpr std::string_view kFalconPunctuation = R"([\p{P}\$\+<=>\^~\|`]+)";

const std::vector<PreTokenizerRule>& table() {
    static const std::vector<PreTokenizerRule> rules{
        {"gpt-2", {kGpt2}},
        {"default", {kGpt2}},  // files from before the key existed
        {"llama-bpe", {kLlama3}, true, true},
        {"qwen2", {kQwen2}},
        {"falcon", {kFalconPunctuation, kGpt2, kThreeDigits}},
        {"starcoder", {kOneDigit, kGpt2}},
        {"smollm", {kOneDigit, kGpt2}},
    };
    return rules;
}

/// PCRE2 counts U+180E as white space, Unicode since 6.3 and the makers of vocabularies do not: \s
/// is written out.
std::string expand_white_space(std::string_view pattern) {
    constexpr std::string_view members = R"(\p{Z}\x{9}-\x{d}\x{85})";
    std::string out;
    bool in_class = false;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (c != '\\' || i + 1 == pattern.size()) {
            if (c == '[') in_class = true;
            if (c == ']') in_class = false;
            out += c;
            continue;
        }
        const char escaped = pattern[++i];
        if (escaped == 's') {
            (((out += in_class ? "" : "[") += members) += in_class ? "" : "]");
        } else if (escaped == 'S' && !in_class) {
            ((out += "[^") += members) += "]";
        } else {
            (out += c) += escaped;
        }
    }
    return out;
}

struct MatchData {
    explicit MatchData(const pcre2_code* code)
        : data(pcre2_match_data_create_from_pattern(code, nullptr)),
          context(pcre2_match_context_create(nullptr)) {}
    MatchData(const MatchData&) = delete;
    MatchData& operator=(const MatchData&) = delete;
    ~MatchData() {
        pcre2_match_data_free(data);
        pcre2_match_context_free(context);
    }
    pcre2_match_data* data;
    pcre2_match_context* context;
};

}  // namespace

struct PreTokenizer::Pattern {
    explicit Pattern(pcre2_code* compiled) : code(compiled) {}
    Pattern(const Pattern&) = delete;
    Pattern& operator=(const Pattern&) = delete;
    ~Pattern() { pcre2_code_free(code); }

    /// REQUIRES: text is valid UTF-8. Appends matches and what lies between them.
    void split(std::string_view text, const MatchData& match,
               std::vector<std::string_view>& pieces) const;

    pcre2_code* code;
};

void PreTokenizer::Pattern::split(std::string_view text, const MatchData& match,
                                  std::vector<std::string_view>& pieces) const {
    // Each match costs a few steps a character; a limit far above keeps a surprise from running for
    // hours.
    const std::uint64_t limit = 10'000 + 100 * std::uint64_t{text.size()};
    pcre2_set_match_limit(match.context, static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                             limit, std::numeric_limits<std::uint32_t>::max())));
    const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.data);
    std::size_t begin = 0;  // what lies before is in pieces
    while (begin < text.size()) {
        int rc = pcre2_match(code, subject, text.size(), begin, PCRE2_NO_UTF_CHECK, match.data,
                             match.context);
        if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
            rc = pcre2_match(code, subject, text.size(), begin, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                             match.data, match.context);
        }
        if (rc == PCRE2_ERROR_NOMEMORY || rc == PCRE2_ERROR_HEAPLIMIT) throw std::bad_alloc();
        // No further match, or an expression that finds empty ones or hits the limit: the rest is
        // one piece.
        if (rc < 0 || bounds[1] <= bounds[0]) break;
        if (bounds[0] > begin) pieces.push_back(text.substr(begin, bounds[0] - begin));
        pieces.push_back(text.substr(bounds[0], bounds[1] - bounds[0]));
        begin = bounds[1];
    }
    if (begin < text.size()) pieces.push_back(text.substr(begin));
}

std::span<const PreTokenizerRule> all_pre_tokenizers() {
    return table();
}

PreTokenizer::PreTokenizer(const PreTokenizerRule& rule) : rule_(&rule) {}
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

Result<PreTokenizer> PreTokenizer::create(std::string_view name, Jit jit) {
    const auto& rules = table();
    const auto rule = std::find_if(rules.begin(), rules.end(),
                                   [name](const auto& row) { return row.name == name; });
    if (rule == rules.end()) {
        std::string known;
        for (const auto& row : rules) (known += known.empty() ? "" : ", ") += row.name;
        return Error{ErrorCode::unsupported, "tokenizer.ggml.pre: `" +
                                                 std::string(name.substr(0, 64)) +
                                                 "`, expected one of " + known};
    }
    PreTokenizer made(*rule);
    for (const std::string_view pattern : rule->patterns) {
        const std::string expression = expand_white_space(pattern);
        int error = 0;
        PCRE2_SIZE offset = 0;
        pcre2_code* code =
            pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                          PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
        if (code == nullptr) {
            return Error{ErrorCode::unsupported, "pre-tokenizer " + std::string(name) +
                                                     ": PCRE2 error " + std::to_string(error) +
                                                     " at " + std::to_string(offset) + " of " +
                                                     expression};
        }
        made.patterns_.push_back(std::make_unique<Pattern>(code));
        // A failure leaves the interpreter, which finds the same matches.
        if (jit == Jit::if_possible) pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    }
    return made;
}

void PreTokenizer::split_valid(std::string_view text, std::vector<std::string_view>& pieces) const {
    std::vector<std::string_view> from{text};
    std::vector<std::string_view> to;
    for (const auto& pattern : patterns_) {
        const MatchData match(pattern->code);
        if (match.data == nullptr || match.context == nullptr) throw std::bad_alloc();
        to.clear();
        for (const std::string_view piece : from) pattern->split(piece, match, to);
        std::swap(from, to);
    }
    pieces.insert(pieces.end(), from.begin(), from.end());
}

void PreTokenizer::split(std::string_view text, std::vector<std::string_view>& pieces) const {
    std::size_t begin = 0;  // of the valid run
    std::size_t at = 0;
    const auto flush = [&] {
        if (at > begin) split_valid(text.substr(begin, at - begin), pieces);
    };
    while (at < text.size()) {
        const Utf8Step step = utf8_step(text.substr(at));
        if (step.kind == Utf8Step::Kind::character) {
            at += step.n_bytes;
            continue;
        }
        flush();
        for (std::size_t i = 0; i < step.n_bytes; ++i) pieces.push_back(text.substr(at + i, 1));
        at += step.n_bytes;
        begin = at;
    }
    flush();
}

}  // namespace kvasir
