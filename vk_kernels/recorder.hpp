// Recorder: one command buffer at a time, from begin() to submit_and_wait().
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vulkan/vulkan_core.h>

#include "config/base/error.hpp"
#include "vk_kernels/buffer.hpp"
#include "vk_kernels/device.hpp"

namespace kvasir::gpu {

/// Records dispatches in order. Every dispatch and copy sees what those before it wrote (a full
/// compute and transfer barrier follows each: ops of a decoder form a chain, there is little to
/// overlap). Not thread-safe. Everything recorded must live until submit_and_wait returns.
class Recorder {
public:
    static Result<std::unique_ptr<Recorder>> create(Device& device);
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    /// REQUIRES: not recording. Errors: exhausted, device_lost.
    Result<> begin();
    /// Blocks until the device is done. Also after an error nothing stays recorded. Errors:
    /// device_lost, exhausted, io.
    Result<> submit_and_wait();

    void dispatch(const Pipeline& pipeline, std::span<const Slice> bindings,
                  std::span<const std::byte> push, std::uint32_t groups_x, std::uint32_t groups_y,
                  std::uint32_t groups_z);
    void copy(const Slice& from, const Slice& to);
    void fill_zero(const Slice& what);

    Device& device() { return device_; }
    /// Dispatches since begin(): the work of a step, for tests and benchmarks.
    std::uint32_t n_dispatches() const { return n_dispatches_; }

private:
    explicit Recorder(Device& device) : device_(device) {}
    void barrier();
    VkDescriptorSet allocate_set(VkDescriptorSetLayout layout);
    Result<> add_pool();

    Device& device_;
    Handle<VkCommandPool, vkDestroyCommandPool> command_pool_;
    VkCommandBuffer commands_ = VK_NULL_HANDLE;  // of command_pool_
    Handle<VkFence, vkDestroyFence> fence_;
    std::vector<Handle<VkDescriptorPool, vkDestroyDescriptorPool>> pools_;  // all reset at begin()
    std::size_t current_pool_ = 0;
    std::uint32_t n_dispatches_ = 0;
    Result<> failed_;  // the first error while recording, reported by submit_and_wait
};

}  // namespace kvasir::gpu
