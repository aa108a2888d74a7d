#include "daemon/model/pre_tokenizer_dialect.hpp"

#include <algorithm>
#include <cstddef>

#include "quant/gguf.hpp"

namespace kvasir {
namespace {

constexpr std::size_t kMaxPatternBytes = 16384;

/// PCRE2 counts U+180E as white space, Unicode since 6.3 and the makers of vocabularies do not.
constexpr std::string_view kWhiteSpace = R"(\p{Z}\x{9}-\x{d}\x{85})";
constexpr std::string_view kWord = R"(\p{L}\p{M}\p{N}\p{Pc})";
/// PCRE2 takes \p{Han} for script extensions, which are more characters.
constexpr std::string_view kScripts[] = {"Han", "Hiragana", "Katakana", "Hangul"};
constexpr std::string_view kSameEscapes = "pPdDbBnrtfxuAzZ";

class Translator {
public:
    explicit Translator(std::string_view pattern) : pattern_(pattern) {}

    Result<std::string> run() {
        while (at_ < pattern_.size()) {
            const char c = pattern_[at_++];
            if (c == '\\') {
                KVASIR_TRY_VOID(escape());
            } else if (depth_ == 0) {
                out_ += c;
                if (c == '[') begin_class();
            } else {
                KVASIR_TRY_VOID(class_member(c));
            }
        }
        return out_;
    }

private:
    Error refuse(const std::string& what) const {
        return {ErrorCode::unsupported,
                "pre-tokenizer expression " + printable(pattern_) + ": " + what};
    }

    void begin_class() {
        depth_ = 1;
        if (at_ < pattern_.size() && pattern_[at_] == '^') out_ += pattern_[at_++];
    }

    Result<> class_member(char c) {
        if (c == '[' && at_ < pattern_.size() && pattern_[at_] == ':') {  // [:alpha:]
            const std::size_t end = pattern_.find(":]", at_ + 1);
            if (end == std::string_view::npos) return refuse("`[:` without `:]`");
            out_ += pattern_.substr(at_ - 1, end + 3 - at_);
            at_ = end + 2;
        } else if (c == '[') {
            if (at_ < pattern_.size() && pattern_[at_] == '^')
                return refuse("a negated class inside a class");
            ++depth_;  // its members are members of the outer class
        } else if (c == ']') {
            if (--depth_ == 0) out_ += c;
        } else if (c == '&' && at_ < pattern_.size() && pattern_[at_] == '&') {
            return refuse("an intersection of classes");
        } else {
            out_ += c;
        }
        return {};
    }

    Result<> set(std::string_view members, bool negated) {
        if (depth_ > 0 && negated) return refuse("a negated set inside a class");
        if (depth_ > 0) {
            out_ += members;
        } else {
            ((out_ += negated ? "[^" : "[") += members) += "]";
        }
        return {};
    }

    Result<> escape() {
        if (at_ == pattern_.size()) return refuse("a backslash at its end");
        const char c = pattern_[at_++];
        if (c == 's' || c == 'S') return set(kWhiteSpace, c == 'S');
        if (c == 'w' || c == 'W') return set(kWord, c == 'W');
        if (c == 'u') return code_point();
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool is_digit = c >= '0' && c <= '9';
        if (is_digit || (is_letter && kSameEscapes.find(c) == std::string_view::npos))
            return refuse(std::string("`\\") + c + "`");
        (out_ += '\\') += c;
        if (c == 'p' || c == 'P') property();
        return {};
    }

    Result<> code_point() {  // \u2581
        const std::string_view digits = pattern_.substr(at_, 4);
        const bool are_hex =
            digits.size() == 4 && digits.find_first_not_of("0123456789abcdefABCDEF") == digits.npos;
        if (!are_hex) return refuse("`\\u` without four hexadecimal digits");
        ((out_ += "\\x{") += digits) += "}";
        at_ += 4;
        return {};
    }

    void property() {
        for (const std::string_view script : kScripts) {
            const std::string braced = "{" + std::string(script) + "}";
            if (pattern_.substr(at_).starts_with(braced)) {
                (out_ += "{sc:") += braced.substr(1);
                at_ += braced.size();
                return;
            }
        }
    }

    std::string_view pattern_;
    std::size_t at_ = 0;
    std::size_t depth_ = 0;  // of classes
    std::string out_;
};

}  // namespace

Result<std::string> to_pcre2(std::string_view pattern) {
    if (pattern.size() > kMaxPatternBytes) {
        return Error{ErrorCode::unsupported,
                     "pre-tokenizer expression: " + std::to_string(pattern.size()) +
                         " bytes, expected at most " + std::to_string(kMaxPatternBytes)};
    }
    return Translator(pattern).run();
}

std::string literal_pattern(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool is_punctuation = (c >= '!' && c <= '/') || (c >= ':' && c <= '@') ||
                                    (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
        if (is_punctuation) out += '\\';
        out += c;
    }
    return out;
}

}  // namespace kvasir
