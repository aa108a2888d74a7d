#include "daemon/model/tokenizer_normalizer.hpp"

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utf8proc.h>

#include "daemon/model/utf8.hpp"

namespace kvasir {
namespace {

constexpr std::size_t kMaxMarks = 256;

using Kind = TextNormalizer::Kind;

utf8proc_option_t options_of(Kind kind) {
    const int compose =
        kind == Kind::nfc || kind == Kind::nfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
    const int compatible = kind == Kind::nfkc || kind == Kind::nfkd ? UTF8PROC_COMPAT : 0;
    return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | compose | compatible);
}

bool is_mark(std::string_view character) {
    utf8proc_int32_t code_point = 0;
    utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(character.data()),
                     static_cast<utf8proc_ssize_t>(character.size()), &code_point);
    return utf8proc_get_property(code_point)->combining_class != 0;
}

/// REQUIRES: text is valid UTF-8.
void append_normal_form(std::string_view text, Kind kind, std::string& out) {
    if (text.empty()) return;
    utf8proc_uint8_t* mapped = nullptr;
    const auto n =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                     static_cast<utf8proc_ssize_t>(text.size()), &mapped, options_of(kind));
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
    if (n == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
    if (n < 0) {
        out += text;  // longer than its numbers hold
    } else {
        out.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(n));
    }
}

std::string normal_form(std::string_view text, Kind kind) {
    std::string out;
    out.reserve(text.size());
    std::size_t begin = 0;  // of what is valid and has few marks in a row
    std::size_t n_marks = 0;
    const auto flush = [&](std::size_t end) {
        append_normal_form(text.substr(begin, end - begin), kind, out);
        begin = end;
    };
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Step step = utf8_step(text.substr(at));
        if (step.kind != Utf8Step::Kind::character) {
            flush(at);
            out += text.substr(at, step.n_bytes);
            begin = at + step.n_bytes;
            n_marks = 0;
        } else {
            const bool combines = step.n_bytes > 1 && is_mark(text.substr(at, step.n_bytes));
            n_marks = combines ? n_marks + 1 : 0;
            if (n_marks > kMaxMarks) {
                flush(at);
                n_marks = 1;
            }
        }
        at += step.n_bytes;
    }
    flush(text.size());
    return out;
}

std::string collapse_spaces(std::string_view text) {
    std::string out;
    bool is_pending = false;  // a space, if something follows
    for (const char c : text) {
        if (c == ' ') {
            is_pending = !out.empty();
            continue;
        }
        if (is_pending) out += ' ';
        is_pending = false;
        out += c;
    }
    return out;
}

}  // namespace

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0;;) {
        const std::size_t found = text.find(from, at);
        out += text.substr(at, found - at);
        if (found == std::string_view::npos) return out;
        out += to;
        at = found + from.size();
    }
}

std::string TextNormalizer::apply(std::string_view text, bool starts_text) const {
    std::string out(text);
    for (const Step& step : steps_) {
        switch (step.kind) {
            case Kind::prepend:
                if (!out.empty()) out.insert(0, step.to);
                break;
            case Kind::prepend_first:
                if (!starts_text) break;
                [[fallthrough]];
            case Kind::prepend_once:
                if (!out.empty() && !out.starts_with(step.to)) out.insert(0, step.to);
                break;
            case Kind::replace: out = replace_all(out, step.from, step.to); break;
            case Kind::collapse: out = collapse_spaces(out); break;
            default: out = normal_form(out, step.kind); break;
        }
    }
    return out;
}

}  // namespace kvasir
