#include "vk_kernels/spirv_reflect.hpp"

#include <map>
#include <vector>

namespace kvasir::gpu {
namespace {

// Source: SPIR-V specification 1.3, sections 3.32 (opcodes), 3.20 (decorations), 3.7 (storage
// classes).
enum Op : std::uint32_t {
    kOpTypeInt = 21,
    kOpTypeFloat = 22,
    kOpTypeVector = 23,
    kOpTypeStruct = 30,
    kOpTypePointer = 32,
    kOpVariable = 59,
    kOpDecorate = 71,
};
constexpr std::uint32_t kMagic = 0x07230203;
constexpr std::uint32_t kDecorationSpecId = 1;
constexpr std::uint32_t kDecorationBinding = 33;
constexpr std::uint32_t kStoragePushConstant = 9;

}  // namespace

Result<SpirvInterface> reflect_spirv(std::span<const std::uint32_t> words) {
    if (words.size() < 5 || words[0] != kMagic)
        return Error{ErrorCode::corrupt, "SPIR-V: magic number missing"};
    SpirvInterface found;
    std::map<std::uint32_t, std::uint32_t>
        type_bytes;  // type id -> bytes; shared headers hold only 4-byte scalars
    std::map<std::uint32_t, std::uint32_t> pointee;  // push-constant pointer type id -> type id
    std::uint32_t push_type = 0;
    for (std::size_t at = 5; at < words.size();) {
        const std::uint32_t n = words[at] >> 16;
        const std::uint32_t op = words[at] & 0xffffU;
        if (n == 0 || at + n > words.size())
            return Error{ErrorCode::corrupt, "SPIR-V: truncated instruction"};
        const auto operand = words.subspan(at + 1, n - 1);
        at += n;
        if (op == kOpDecorate && operand.size() == 3) {
            if (operand[1] != kDecorationBinding && operand[1] != kDecorationSpecId) continue;
            if (operand[2] > 31)
                return Error{ErrorCode::unsupported, "SPIR-V: a binding or spec id over 31"};
            (operand[1] == kDecorationBinding ? found.binding_mask : found.spec_mask) |=
                1U << operand[2];
        } else if ((op == kOpTypeInt || op == kOpTypeFloat) && operand.size() >= 2) {
            type_bytes[operand[0]] = operand[1] / 8;
        } else if (op == kOpTypeVector && operand.size() == 3) {
            type_bytes[operand[0]] = type_bytes[operand[1]] * operand[2];
        } else if (op == kOpTypeStruct && !operand.empty()) {
            std::uint32_t bytes = 0;
            for (const std::uint32_t member : operand.subspan(1)) bytes += type_bytes[member];
            type_bytes[operand[0]] = bytes;
        } else if (op == kOpTypePointer && operand.size() == 3 &&
                   operand[1] == kStoragePushConstant) {
            pointee[operand[0]] = operand[2];
        } else if (op == kOpVariable && operand.size() >= 3 && operand[2] == kStoragePushConstant) {
            push_type = pointee[operand[0]];
        }
    }
    found.push_bytes = push_type == 0 ? 0 : type_bytes[push_type];
    return found;
}

}  // namespace kvasir::gpu
