// Handle: one Vulkan object and the device it dies with. Move-only, empty when moved from.
#pragma once

#include <utility>
#include <vulkan/vulkan_core.h>

namespace kvasir::gpu {

template <class T, auto kDestroy>
class Handle {
public:
    Handle() = default;
    Handle(VkDevice device, T object) : device_(device), object_(object) {}
    Handle(Handle&& other) noexcept
        : device_(std::exchange(other.device_, VK_NULL_HANDLE)),
          object_(std::exchange(other.object_, VK_NULL_HANDLE)) {}
    Handle& operator=(Handle&& other) noexcept {
        if (this != &other) {
            reset();
            device_ = std::exchange(other.device_, VK_NULL_HANDLE);
            object_ = std::exchange(other.object_, VK_NULL_HANDLE);
        }
        return *this;
    }
    ~Handle() { reset(); }

    T get() const { return object_; }
    explicit operator bool() const { return object_ != VK_NULL_HANDLE; }

private:
    void reset() {
        if (object_ != VK_NULL_HANDLE) kDestroy(device_, object_, nullptr);
        object_ = VK_NULL_HANDLE;
    }

    VkDevice device_ = VK_NULL_HANDLE;
    T object_ = VK_NULL_HANDLE;
};

}  // namespace kvasir::gpu
