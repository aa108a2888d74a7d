// Weight formats by name, and blocks of random bits in them.
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <random>
#include <span>
#include <string_view>

#include "quant/format.hpp"

namespace kvasir::test {

inline const FormatInfo& format_named(std::string_view name) {
    for (const FormatInfo& format : all_formats())
        if (format.name == name) return format;
    BOOST_FAIL("no format " << name);
    std::abort();
}

/// How large the largest value of a block may be; infinite, or not a number, counts as infinite.
struct BlockRange {
    float least = 0;
    float most = std::numeric_limits<float>::infinity();
};

/// Random bits, drawn until the values they stand for are in range: works for any format, without
/// knowing where its scales lie. values: what they stand for.
inline void draw_block(const FormatInfo& format, std::span<std::byte> block,
                       std::span<float> values, std::mt19937& random, const BlockRange& range) {
    float largest = 0;
    do {
        for (std::byte& byte : block) byte = static_cast<std::byte>(random() & 0xffU);
        format.decode_block(block, values);
        largest = 0;
        for (const float x : values)
            largest = std::isfinite(x) ? std::max(largest, std::abs(x)) : INFINITY;
    } while (!(largest >= range.least && largest <= range.most));
}

}  // namespace kvasir::test
