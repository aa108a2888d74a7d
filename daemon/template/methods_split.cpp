#include "daemon/template/methods_split.hpp"

#include <algorithm>

#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

namespace {

using Pieces = std::vector<std::string_view>;

Pieces split_at(std::string_view text, std::string_view separator, std::int64_t n_splits) {
    Pieces pieces;
    std::size_t at = 0;
    for (; n_splits != 0; --n_splits) {
        const std::size_t found = text.find(separator, at);
        if (found == std::string_view::npos) break;
        pieces.push_back(text.substr(at, found - at));
        at = found + separator.size();
    }
    pieces.push_back(text.substr(at));
    return pieces;
}

Pieces split_at_right(std::string_view text, std::string_view separator, std::int64_t n_splits) {
    Pieces pieces;
    for (; n_splits != 0; --n_splits) {
        const std::size_t found = text.rfind(separator);
        if (found == std::string_view::npos) break;
        pieces.push_back(text.substr(found + separator.size()));
        text = text.substr(0, found);
    }
    pieces.push_back(text);
    std::reverse(pieces.begin(), pieces.end());
    return pieces;
}

/// Runs of whitespace separate; none at either end.
Pieces split_words(std::string_view text, std::int64_t n_splits) {
    Pieces pieces;
    text = strip(text, true, false);
    while (!text.empty()) {
        if (n_splits-- == 0) {
            pieces.push_back(strip(text, false, true));
            break;
        }
        std::size_t end = 0;
        while (end < text.size() && !is_space(point_at(text, end))) end += point_bytes(text, end);
        pieces.push_back(text.substr(0, end));
        text = strip(text.substr(end), true, false);
    }
    return pieces;
}

Pieces split_words_right(std::string_view text, std::int64_t n_splits) {
    Pieces pieces;
    text = strip(text, false, true);
    while (!text.empty()) {
        if (n_splits-- == 0) {
            pieces.push_back(strip(text, true, false));
            break;
        }
        std::size_t begin = text.size();
        while (begin > 0) {
            std::size_t last = begin - 1;
            while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xc0) == 0x80) --last;
            if (is_space(point_at(text, last))) break;
            begin = last;
        }
        pieces.push_back(text.substr(begin));
        text = strip(text.substr(0, begin), false, true);
    }
    std::reverse(pieces.begin(), pieces.end());
    return pieces;
}

Result<Value> list_of(Runtime& runtime, const Pieces& pieces) {
    KVASIR_TRY_VOID(runtime.check_items(pieces.size() * 2));
    Items items;
    items.reserve(pieces.size());
    for (const std::string_view piece : pieces) {
        KVASIR_TRY(items.emplace_back(), runtime.make_string(std::string(piece)));
    }
    return runtime.make_list(std::move(items));
}

bool is_line_end(char32_t point) {
    return (point >= 0x0a && point <= 0x0d) || (point >= 0x1c && point <= 0x1e) || point == 0x85 ||
           point == 0x2028 || point == 0x2029;
}

}  // namespace

template <bool from_right>
Result<Value> split_method(Runtime& runtime, const std::string& text, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "split", {"sep", "maxsplit"}));
    KVASIR_TRY_VOID(runtime.work(text.size() * 8));
    KVASIR_TRY_VOID(runtime.check_string(text.size() * sizeof(std::string_view)));
    std::int64_t n_splits = -1;
    if (bound[1]) {
        KVASIR_TRY(n_splits, to_integer(*bound[1], "maxsplit"));
    }
    if (!bound[0] || bound[0]->is_none()) {
        return list_of(
            runtime, from_right ? split_words_right(text, n_splits) : split_words(text, n_splits));
    }
    KVASIR_TRY(const std::string_view separator, to_string_view(*bound[0], "sep"));
    if (separator.empty()) return type_error("empty separator");
    return list_of(runtime, from_right ? split_at_right(text, separator, n_splits)
                                       : split_at(text, separator, n_splits));
}

template Result<Value> split_method<false>(Runtime&, const std::string&, Arguments&);
template Result<Value> split_method<true>(Runtime&, const std::string&, Arguments&);

Result<Value> splitlines_method(Runtime& runtime, const std::string& given, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "splitlines", {"keepends"}));
    const bool keeps = bound[0] && is_true(*bound[0]);
    const std::string_view text = given;
    KVASIR_TRY_VOID(runtime.work(text.size() * 8));
    Pieces lines;
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t n = point_bytes(text, at);
        if (!is_line_end(point_at(text, at))) {
            at += n;
            continue;
        }
        const std::size_t end = text.substr(at, 2) == "\r\n" ? at + 2 : at + n;
        lines.push_back(text.substr(begin, (keeps ? end : at) - begin));
        begin = at = end;
    }
    if (begin < text.size()) lines.push_back(text.substr(begin));
    return list_of(runtime, lines);
}

template <bool from_right>
Result<Value> partition_method(Runtime& runtime, const std::string& text, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "partition", {"sep"}, 1));
    KVASIR_TRY(const std::string_view separator, to_string_view(*bound[0], "sep"));
    if (separator.empty()) return type_error("empty separator");
    const std::size_t at = from_right ? text.rfind(separator) : text.find(separator);
    Pieces pieces = {text, "", ""};
    if (at != std::string::npos) {
        pieces = {std::string_view(text).substr(0, at), separator,
                  std::string_view(text).substr(at + separator.size())};
    } else if (from_right) {
        pieces = {"", "", text};
    }
    Items items;
    for (const std::string_view piece : pieces) {
        KVASIR_TRY(items.emplace_back(), runtime.make_string(std::string(piece)));
    }
    return runtime.make_list(std::move(items), SequenceType::tuple);
}

template Result<Value> partition_method<false>(Runtime&, const std::string&, Arguments&);
template Result<Value> partition_method<true>(Runtime&, const std::string&, Arguments&);

}  // namespace kvasir::jinja
