#include "daemon/http/chat_marks.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace kvasir {

namespace json = boost::json;

namespace {

constexpr std::string_view kBegin = "\xef\xb7\x90";
constexpr std::string_view kEnd = "\xef\xb7\x91";
constexpr std::string_view kReplacement = "\xef\xbf\xbd";
constexpr std::string_view kSpaces = " \t\r\n";

/// The longest special token that begins at `at`; empty if none does.
std::string_view special_at(std::string_view text, std::size_t at,
                            std::span<const std::string> specials) {
    std::string_view longest;
    for (const std::string& special : specials) {
        if (special.size() > longest.size() && text.substr(at).starts_with(special))
            longest = special;
    }
    return longest;
}

/// Where text, less spaces at its end, breaks off within a special token; npos if it does not.
std::size_t broken_special(std::string_view text, std::span<const std::string> specials) {
    const std::size_t last = text.find_last_not_of(kSpaces);
    if (last == std::string_view::npos) return last;
    const std::string_view kept = text.substr(0, last + 1);
    std::size_t first = std::string_view::npos;
    for (const std::string& special : specials) {
        for (std::size_t n = std::min(special.size() - 1, kept.size()); n > 0; --n) {
            if (!kept.ends_with(std::string_view(special).substr(0, n))) continue;
            first = std::min(first, kept.size() - n);
            break;
        }
    }
    return first;
}

std::size_t mark_text(std::string& text, std::span<const std::string> specials) {
    std::size_t n_marks = 0;
    std::string out;
    const std::size_t broken = broken_special(text, specials);
    const std::string_view given = text;
    for (std::size_t at = 0; at < given.size();) {
        const std::string_view special = special_at(given, at, specials);
        if (!special.empty()) {
            out.append(kBegin).append(special).append(kEnd);
            at += special.size();
            ++n_marks;
        } else if (at == broken) {
            const std::size_t end = given.find_last_not_of(kSpaces) + 1;
            out.append(kBegin).append(given.substr(at, end - at)).append(kEnd);
            at = end;
            ++n_marks;
        } else if (given.substr(at).starts_with(kBegin) || given.substr(at).starts_with(kEnd)) {
            out += kReplacement;  // not ours
            at += kBegin.size();
        } else {
            out += given[at++];
        }
    }
    if (n_marks > 0) text = std::move(out);
    return n_marks;
}

}  // namespace

/// Recurses as deep as the request's JSON may nest.
std::size_t mark_specials(json::value& value, std::span<const std::string> specials) {
    std::size_t n_marks = 0;
    if (value.is_string()) {
        std::string text(value.get_string());
        n_marks = mark_text(text, specials);
        if (n_marks > 0) value = text;
    } else if (value.is_array()) {
        for (json::value& item : value.get_array()) n_marks += mark_specials(item, specials);
    } else if (value.is_object()) {
        json::object marked;
        for (auto& pair : value.get_object()) {
            std::string key(pair.key());
            n_marks += mark_text(key, specials);
            n_marks += mark_specials(pair.value(), specials);
            marked[key] = std::move(pair.value());
        }
        value = std::move(marked);
    }
    return n_marks;
}

std::vector<MarkedPiece> split_at_marks(std::string_view text) {
    std::vector<MarkedPiece> pieces;
    bool is_plain = false;
    while (!text.empty()) {
        const std::size_t at = std::min({text.find(kBegin), text.find(kEnd), text.size()});
        if (at > 0) pieces.push_back({text.substr(0, at), is_plain});
        if (at == text.size()) break;
        is_plain = text.substr(at).starts_with(kBegin);
        text.remove_prefix(at + kBegin.size());
    }
    return pieces;
}

std::string without_marks(std::string_view text) {
    std::string out;
    for (const MarkedPiece& piece : split_at_marks(text)) out += piece.text;
    return out;
}

}  // namespace kvasir
