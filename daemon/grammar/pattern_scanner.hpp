// PatternScanner: the characters of an ECMAScript pattern, its escapes and classes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "daemon/grammar/automaton.hpp"

namespace kvasir::grammar {

class PatternScanner {
public:
    PatternScanner(std::vector<std::uint32_t> source, Budget& budget)
        : source_(std::move(source)), budget_(budget) {}

    /// 0 past the end.
    std::uint32_t peek(std::size_t ahead = 0) const {
        return at_ + ahead < source_.size() ? source_[at_ + ahead] : 0;
    }
    bool is_end() const { return at_ >= source_.size(); }
    bool take(char c);
    /// With the place.
    Error wrong(std::string_view what) const;
    Error unsupported(std::string_view what) const;

    /// After the backslash.
    Result<SymbolSet> read_escape(bool in_class);
    /// After the bracket.
    Result<SymbolSet> read_class();
    Result<std::uint32_t> read_count();

protected:
    std::vector<std::uint32_t> source_;
    std::size_t at_ = 0;
    Budget& budget_;

private:
    Result<std::uint32_t> read_hex(std::size_t n_digits);
    Result<SymbolSet> read_unicode();
    Result<SymbolSet> read_class_atom();
};

}  // namespace kvasir::grammar
