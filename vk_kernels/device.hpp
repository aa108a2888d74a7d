// Device: the Vulkan instance, one logical device with one compute queue, and the pipeline cache on
// disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>
#include <vulkan/vulkan_core.h>

#include "config/base/error.hpp"
#include "vk_kernels/handle.hpp"
#include "vk_kernels/pipeline.hpp"

namespace kvasir::gpu {

struct DeviceOptions {
    std::string name;         // part of a device's name, or its index; empty: the best there is
    bool validation = false;  // VK_LAYER_KHRONOS_validation with synchronization validation
    std::filesystem::path pipeline_cache_dir;  // empty: no cache on disk
};

/// What kernels may ask about; a portable shader works with the smallest values Vulkan allows.
struct DeviceLimits {
    std::uint32_t max_workgroup_threads = 0;
    std::uint32_t max_workgroup_count_y = 0;
    std::uint32_t max_shared_bytes = 0;
    std::uint64_t max_binding_bytes = 0;  // maxStorageBufferRange, rounded down to 4 KiB
    std::uint64_t binding_alignment = 0;  // minStorageBufferOffsetAlignment
    std::uint64_t max_texel_elements = 0;
    std::uint32_t subgroup_size = 0;
    // Every subgroup has subgroup_size lanes and may shuffle: kernels may pass values through
    // registers.
    bool has_fixed_subgroup = false;
    bool is_cpu = false;  // a software device: loads cost, arithmetic hardly, dispatches 12 us
};

/// One entry of `Device::list`, best first.
struct DeviceSummary {
    std::uint32_t index = 0;
    std::string name;
    std::string kind;  // discrete, integrated, virtual, cpu, other
    std::string driver;
};

/// Not thread-safe except where said; one thread owns it. Everything created from it must die
/// before it.
class Device {
public:
    /// Errors: unsupported (no Vulkan driver, none of that name, too old: the message says what to
    /// install), io.
    static Result<std::unique_ptr<Device>> create(const DeviceOptions& options);
    static Result<std::vector<DeviceSummary>> list();
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    VkDevice handle() const { return device_; }
    VkPhysicalDevice physical() const { return physical_; }
    VkQueue queue() const { return queue_; }
    std::uint32_t queue_family() const { return queue_family_; }
    VkPipelineCache pipeline_cache() const { return pipeline_cache_.get(); }
    const DeviceLimits& limits() const { return limits_; }
    const std::string& name() const { return name_; }
    /// Name, driver and versions: part of the numerics fingerprint of a page.
    const std::string& fingerprint() const { return fingerprint_; }
    /// Of all kernels created so far, their code and constants: another part. In no order.
    std::uint64_t kernels_fingerprint() const { return kernels_fingerprint_; }
    void note_kernel(std::uint64_t hash) { kernels_fingerprint_ += hash; }
    /// By the hash of code and constants: drivers take up to half a second to make one, so each is
    /// made once and kept as long as the device. nullptr: not made yet.
    const Pipeline* find_pipeline(std::uint64_t hash) const {
        const auto found = pipelines_.find(hash);
        return found == pipelines_.end() ? nullptr : &found->second;
    }
    const Pipeline* keep_pipeline(std::uint64_t hash, Pipeline pipeline) {
        return &pipelines_.emplace(hash, std::move(pipeline)).first->second;
    }

    /// Index of a memory type with all of `wanted`, preferring those that also have `preferred`.
    /// Errors: unsupported.
    Result<std::uint32_t> find_memory_type(std::uint32_t type_bits, VkMemoryPropertyFlags wanted,
                                           VkMemoryPropertyFlags preferred) const;
    /// Bytes of the heap that memory of this type comes from.
    std::uint64_t heap_bytes(std::uint32_t memory_type) const;
    /// Bytes of device-local memory, all heaps.
    std::uint64_t local_memory_bytes() const;
    /// Bytes allocated through this device now, as the driver was asked for them. Any thread.
    std::uint64_t allocated_bytes() const {
        return allocated_bytes_.load(std::memory_order_relaxed);
    }
    void count_allocation(std::int64_t bytes) {
        allocated_bytes_ += static_cast<std::uint64_t>(bytes);
    }

    /// Warnings and errors the validation layer has printed; tests expect 0. Any thread.
    std::uint64_t n_validation_messages() const {
        return n_validation_messages_.load(std::memory_order_relaxed);
    }

    /// Writes the pipeline cache to disk if it grew. Errors: io.
    Result<> save_pipeline_cache();

private:
    Device() = default;
    Result<> create_instance(bool validation);
    Result<> choose_physical(const std::string& wanted);
    Result<> create_logical();
    Result<> open_pipeline_cache(const std::filesystem::path& dir);

    // Destroyed by hand in ~Device, in reverse order.
    VkInstance instance_ = VK_NULL_HANDLE;
    VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
    VkPhysicalDevice physical_ = VK_NULL_HANDLE;
    VkDevice device_ = VK_NULL_HANDLE;
    VkQueue queue_ = VK_NULL_HANDLE;
    std::uint32_t queue_family_ = 0;
    VkPhysicalDeviceMemoryProperties memory_{};
    DeviceLimits limits_;
    std::string name_;
    std::string fingerprint_;
    std::uint64_t kernels_fingerprint_ = 0;
    std::map<std::uint64_t, Pipeline> pipelines_;
    Handle<VkPipelineCache, vkDestroyPipelineCache> pipeline_cache_;
    std::filesystem::path pipeline_cache_file_;
    std::size_t pipeline_cache_bytes_on_disk_ = 0;
    std::atomic<std::uint64_t> allocated_bytes_{0};
    std::atomic<std::uint64_t> n_validation_messages_{0};
};

}  // namespace kvasir::gpu
