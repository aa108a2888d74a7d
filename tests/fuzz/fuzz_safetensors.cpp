// Any bytes as a safetensors file: refused with a reason, or tensors that lie within it.
#include <cstddef>
#include <cstdint>
#include <span>

#include "config/base/check.hpp"
#include "daemon/model/hf/safetensors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto entries = kvasir::read_safetensors(bytes, "input");
    if (entries.has_error()) {
        KVASIR_CHECK(!entries.error().message.empty(), "an error says what is wrong");
        return 0;
    }
    std::size_t n_bytes = 0;
    for (const kvasir::SafetensorsEntry& entry : *entries) {
        n_bytes += entry.data.size();
        if (entry.format == nullptr || entry.data.empty()) continue;
        const std::size_t block = entry.format->block_bytes;
        KVASIR_CHECK(entry.data.size() % block == 0, "tensors are whole elements");
        float value = 0;
        for (const std::size_t at : {std::size_t{0}, entry.data.size() - block})
            entry.format->decode_block(entry.data.subspan(at, block), {&value, 1});
    }
    KVASIR_CHECK(n_bytes <= size, "tensors do not overlap");
    return 0;
}
