// Buffer: a storage buffer with memory of its own; Slice: a range of one, what a kernel binds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "config/base/error.hpp"
#include "vk_kernels/device.hpp"

namespace kvasir::gpu {

/// Where a buffer lives and who touches it.
enum class BufferDomain {
    device,    // device-local; the host cannot see it (maybe mapped all the same on unified memory)
    upload,    // host writes, device reads
    readback,  // device writes, host reads: host-cached
};

/// A bound range. bytes <= DeviceLimits::max_binding_bytes; offset is a multiple of
/// binding_alignment.
struct Slice {
    VkBuffer buffer = VK_NULL_HANDLE;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    // The same bytes as texels, of four words and of one; whole buffers on CPU devices only.
    VkBufferView quads = VK_NULL_HANDLE;
    VkBufferView words = VK_NULL_HANDLE;
};

/// Owns buffer and memory. Move-only. REQUIRES: the GPU is done with it when it dies.
class Buffer {
public:
    Buffer() = default;
    /// Memory is zeroed only where the driver does it. Errors: exhausted, unsupported,
    /// invalid_argument (0 bytes).
    static Result<Buffer> create(Device& device, std::uint64_t bytes, BufferDomain domain);
    Buffer(Buffer&& other) noexcept;
    Buffer& operator=(Buffer&& other) noexcept;
    ~Buffer();

    std::uint64_t bytes() const { return bytes_; }
    /// The whole buffer. REQUIRES: bytes() fits a binding.
    Slice slice() const { return {buffer_.get(), 0, bytes_, quads_.get(), words_.get()}; }
    Slice slice(std::uint64_t offset, std::uint64_t bytes) const {
        return {buffer_.get(), offset, bytes};
    }
    VkBuffer handle() const { return buffer_.get(); }
    explicit operator bool() const { return static_cast<bool>(buffer_); }

    /// Host view; empty for BufferDomain::device. Memory is coherent.
    std::span<std::byte> mapped() const { return mapped_; }
    template <class T>
    std::span<T> mapped_as() const {
        return {reinterpret_cast<T*>(mapped_.data()), mapped_.size() / sizeof(T)};
    }

private:
    Device* device_ = nullptr;
    std::uint64_t bytes_ = 0;
    std::uint64_t allocated_ = 0;
    std::span<std::byte> mapped_;
    Handle<VkDeviceMemory, vkFreeMemory> memory_;  // outlives buffer_
    Handle<VkBuffer, vkDestroyBuffer> buffer_;
    Handle<VkBufferView, vkDestroyBufferView> quads_;
    Handle<VkBufferView, vkDestroyBufferView> words_;
};

}  // namespace kvasir::gpu
