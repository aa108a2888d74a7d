// VkResult -> Result.
#pragma once

#include <vulkan/vulkan_core.h>

#include "config/base/error.hpp"

namespace kvasir::gpu {

/// Out of memory -> exhausted, device lost -> device_lost, incompatible driver or missing feature
/// -> unsupported, else io.
Result<> check(VkResult result, const char* call);

}  // namespace kvasir::gpu
