#include "daemon/template/lexer.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>

#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

namespace {

bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
}
bool is_ascii_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_hex_digit(char c) {
    return is_ascii_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// \r\n and \r become \n; one newline at the end goes, as Jinja2's keep_trailing_newline=False
/// does.
std::string normalize(std::string_view source) {
    std::string out;
    out.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
        if (source[i] != '\r') {
            out += source[i];
            continue;
        }
        out += '\n';
        if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
    if (!out.empty() && out.back() == '\n') out.pop_back();
    return out;
}

class Lexer {
public:
    explicit Lexer(std::string_view source) : source_(normalize(source)), text_(source_) {}

    Result<std::vector<Token>> run() {
        while (at_ < text_.size()) KVASIR_TRY_VOID(data());
        add(TokenKind::end, "");
        return std::move(tokens_);
    }

private:
    Error error(std::string_view what) const {
        return {ErrorCode::corrupt, fmt::format("line {}: {}", line_, what)};
    }
    bool starts(std::string_view with, std::size_t at) const {
        return text_.substr(std::min(at, text_.size()), with.size()) == with;
    }
    bool starts(std::string_view with) const { return starts(with, at_); }
    std::size_t skip_spaces(std::size_t at) const {
        while (at < text_.size() && is_space(point_at(text_, at))) at += point_bytes(text_, at);
        return at;
    }
    void advance(std::size_t to) {
        for (; at_ < to; ++at_) line_ += text_[at_] == '\n';
    }
    void add(TokenKind kind, std::string_view text) {
        tokens_.push_back({kind, line_, std::string(text)});
    }

    /// After the sign of a closing tag: what is swallowed behind it.
    void close(char sign, bool is_block) {
        if (sign == '-')
            advance(skip_spaces(at_));
        else if (sign != '+' && is_block && starts("\n"))
            advance(at_ + 1);
        line_starting_ = at_ > 0 && text_[at_ - 1] == '\n';
    }

    /// Text before an opening tag, less what the tag's sign or lstrip_blocks takes.
    void emit_data(std::string_view piece, char sign, bool lstrip) {
        std::string_view kept = piece;
        if (sign == '-') {
            kept = strip(piece, false, true);
        } else if (sign != '+' && lstrip) {
            const std::size_t newline = piece.rfind('\n');
            const std::size_t line_at = newline == std::string_view::npos ? 0 : newline + 1;
            const bool at_line_start = line_at > 0 || line_starting_;
            if (at_line_start && strip(piece.substr(line_at), true, false).empty())
                kept = piece.substr(0, line_at);
        }
        if (!kept.empty()) add(TokenKind::data, kept);
        advance(at_ + piece.size());
    }

    struct RawTag {
        std::size_t end;
        char sign_before;
        char sign_after;
    };
    /// A `{% name %}` at `at`, without the whitespace that its end may swallow.
    std::optional<RawTag> find_tag(std::size_t at, std::string_view name) const {
        RawTag tag{at + 2, ' ', ' '};
        if (starts("-", tag.end) || starts("+", tag.end)) tag.sign_before = text_[tag.end++];
        tag.end = skip_spaces(tag.end);
        if (!starts(name, tag.end)) return std::nullopt;
        tag.end = skip_spaces(tag.end + name.size());
        const bool may_keep = name == "endraw";
        if (starts("-", tag.end) || (may_keep && starts("+", tag.end)))
            tag.sign_after = text_[tag.end++];
        if (!starts("%}", tag.end)) return std::nullopt;
        tag.end += 2;
        return tag;
    }

    Result<> data() {
        std::size_t open = at_;
        for (;; ++open) {
            open = text_.find('{', open);
            if (open == std::string_view::npos || open + 1 >= text_.size()) {
                add(TokenKind::data, text_.substr(at_));
                advance(text_.size());
                return {};
            }
            const char next = text_[open + 1];
            if (next == '{' || next == '%' || next == '#') break;
        }
        const char kind = text_[open + 1];
        if (kind == '%') {
            if (const auto tag = find_tag(open, "raw")) return raw(open, *tag);
        }
        const char after = open + 2 < text_.size() ? text_[open + 2] : ' ';
        const bool is_signed = after == '-' || after == '+';
        emit_data(text_.substr(at_, open - at_), is_signed ? after : ' ', kind != '{');
        const std::uint32_t opened_on = line_;
        advance(open + (is_signed ? 3 : 2));
        if (kind == '#') return comment(opened_on);
        return tag_content(kind == '%');
    }

    Result<> comment(std::uint32_t opened_on) {
        const std::size_t end = text_.find("#}", at_);
        if (end == std::string_view::npos) {
            line_ = opened_on;
            return error("comment without #}");
        }
        const char sign = end > at_ ? text_[end - 1] : ' ';
        advance(end + 2);
        close(sign, true);
        return {};
    }

    Result<> raw(std::size_t open, const RawTag& begin) {
        emit_data(text_.substr(at_, open - at_), begin.sign_before, true);
        const std::uint32_t opened_on = line_;
        advance(begin.end);
        close(begin.sign_after, false);
        for (std::size_t at = at_; (at = text_.find("{%", at)) != std::string_view::npos; ++at) {
            const auto end = find_tag(at, "endraw");
            if (!end) continue;
            emit_data(text_.substr(at_, at - at_), end->sign_before, true);
            advance(end->end);
            close(end->sign_after, true);
            return {};
        }
        line_ = opened_on;
        return error("raw without endraw");
    }

    /// Inside `{{ }}` or `{% %}`, up to and with its end.
    Result<> tag_content(bool is_block) {
        add(is_block ? TokenKind::block_begin : TokenKind::variable_begin, "");
        const std::uint32_t opened_on = line_;
        const std::string_view close_tag = is_block ? "%}" : "}}";
        std::string open_brackets;
        for (;;) {
            advance(skip_spaces(at_));
            if (at_ >= text_.size()) {
                line_ = opened_on;
                return error(fmt::format("tag without {}", close_tag));
            }
            if (open_brackets.empty()) {
                const bool is_signed = starts("-") || (is_block && starts("+"));
                if (starts(close_tag, at_ + (is_signed ? 1 : 0))) {
                    const char sign = is_signed ? text_[at_] : ' ';
                    add(is_block ? TokenKind::block_end : TokenKind::variable_end, close_tag);
                    advance(at_ + (is_signed ? 3 : 2));
                    close(sign, is_block);
                    return {};
                }
            }
            KVASIR_TRY_VOID(one_token(open_brackets));
        }
    }

    Result<> one_token(std::string& open_brackets) {
        const char c = text_[at_];
        if (is_ascii_digit(c)) return number();
        if (is_name_start(c)) {
            std::size_t end = at_;
            while (end < text_.size() && (is_name_start(text_[end]) || is_ascii_digit(text_[end])))
                ++end;
            add(TokenKind::name, text_.substr(at_, end - at_));
            advance(end);
            return {};
        }
        if (c == '"' || c == '\'') return string_literal(c);
        constexpr std::array<std::string_view, 6> kLong = {"//", "**", "==", "!=", ">=", "<="};
        std::string_view op = text_.substr(at_, 2);
        if (std::find(kLong.begin(), kLong.end(), op) == kLong.end()) op = op.substr(0, 1);
        if (op.size() == 1 &&
            std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
            return error(fmt::format("unexpected character '{}'",
                                     text_.substr(at_, point_bytes(text_, at_))));
        }
        if (c == '(' || c == '[' || c == '{') {
            open_brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
        } else if (c == ')' || c == ']' || c == '}') {
            if (open_brackets.empty()) return error(fmt::format("unexpected '{}'", c));
            if (open_brackets.back() != c)
                return error(
                    fmt::format("unexpected '{}', expected '{}'", c, open_brackets.back()));
            open_brackets.pop_back();
        }
        add(TokenKind::op, op);
        advance(at_ + op.size());
        return {};
    }

    std::size_t digits(std::size_t at, std::string& out) const {
        while (at < text_.size() &&
               (is_ascii_digit(text_[at]) ||
                (text_[at] == '_' && at + 1 < text_.size() && is_ascii_digit(text_[at + 1])))) {
            if (text_[at] != '_') out += text_[at];
            ++at;
        }
        return at;
    }

    Result<> number() {
        std::string out;
        const char marker = at_ + 1 < text_.size() ? static_cast<char>(text_[at_ + 1] | 0x20) : ' ';
        if (text_[at_] == '0' && (marker == 'x' || marker == 'o' || marker == 'b')) {
            std::size_t end = at_ + 2;
            while (end < text_.size() && (is_hex_digit(text_[end]) || text_[end] == '_')) ++end;
            for (const char c : text_.substr(at_, end - at_)) {
                if (c != '_') out += c;
            }
            add(TokenKind::integer, out);
            advance(end);
            return {};
        }
        const bool may_be_real = at_ == 0 || text_[at_ - 1] != '.';
        std::size_t end = digits(at_, out);
        TokenKind kind = TokenKind::integer;
        const auto digit_at = [&](std::size_t at) {
            return at < text_.size() && is_ascii_digit(text_[at]);
        };
        if (may_be_real && starts(".", end) && digit_at(end + 1)) {
            kind = TokenKind::real;
            out += '.';
            end = digits(end + 1, out);
        }
        if (may_be_real && (starts("e", end) || starts("E", end))) {
            const std::size_t sign = starts("+", end + 1) || starts("-", end + 1) ? 1 : 0;
            if (digit_at(end + 1 + sign)) {
                kind = TokenKind::real;
                out += text_.substr(end, 1 + sign);
                end = digits(end + 1 + sign, out);
            }
        }
        add(kind, out);
        advance(end);
        return {};
    }

    Result<> string_literal(char mark) {
        std::size_t end = at_ + 1;
        while (end < text_.size() && text_[end] != mark) end += text_[end] == '\\' ? 2 : 1;
        if (end >= text_.size()) return error("string without its closing quote");
        auto decoded = decode_escapes(text_.substr(at_ + 1, end - at_ - 1));
        if (decoded.has_error()) return error(decoded.error().message);
        add(TokenKind::string, *decoded);
        advance(end + 1);
        return {};
    }

    std::string source_;
    std::string_view text_;
    std::size_t at_ = 0;
    std::uint32_t line_ = 1;
    bool line_starting_ = true;
    std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize_template(std::string_view source) {
    return Lexer(source).run();
}

}  // namespace kvasir::jinja
