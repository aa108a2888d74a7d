// Marks around what a client sent where it reads like a special token, so that it survives a chat
// template as plain text. The marks are noncharacters, U+FDD0 and U+FDD1.
#pragma once

#include <boost/json/fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir {

/// Marks every string and key within `value`. `specials`: texts of special tokens, not empty.
/// Returns how many marks were set. A string that ends in the beginning of a special token is
/// marked too: the template might put the rest behind it.
std::size_t mark_specials(boost::json::value& value, std::span<const std::string> specials);

struct MarkedPiece {
    std::string_view text;
    bool is_plain = false;  // stood between marks
};
/// The text between the marks, in order.
std::vector<MarkedPiece> split_at_marks(std::string_view text);
std::string without_marks(std::string_view text);

}  // namespace kvasir
