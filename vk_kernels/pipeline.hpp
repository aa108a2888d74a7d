// Pipeline: what a kernel is dispatched with. The device owns it.
#pragma once

#include <cstdint>

#include "vk_kernels/handle.hpp"

namespace kvasir::gpu {

/// Which bindings a shader declares as a usamplerBuffer instead of a storage buffer: bit b for
/// binding b.
struct TexelBindings {
    std::uint32_t quads = 0;  // texels of four words
    std::uint32_t words = 0;  // texels of one word
};

struct Pipeline {
    TexelBindings texels;
    Handle<VkDescriptorSetLayout, vkDestroyDescriptorSetLayout> set_layout;
    Handle<VkPipelineLayout, vkDestroyPipelineLayout> layout;
    Handle<VkPipeline, vkDestroyPipeline> pipeline;
};

}  // namespace kvasir::gpu
