#include "vk_kernels/kernel.hpp"

#include <array>
#include <fmt/format.h>
#include <initializer_list>
#include <vector>

#include "vk_kernels/spirv_reflect.hpp"
#include "vk_kernels/vk_check.hpp"

namespace kvasir::gpu {
namespace {

Result<> compare_interface(std::string_view name, const SpirvInterface& found,
                           std::uint32_t push_bytes, std::uint32_t n_bindings,
                           std::uint32_t n_specs) {
    const std::uint32_t bindings = (1U << n_bindings) - 1;
    const std::uint32_t specs = (1U << n_specs) - 1;
    if (found.push_bytes == push_bytes && found.binding_mask == bindings &&
        found.spec_mask == specs)
        return {};
    return Error{
        ErrorCode::unsupported,
        fmt::format(
            "{}: shader and host interface differ: push {} bytes, expected {}; bindings {:#x}, "
            "expected {:#x}; spec constants {:#x}, expected {:#x}",
            name, found.push_bytes, push_bytes, found.binding_mask, bindings, found.spec_mask,
            specs)};
}

/// FNV-1a over words, its bits spread, so that sums of hashes differ.
std::uint64_t hash_of(std::initializer_list<std::span<const std::uint32_t>> parts) {
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (const std::span<const std::uint32_t> words : parts)
        for (const std::uint32_t word : words) hash = (hash ^ word) * 0x100000001b3ULL;
    hash = (hash ^ (hash >> 32U)) * 0x9e3779b97f4a7c15ULL;
    return hash ^ (hash >> 29U);
}

}  // namespace

Result<> KernelBase::create(Device& device, std::string_view name,
                            std::span<const std::uint32_t> spirv, std::uint32_t push_bytes,
                            std::uint32_t n_bindings, const TexelBindings& texels,
                            std::span<const std::uint32_t> specs) {
    KVASIR_TRY(const SpirvInterface found, reflect_spirv(spirv));
    KVASIR_TRY_VOID(compare_interface(name, found, push_bytes, n_bindings,
                                      static_cast<std::uint32_t>(specs.size())));
    const std::array<std::uint32_t, 2> texel_words{texels.quads, texels.words};
    const std::uint64_t hash = hash_of({spirv, specs, texel_words});
    device.note_kernel(hash);
    pipeline_ = device.find_pipeline(hash);
    if (pipeline_ != nullptr) return {};

    std::vector<VkDescriptorSetLayoutBinding> bindings;
    for (std::uint32_t i = 0; i < n_bindings; ++i) {
        const bool is_texels = ((texels.quads | texels.words) >> i & 1U) != 0;
        bindings.push_back({i,
                            is_texels ? VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER
                                      : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                            1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr});
    }
    const VkDescriptorSetLayoutCreateInfo set_info{
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = n_bindings,
        .pBindings = bindings.data()};
    VkDescriptorSetLayout set_layout = VK_NULL_HANDLE;
    KVASIR_TRY_VOID(
        check(vkCreateDescriptorSetLayout(device.handle(), &set_info, nullptr, &set_layout),
              "vkCreateDescriptorSetLayout"));
    Pipeline made{.texels = texels};
    made.set_layout = {device.handle(), set_layout};

    const VkPushConstantRange push{VK_SHADER_STAGE_COMPUTE_BIT, 0, push_bytes};
    const VkPipelineLayoutCreateInfo layout_info{
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .setLayoutCount = 1,
        .pSetLayouts = &set_layout,
        .pushConstantRangeCount = 1,
        .pPushConstantRanges = &push};
    VkPipelineLayout layout = VK_NULL_HANDLE;
    KVASIR_TRY_VOID(check(vkCreatePipelineLayout(device.handle(), &layout_info, nullptr, &layout),
                          "vkCreatePipelineLayout"));
    made.layout = {device.handle(), layout};

    const VkShaderModuleCreateInfo module_info{.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                               .codeSize = spirv.size_bytes(),
                                               .pCode = spirv.data()};
    VkShaderModule module = VK_NULL_HANDLE;
    KVASIR_TRY_VOID(check(vkCreateShaderModule(device.handle(), &module_info, nullptr, &module),
                          "vkCreateShaderModule"));
    const Handle<VkShaderModule, vkDestroyShaderModule> module_owner(device.handle(), module);

    std::vector<VkSpecializationMapEntry> entries;
    for (std::uint32_t i = 0; i < specs.size(); ++i) entries.push_back({i, i * 4, 4});
    const VkSpecializationInfo specialization{static_cast<std::uint32_t>(entries.size()),
                                              entries.data(), specs.size_bytes(), specs.data()};
    const VkComputePipelineCreateInfo info{
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &specialization},
        .layout = layout};
    VkPipeline pipeline = VK_NULL_HANDLE;
    KVASIR_TRY_VOID(check(vkCreateComputePipelines(device.handle(), device.pipeline_cache(), 1,
                                                   &info, nullptr, &pipeline),
                          "vkCreateComputePipelines"));
    made.pipeline = {device.handle(), pipeline};
    pipeline_ = device.keep_pipeline(hash, std::move(made));
    return {};
}

}  // namespace kvasir::gpu
