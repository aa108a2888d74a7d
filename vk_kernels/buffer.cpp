#include "vk_kernels/buffer.hpp"

#include <fmt/format.h>
#include <utility>

#include "vk_kernels/vk_check.hpp"

namespace kvasir::gpu {
namespace {

using View = Handle<VkBufferView, vkDestroyBufferView>;

Result<View> create_view(const Device& device, VkBuffer buffer, std::uint64_t bytes,
                         VkFormat format) {
    const VkBufferViewCreateInfo info{.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                      .buffer = buffer,
                                      .format = format,
                                      .range = bytes};
    VkBufferView view = VK_NULL_HANDLE;
    KVASIR_TRY_VOID(
        check(vkCreateBufferView(device.handle(), &info, nullptr, &view), "vkCreateBufferView"));
    return View(device.handle(), view);
}

}  // namespace

Result<Buffer> Buffer::create(Device& device, std::uint64_t bytes, BufferDomain domain) {
    if (bytes == 0)
        return Error{ErrorCode::invalid_argument, "buffer: 0 bytes asked for, expected at least 1"};
    const auto too_much = [&](const Error& error) {
        return Error{error.code, fmt::format("{} ({} bytes asked for, {} bytes taken before)",
                                             error.message, bytes, device.allocated_bytes())};
    };
    Buffer result;
    const VkBufferCreateInfo info{
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = bytes,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT,
        .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    VkBuffer buffer = VK_NULL_HANDLE;
    if (const auto created =
            check(vkCreateBuffer(device.handle(), &info, nullptr, &buffer), "vkCreateBuffer");
        created.has_error()) {
        return too_much(created.error());
    }
    result.buffer_ = {device.handle(), buffer};

    VkMemoryRequirements needs{};
    vkGetBufferMemoryRequirements(device.handle(), buffer, &needs);
    VkMemoryPropertyFlags wanted = 0;
    VkMemoryPropertyFlags preferred = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    if (domain != BufferDomain::device) {
        wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
        preferred =
            domain == BufferDomain::readback ? wanted | VK_MEMORY_PROPERTY_HOST_CACHED_BIT : wanted;
    }
    KVASIR_TRY(const std::uint32_t type,
               device.find_memory_type(needs.memoryTypeBits, wanted, preferred));
    // A driver need not check an allocation against its heap.
    if (needs.size > device.heap_bytes(type)) {
        return too_much(
            {ErrorCode::exhausted, fmt::format("device \"{}\": the memory is {} bytes",
                                               device.name(), device.heap_bytes(type))});
    }
    const VkMemoryAllocateInfo allocate{.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                        .allocationSize = needs.size,
                                        .memoryTypeIndex = type};
    VkDeviceMemory memory = VK_NULL_HANDLE;
    if (const auto allocated = check(vkAllocateMemory(device.handle(), &allocate, nullptr, &memory),
                                     "vkAllocateMemory");
        allocated.has_error()) {
        return too_much(allocated.error());
    }
    result.memory_ = {device.handle(), memory};
    result.device_ = &device;
    result.bytes_ = bytes;
    result.allocated_ = needs.size;
    device.count_allocation(static_cast<std::int64_t>(needs.size));
    KVASIR_TRY_VOID(
        check(vkBindBufferMemory(device.handle(), buffer, memory, 0), "vkBindBufferMemory"));
    // Kernels for CPU devices read through texels, see shaders/mat_mul.comp. Every device must
    // offer these formats.
    if (device.limits().is_cpu && bytes % 16 == 0 &&
        bytes / 4 <= device.limits().max_texel_elements) {
        KVASIR_TRY(result.quads_, create_view(device, buffer, bytes, VK_FORMAT_R32G32B32A32_UINT));
        KVASIR_TRY(result.words_, create_view(device, buffer, bytes, VK_FORMAT_R32_UINT));
    }
    if (domain != BufferDomain::device) {
        void* address = nullptr;
        KVASIR_TRY_VOID(check(vkMapMemory(device.handle(), memory, 0, VK_WHOLE_SIZE, 0, &address),
                              "vkMapMemory"));
        result.mapped_ = {static_cast<std::byte*>(address), static_cast<std::size_t>(bytes)};
    }
    return result;
}

Buffer::Buffer(Buffer&& other) noexcept
    : device_(std::exchange(other.device_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      allocated_(std::exchange(other.allocated_, 0)),
      mapped_(std::exchange(other.mapped_, {})),
      memory_(std::move(other.memory_)),
      buffer_(std::move(other.buffer_)),
      quads_(std::move(other.quads_)),
      words_(std::move(other.words_)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(bytes_, other.bytes_);
    std::swap(allocated_, other.allocated_);
    std::swap(mapped_, other.mapped_);
    std::swap(memory_, other.memory_);
    std::swap(buffer_, other.buffer_);
    std::swap(quads_, other.quads_);
    std::swap(words_, other.words_);
    return *this;
}

Buffer::~Buffer() {
    if (device_ != nullptr) device_->count_allocation(-static_cast<std::int64_t>(allocated_));
}

}  // namespace kvasir::gpu
