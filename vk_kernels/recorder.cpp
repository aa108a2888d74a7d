#include "vk_kernels/recorder.hpp"

#include <array>

#include "config/base/check.hpp"
#include "vk_kernels/vk_check.hpp"

namespace kvasir::gpu {
namespace {

constexpr std::uint32_t kSetsPerPool = 512;
constexpr std::uint32_t kMaxBindings = 12;
constexpr std::uint32_t kMaxTexelBindings = 8;

}  // namespace

Result<std::unique_ptr<Recorder>> Recorder::create(Device& device) {
    std::unique_ptr<Recorder> recorder(new Recorder(device));
    const VkCommandPoolCreateInfo pool{.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                       .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
                                       .queueFamilyIndex = device.queue_family()};
    VkCommandPool command_pool = VK_NULL_HANDLE;
    KVASIR_TRY_VOID(check(vkCreateCommandPool(device.handle(), &pool, nullptr, &command_pool),
                          "vkCreateCommandPool"));
    recorder->command_pool_ = {device.handle(), command_pool};
    const VkCommandBufferAllocateInfo allocate{
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = command_pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1};
    KVASIR_TRY_VOID(
        check(vkAllocateCommandBuffers(device.handle(), &allocate, &recorder->commands_),
              "vkAllocateCommandBuffers"));
    const VkFenceCreateInfo fence_info{.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkFence fence = VK_NULL_HANDLE;
    KVASIR_TRY_VOID(
        check(vkCreateFence(device.handle(), &fence_info, nullptr, &fence), "vkCreateFence"));
    recorder->fence_ = {device.handle(), fence};
    KVASIR_TRY_VOID(recorder->add_pool());
    return recorder;
}

Result<> Recorder::add_pool() {
    const std::array sizes = {
        VkDescriptorPoolSize{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, kSetsPerPool * kMaxBindings},
        VkDescriptorPoolSize{VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER,
                             kSetsPerPool * kMaxTexelBindings}};
    const VkDescriptorPoolCreateInfo info{.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                          .maxSets = kSetsPerPool,
                                          .poolSizeCount = static_cast<std::uint32_t>(sizes.size()),
                                          .pPoolSizes = sizes.data()};
    VkDescriptorPool pool = VK_NULL_HANDLE;
    KVASIR_TRY_VOID(check(vkCreateDescriptorPool(device_.handle(), &info, nullptr, &pool),
                          "vkCreateDescriptorPool"));
    pools_.emplace_back(device_.handle(), pool);
    return {};
}

Result<> Recorder::begin() {
    failed_ = {};
    n_dispatches_ = 0;
    current_pool_ = 0;
    for (const auto& pool : pools_) {
        KVASIR_TRY_VOID(
            check(vkResetDescriptorPool(device_.handle(), pool.get(), 0), "vkResetDescriptorPool"));
    }
    KVASIR_TRY_VOID(
        check(vkResetCommandPool(device_.handle(), command_pool_.get(), 0), "vkResetCommandPool"));
    const VkCommandBufferBeginInfo info{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                        .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    return check(vkBeginCommandBuffer(commands_, &info), "vkBeginCommandBuffer");
}

VkDescriptorSet Recorder::allocate_set(VkDescriptorSetLayout layout) {
    for (;;) {
        const VkDescriptorSetAllocateInfo info{
            .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
            .descriptorPool = pools_[current_pool_].get(),
            .descriptorSetCount = 1,
            .pSetLayouts = &layout};
        VkDescriptorSet set = VK_NULL_HANDLE;
        if (n_dispatches_ < kSetsPerPool * (current_pool_ + 1)) {
            failed_ = check(vkAllocateDescriptorSets(device_.handle(), &info, &set),
                            "vkAllocateDescriptorSets");
            return set;
        }
        if (++current_pool_ == pools_.size()) {
            failed_ = add_pool();
            if (failed_.has_error()) return VK_NULL_HANDLE;
        }
    }
}

void Recorder::dispatch(const Pipeline& pipeline, std::span<const Slice> bindings,
                        std::span<const std::byte> push, std::uint32_t groups_x,
                        std::uint32_t groups_y, std::uint32_t groups_z) {
    KVASIR_CHECK(bindings.size() <= kMaxBindings, "a kernel binds at most kMaxBindings buffers");
    if (failed_.has_error() || groups_x == 0 || groups_y == 0 || groups_z == 0) return;
    const VkDescriptorSet set = allocate_set(pipeline.set_layout.get());
    if (set == VK_NULL_HANDLE) return;
    const TexelBindings& texels = pipeline.texels;
    const VkPipelineLayout layout = pipeline.layout.get();
    std::array<VkDescriptorBufferInfo, kMaxBindings> buffers;
    std::array<VkWriteDescriptorSet, kMaxBindings> writes;
    for (std::uint32_t i = 0; i < bindings.size(); ++i) {
        buffers[i] = {bindings[i].buffer, bindings[i].offset, bindings[i].bytes};
        const bool is_texels = ((texels.quads | texels.words) >> i & 1U) != 0;
        const VkBufferView* view =
            (texels.quads >> i & 1U) != 0 ? &bindings[i].quads : &bindings[i].words;
        KVASIR_CHECK(!is_texels || *view != VK_NULL_HANDLE, "a texel binding takes a whole buffer");
        writes[i] = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                     .dstSet = set,
                     .dstBinding = i,
                     .descriptorCount = 1,
                     .descriptorType = is_texels ? VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER
                                                 : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                     .pBufferInfo = &buffers[i],
                     .pTexelBufferView = view};
    }
    vkUpdateDescriptorSets(device_.handle(), static_cast<std::uint32_t>(bindings.size()),
                           writes.data(), 0, nullptr);
    vkCmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.pipeline.get());
    vkCmdBindDescriptorSets(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0,
                            nullptr);
    vkCmdPushConstants(commands_, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                       static_cast<std::uint32_t>(push.size()), push.data());
    vkCmdDispatch(commands_, groups_x, groups_y, groups_z);
    ++n_dispatches_;
    barrier();
}

void Recorder::copy(const Slice& from, const Slice& to) {
    KVASIR_CHECK(from.bytes == to.bytes, "a copy's two slices are of one size");
    const VkBufferCopy region{from.offset, to.offset, from.bytes};
    vkCmdCopyBuffer(commands_, from.buffer, to.buffer, 1, &region);
    barrier();
}

void Recorder::fill_zero(const Slice& what) {
    vkCmdFillBuffer(commands_, what.buffer, what.offset, what.bytes, 0);
    barrier();
}

void Recorder::barrier() {
    const VkMemoryBarrier memory{
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                         VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
    constexpr VkPipelineStageFlags kStages =
        VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    vkCmdPipelineBarrier(commands_, kStages, kStages, 0, 1, &memory, 0, nullptr, 0, nullptr);
}

Result<> Recorder::submit_and_wait() {
    const VkMemoryBarrier to_host{
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    vkCmdPipelineBarrier(commands_,
                         VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                         VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &to_host, 0, nullptr, 0, nullptr);
    KVASIR_TRY_VOID(check(vkEndCommandBuffer(commands_), "vkEndCommandBuffer"));
    KVASIR_TRY_VOID(failed_);
    const VkSubmitInfo submit{.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                              .commandBufferCount = 1,
                              .pCommandBuffers = &commands_};
    const VkFence fence = fence_.get();
    KVASIR_TRY_VOID(check(vkQueueSubmit(device_.queue(), 1, &submit, fence), "vkQueueSubmit"));
    // No deadline: a prefill chunk on a slow CPU device takes as long as it takes; a hung GPU is
    // reported as lost.
    KVASIR_TRY_VOID(check(vkWaitForFences(device_.handle(), 1, &fence, VK_TRUE, UINT64_MAX),
                          "vkWaitForFences"));
    return check(vkResetFences(device_.handle(), 1, &fence), "vkResetFences");
}

}  // namespace kvasir::gpu
