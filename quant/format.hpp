// The table of weight formats: what a tensor's type number means and how its bytes decode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace kvasir {

enum class FormatId : std::uint32_t {};  // a GGUF tensor type number, known or not

/// One weight format. decode_block is the reference the shaders are tested against.
struct FormatInfo {
    FormatId id;
    std::string_view name;         // as GGUF tools print it: "Q8_0"
    std::uint32_t block_elements;  // elements a block
    std::uint32_t block_bytes;     // bytes a block in the file
    void (*decode_block)(std::span<const std::byte> block, std::span<float> out);
};

/// Every supported format; tests iterate it.
std::span<const FormatInfo> all_formats();
const FormatInfo* find_format(FormatId id);  // nullptr: not supported

}  // namespace kvasir
