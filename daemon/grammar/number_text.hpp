// Numbers within limits, as automata over their decimal text.
#pragma once

#include <boost/json/fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/grammar/automaton.hpp"

namespace kvasir::grammar {

/// A number as it is written: the limits of a schema mean these digits.
struct Decimal {
    bool is_negative = false;
    std::string integer;   // digits without leading zeros; empty: 0
    std::string fraction;  // digits without trailing zeros

    bool is_zero() const { return integer.empty() && fraction.empty(); }
    /// The shortest digits that mean this number. REQUIRES: a number, finite.
    static Decimal of(const boost::json::value& number);
};

struct NumberLimits {
    struct Bound {
        Decimal value;
        bool is_exclusive = false;
    };
    std::vector<Bound> low;
    std::vector<Bound> high;
    std::vector<Decimal> multiples;  // positive
    bool is_integer = false;

    bool is_any() const { return low.empty() && high.empty() && multiples.empty(); }
};

/// Plain decimals of at most 15 digits on each side of the point, fewer behind it where a bound has
/// digits before it: so that no number within the limits becomes a double outside them.
/// Errors: unsupported (a bound of more than 15 digits, a fraction that binary cannot hold as
/// divisor), too_large.
Result<Dfa> number_automaton(const NumberLimits& limits, Budget& budget);

}  // namespace kvasir::grammar
