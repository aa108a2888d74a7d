// GbnfScanner: the characters of a GBNF grammar, and the pieces that stand for no part of it alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir::grammar {

class GbnfScanner {
public:
    static constexpr std::uint32_t kMaxRepeat = 100'000;

    explicit GbnfScanner(std::vector<std::uint32_t> source) : source_(std::move(source)) {}

    static bool is_name(std::uint32_t c);
    /// 0 past the end.
    std::uint32_t peek(std::size_t ahead = 0) const {
        return at_ + ahead < source_.size() ? source_[at_ + ahead] : 0;
    }
    bool is_end() const { return at_ >= source_.size(); }
    std::size_t line() const;
    /// With the line.
    Error wrong(std::string_view what, ErrorCode code = ErrorCode::invalid_argument) const;

    /// Blanks and comments; over line ends too where a rule cannot end there.
    void skip(bool over_lines);
    std::string read_name();
    /// A character of a literal or class, escaped or not.
    Result<std::uint32_t> read_character();
    Result<std::uint32_t> read_count();

protected:
    std::vector<std::uint32_t> source_;
    std::size_t at_ = 0;

private:
    Result<std::uint32_t> read_hex(std::size_t n_digits);
};

}  // namespace kvasir::grammar
