#include "daemon/model/pre_tokenizer.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>
#include <string>
#include <utility>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "daemon/model/pre_tokenizer_dialect.hpp"
#include "daemon/model/utf8.hpp"
#include "quant/gguf.hpp"

namespace kvasir {
namespace {

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

/// REQUIRES: valid UTF-8.
std::size_t count_characters(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) >> 6) != 2;
    }));
}

}  // namespace

struct PreTokenizer::Pattern {
    Pattern(pcre2_code* compiled, PreTokenizerCut how) : code(compiled), cut(how) {}
    Pattern(const Pattern&) = delete;
    Pattern& operator=(const Pattern&) = delete;
    ~Pattern() { pcre2_code_free(code); }

    /// REQUIRES: text is valid UTF-8. Appends pieces that, joined, are text.
    void split(std::string_view text, const MatchData& match,
               std::vector<std::string_view>& pieces) const;
    /// False: no further match, or one that hits the limit.
    bool find(std::string_view text, std::size_t at, const MatchData& match) const;

    pcre2_code* code;
    PreTokenizerCut cut;
};

bool PreTokenizer::Pattern::find(std::string_view text, std::size_t at,
                                 const MatchData& match) const {
    const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    int rc =
        pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, match.data, match.context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
        rc = pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                         match.data, match.context);
    }
    if (rc == PCRE2_ERROR_NOMEMORY || rc == PCRE2_ERROR_HEAPLIMIT) throw std::bad_alloc();
    return rc >= 0;
}

void PreTokenizer::Pattern::split(std::string_view text, const MatchData& match,
                                  std::vector<std::string_view>& pieces) const {
    // Each match costs a few steps a character; a limit far above keeps a surprise from running for
    // hours.
    const std::uint64_t limit = 10'000 + 100 * std::uint64_t{text.size()};
    pcre2_set_match_limit(match.context, static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                             limit, std::numeric_limits<std::uint32_t>::max())));
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.data);
    std::size_t begin = 0;  // what lies before is in pieces
    std::size_t at = 0;     // where to look for the next match
    const auto push_until = [&](std::size_t end) {
        if (end > begin) pieces.push_back(text.substr(begin, end - begin));
        begin = end;
    };
    while (at < text.size() && find(text, at, match)) {
        const std::size_t first = bounds[0];
        const std::size_t last = bounds[1];
        if (first < at || last < first) break;  // no expression of ours; the rest is one piece
        if (cut != PreTokenizerCut::with_previous) push_until(first);
        at = last;
        if (last == first) at += first == text.size() ? 1 : utf8_step(text.substr(first)).n_bytes;
        if (cut == PreTokenizerCut::with_next) continue;
        if (cut == PreTokenizerCut::threes_from_right) {
            const std::string_view matched = text.substr(first, last - first);
            std::size_t n_left = count_characters(matched);
            for (std::size_t i = 0; i < matched.size(); --n_left) {
                if (n_left % 3 == 0) push_until(first + i);
                i += utf8_step(matched.substr(i)).n_bytes;
            }
        }
        push_until(last);
    }
    push_until(text.size());
}

PreTokenizer::PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

Result<PreTokenizer> PreTokenizer::create(std::span<const PreTokenizerStep> steps, Jit jit) {
    PreTokenizer made;
    for (const PreTokenizerStep& step : steps) {
        KVASIR_TRY(const std::string expression, to_pcre2(step.pattern));
        int error = 0;
        PCRE2_SIZE offset = 0;
        pcre2_code* code =
            pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                          &offset, nullptr);
        if (code == nullptr) {
            return Error{ErrorCode::unsupported,
                         "pre-tokenizer expression " + printable(step.pattern) + ": PCRE2 error " +
                             std::to_string(error) + " at " + std::to_string(offset)};
        }
        made.patterns_.push_back(std::make_unique<Pattern>(code, step.cut));
        // A failure leaves the interpreter, which finds the same matches.
        if (jit == Jit::if_possible) pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    }
    return made;
}

Result<PreTokenizer> PreTokenizer::create(std::string_view name, Jit jit) {
    KVASIR_TRY(const PreTokenizerRule* rule, find_pre_tokenizer_rule(name));
    return create(std::span(rule->steps), jit);
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
