// safetensors: a JSON header of names, types, shapes and byte ranges, then the bytes. Refuses
// whatever contradicts itself.
// Source: huggingface/safetensors, README, "Format".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"
#include "quant/format.hpp"

namespace kvasir {

struct SafetensorsEntry {
    std::string name;
    std::string dtype;                 // as the file says it: "BF16"
    const FormatInfo* format;          // nullptr: no type that weights have here
    std::vector<std::uint64_t> shape;  // outermost first; empty: one number
    std::span<const std::byte> data;   // whole tensor, its length checked against shape and type
};

/// The tensors of a file's bytes, which outlive them; subject: the file, in messages. Names are
/// told apart, data neither overlap nor leave holes. Errors: corrupt, too_large (over our limits),
/// unsupported (a type that this build has never heard of).
Result<std::vector<SafetensorsEntry>> read_safetensors(std::span<const std::byte> bytes,
                                                       std::string_view subject);

}  // namespace kvasir
