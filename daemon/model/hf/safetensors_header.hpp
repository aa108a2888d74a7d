// The JSON header of a safetensors file, event by event: Boost.JSON's document would keep one of
// two tensors of the same name and not tell.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir {

struct SafetensorsHeaderEntry {
    std::string name;
    std::string dtype;
    std::vector<std::uint64_t> shape;
    std::uint64_t begin = 0;  // bytes from the end of the header
    std::uint64_t end = 0;
};

/// In the order of the file. Errors: corrupt (no such JSON, members missing, twice or unknown),
/// too_large (over our limits).
Result<std::vector<SafetensorsHeaderEntry>> parse_safetensors_header(std::string_view text);

}  // namespace kvasir
