#include "daemon/grammar/number_text.hpp"

#include <algorithm>
#include <boost/json/value.hpp>
#include <charconv>
#include <cstdlib>
#include <fmt/format.h>
#include <map>
#include <tuple>

namespace kvasir::grammar {

namespace {

constexpr unsigned kMaxDigits = 15;  // a double tells all numbers of so many digits apart
constexpr std::size_t kMaxStates = 50'000;

enum class Phase : std::uint8_t { start, sign, zero, integer, point, fraction };

/// What has been read of a number.
struct Reading {
    Phase phase = Phase::start;
    bool is_negative = false;
    bool is_zero = true;
    unsigned n_integer = 0;   // digits
    unsigned n_fraction = 0;  // digits
    std::uint32_t remainder = 0;
    std::vector<signed char> order;  // a bound: the digits so far against as many of its own

    auto key() const {
        return std::tie(phase, is_negative, is_zero, n_integer, n_fraction, remainder, order);
    }
    bool operator<(const Reading& other) const { return key() < other.key(); }
};

class NumberBuilder {
public:
    NumberBuilder(std::vector<NumberLimits::Bound> bounds, std::size_t n_low, unsigned max_fraction,
                  std::uint32_t modulus, unsigned scale)
        : bounds_(std::move(bounds)),
          n_low_(n_low),
          max_fraction_(max_fraction),
          modulus_(modulus),
          scale_(scale) {}

    Result<Dfa> run(Budget& budget) {
        Dfa dfa;
        Reading first;
        first.order.assign(bounds_.size(), 0);
        std::map<Reading, std::uint32_t> index{{first, 0}};
        std::vector<Reading> readings{first};
        for (std::uint32_t i = 0; i < readings.size(); ++i) {
            KVASIR_TRY_VOID(budget.spend(16));
            const Reading at = readings[i];
            dfa.states[i].accepts = is_accepted(at);
            for (const char c : std::string_view("-.0123456789")) {
                Reading next = at;
                if (!read(next, c)) continue;
                const auto [found, is_new] =
                    index.emplace(next, static_cast<std::uint32_t>(readings.size()));
                if (is_new) {
                    if (readings.size() == kMaxStates)
                        return Error{ErrorCode::too_large, "too many states"};
                    readings.push_back(next);
                    dfa.states.emplace_back();
                }
                const auto symbol = static_cast<unsigned char>(c);
                dfa.states[i].edges.push_back({symbol, symbol, found->second});
            }
        }
        return trim(std::move(dfa));
    }

private:
    bool read(Reading& r, char c) const {
        if (c == '-') {
            if (r.phase != Phase::start) return false;
            r.phase = Phase::sign;
            r.is_negative = true;
            return true;
        }
        if (c == '.') {
            if (max_fraction_ == 0 || (r.phase != Phase::zero && r.phase != Phase::integer))
                return false;
            end_integer(r);
            r.phase = Phase::point;
            return true;
        }
        const bool in_integer =
            r.phase == Phase::start || r.phase == Phase::sign || r.phase == Phase::integer;
        if (!in_integer && r.phase != Phase::point && r.phase != Phase::fraction) return false;
        r.is_zero = r.is_zero && c == '0';
        r.remainder = (r.remainder * 10 + static_cast<std::uint32_t>(c - '0')) % modulus_;
        if (in_integer) {
            if (c == '0' && r.phase != Phase::integer) {
                r.phase = Phase::zero;
                return true;
            }
            if (r.n_integer == kMaxDigits) return false;
            compare(r, c, r.n_integer, &Decimal::integer, 0);
            r.phase = Phase::integer;
            ++r.n_integer;
            return true;
        }
        if (r.n_fraction == max_fraction_) return false;
        compare(r, c, r.n_fraction, &Decimal::fraction, '0');
        r.phase = Phase::fraction;
        ++r.n_fraction;
        return true;
    }

    /// The first digit that differs decides. absent: what the bound has where its digits end; 0 for
    /// none, which is less than any.
    void compare(Reading& r, char digit, unsigned at, std::string Decimal::*digits,
                 char absent) const {
        for (std::size_t i = 0; i < bounds_.size(); ++i) {
            const std::string& own = bounds_[i].value.*digits;
            const char other = at < own.size() ? own[at] : absent;
            if (r.order[i] == 0 && digit != other) r.order[i] = digit < other ? -1 : 1;
        }
    }

    /// Now the lengths are known, and the longer one is greater.
    void end_integer(Reading& r) const {
        for (std::size_t i = 0; i < bounds_.size(); ++i) {
            const std::size_t n = bounds_[i].value.integer.size();
            if (r.n_integer != n) r.order[i] = r.n_integer < n ? -1 : 1;
        }
    }

    bool is_accepted(Reading r) const {
        if (r.phase == Phase::zero || r.phase == Phase::integer) {
            end_integer(r);
        } else if (r.phase != Phase::fraction) {
            return false;
        }
        if (r.is_negative && r.is_zero) return false;
        std::uint64_t remainder = r.remainder;
        for (unsigned i = r.n_fraction; i < scale_; ++i) remainder = remainder * 10 % modulus_;
        if (remainder != 0) return false;
        for (std::size_t i = 0; i < bounds_.size(); ++i) {
            const Decimal& bound = bounds_[i].value;
            int order = r.order[i];
            if (order == 0 && r.n_fraction < bound.fraction.size()) order = -1;
            if (r.is_negative != bound.is_negative) {
                order = r.is_negative ? -1 : 1;
            } else if (r.is_negative) {
                order = -order;
            }
            const int wanted = i < n_low_ ? 1 : -1;
            if (order != wanted && (order != 0 || bounds_[i].is_exclusive)) return false;
        }
        return true;
    }

    const std::vector<NumberLimits::Bound> bounds_;
    const std::size_t n_low_;
    const unsigned max_fraction_;
    const std::uint32_t modulus_;
    const unsigned scale_;  // the modulus counts in units of 10^-scale
};

/// Takes the bounds that a number of 15 digits can miss.
Result<> add_bounds(const std::vector<NumberLimits::Bound>& given, bool is_low,
                    std::vector<NumberLimits::Bound>& bounds) {
    for (const NumberLimits::Bound& bound : given) {
        const Decimal& value = bound.value;
        if (value.integer.size() > kMaxDigits) {
            if (value.is_negative == is_low) continue;
            return Error{ErrorCode::unsupported,
                         fmt::format("a bound of {} digits, expected at most {}",
                                     value.integer.size(), kMaxDigits)};
        }
        const std::size_t n_zeros =
            value.integer.empty()
                ? std::min(value.fraction.find_first_not_of('0'), value.fraction.size())
                : 0;
        if (value.integer.size() + value.fraction.size() - n_zeros > kMaxDigits)
            return Error{ErrorCode::unsupported, fmt::format("more than {} digits", kMaxDigits)};
        bounds.push_back(bound);
    }
    return {};
}

}  // namespace

Decimal Decimal::of(const boost::json::value& number) {
    std::string text = number.is_int64()    ? fmt::format("{}", number.get_int64())
                       : number.is_uint64() ? fmt::format("{}", number.get_uint64())
                                            : fmt::format("{}", number.get_double());
    Decimal decimal;
    if (text.starts_with('-')) {
        decimal.is_negative = true;
        text.erase(0, 1);
    }
    long exponent = 0;
    if (const std::size_t e = text.find('e'); e != std::string::npos) {
        exponent = std::strtol(text.c_str() + e + 1, nullptr, 10);
        text.resize(e);
    }
    const std::size_t point = std::min(text.find('.'), text.size());
    std::string digits = text.substr(0, point);
    if (point < text.size()) digits += text.substr(point + 1);
    long n_integer = static_cast<long>(point) + exponent;
    if (n_integer < 0) {
        digits.insert(0, static_cast<std::size_t>(-n_integer), '0');
        n_integer = 0;
    }
    if (static_cast<std::size_t>(n_integer) > digits.size())
        digits.append(static_cast<std::size_t>(n_integer) - digits.size(), '0');
    decimal.integer = digits.substr(0, static_cast<std::size_t>(n_integer));
    decimal.fraction = digits.substr(static_cast<std::size_t>(n_integer));
    decimal.integer.erase(0,
                          std::min(decimal.integer.find_first_not_of('0'), decimal.integer.size()));
    while (decimal.fraction.ends_with('0')) decimal.fraction.pop_back();
    if (decimal.is_zero()) decimal.is_negative = false;
    return decimal;
}

Result<Dfa> number_automaton(const NumberLimits& limits, Budget& budget) {
    std::vector<NumberLimits::Bound> bounds;
    KVASIR_TRY_VOID(add_bounds(limits.low, true, bounds));
    const std::size_t n_low = bounds.size();
    KVASIR_TRY_VOID(add_bounds(limits.high, false, bounds));
    std::size_t n_before_point = 0;
    for (const NumberLimits::Bound& bound : bounds)
        n_before_point = std::max(n_before_point, bound.value.integer.size());
    const auto room = static_cast<unsigned>(kMaxDigits - n_before_point);
    const unsigned max_fraction = limits.is_integer ? 0 : room;
    KVASIR_TRY(Dfa numbers, NumberBuilder(bounds, n_low, max_fraction, 1, 0).run(budget));
    for (const Decimal& multiple : limits.multiples) {
        constexpr std::size_t kMaxDivisorDigits = 6;
        const std::string digits = multiple.integer + multiple.fraction;
        const auto scale = static_cast<unsigned>(multiple.fraction.size());
        if (digits.size() > kMaxDivisorDigits)
            return Error{ErrorCode::unsupported, "a divisor of more than 6 digits"};
        std::uint32_t modulus = 0;
        std::from_chars(digits.data(), digits.data() + digits.size(), modulus);
        std::uint32_t fives = 1;
        for (unsigned i = 0; i < scale; ++i) fives *= 5;
        if (modulus % fives != 0) {
            return Error{ErrorCode::unsupported,
                         "a divisor that no binary fraction equals, which validators disagree on"};
        }
        const unsigned n_fraction = limits.is_integer ? 0 : std::min(scale, room);
        KVASIR_TRY(const Dfa divisible,
                   NumberBuilder({}, 0, n_fraction, modulus, scale).run(budget));
        KVASIR_TRY(numbers, intersect(numbers, divisible, budget));
    }
    return numbers;
}

}  // namespace kvasir::grammar
