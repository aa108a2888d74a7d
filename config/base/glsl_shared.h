// Lets one header be C++ and GLSL: between SHARED_BEGIN and SHARED_END only 4-byte scalars (uint, int, float),
// constants and functions that both languages read alike.
#ifndef KVASIR_CONFIG_BASE_GLSL_SHARED_H
#define KVASIR_CONFIG_BASE_GLSL_SHARED_H
#ifdef __cplusplus
#include <bit>
#include <cstdint>
namespace kvasir::shared {
using uint = std::uint32_t;
inline uint floatBitsToUint(float value) { return std::bit_cast<uint>(value); }
inline float uintBitsToFloat(uint bits) { return std::bit_cast<float>(bits); }
}  // namespace kvasir::shared
#define SHARED_BEGIN namespace kvasir::shared {
#define SHARED_END }
#define SHARED_FUNCTION inline
#else
#define SHARED_BEGIN
#define SHARED_END
#define SHARED_FUNCTION
#endif
#endif
