// The table of weight formats: what a tensor's type number means and how its bytes decode.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace kvasir {

enum class FormatId : std::uint32_t {};  // a GGUF tensor type number, known or not

/// A quantized block's fields, before any arithmetic; quant_format.h says what they amount to. A
/// format leaves alone what it does not have.
struct CodedBlock {
    std::array<std::uint8_t, 256> codes;       // of each element; Q8_0: an int8's bits
    std::array<std::int8_t, 16> factors;       // of each run's scale
    std::array<std::uint8_t, 16> min_factors;  // of each run's minimum
    std::uint16_t scale;                       // f16 bits; MXFP4: an exponent
    std::uint16_t minimum;                     // f16 bits
};

/// One weight format. decode_block is the reference the shaders are tested against.
struct FormatInfo {
    FormatId id;
    std::string_view name;         // as GGUF tools print it: "Q8_0"
    std::uint32_t block_elements;  // elements a block
    std::uint32_t block_bytes;     // bytes a block in the file
    void (*decode_block)(std::span<const std::byte> block, std::span<float> out);
    void (*read_block)(std::span<const std::byte> block, CodedBlock& out);  // nullptr: no codes
};

/// Every supported format; tests iterate it.
std::span<const FormatInfo> all_formats();
const FormatInfo* find_format(FormatId id);  // nullptr: not supported

}  // namespace kvasir
