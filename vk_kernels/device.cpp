#include "vk_kernels/device.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fstream>
#include <link.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/check.hpp"
#include "vk_kernels/vk_check.hpp"

namespace kvasir::gpu {
namespace {

/// A driver or layer that is unmapped before the leak check has no name for config/lsan.supp to
/// match. Other builds let them go.
void keep_libraries_mapped() {
#ifdef __SANITIZE_ADDRESS__
    std::vector<std::string> paths;  // first: the walk holds a lock that dlopen takes
    (void)::dl_iterate_phdr(
        [](dl_phdr_info* library, std::size_t, void* into) {
            if (library->dlpi_name != nullptr && library->dlpi_name[0] == '/')
                static_cast<std::vector<std::string>*>(into)->emplace_back(library->dlpi_name);
            return 0;
        },
        &paths);
    for (const std::string& path : paths)
        (void)::dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
#endif
}

constexpr std::uint32_t kMinApiVersion = VK_API_VERSION_1_1;
constexpr const char* kValidationLayer = "VK_LAYER_KHRONOS_validation";
constexpr const char* kInstallHint =
    "install a Vulkan driver: mesa-vulkan-drivers for Intel, AMD and CPU devices, "
    "nvidia-vulkan-icd for NVIDIA";

VKAPI_ATTR VkBool32 VKAPI_CALL on_validation_message(
    VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT,
    const VkDebugUtilsMessengerCallbackDataEXT* data, void* user) {
    static_cast<std::atomic<std::uint64_t>*>(user)->fetch_add(1);
    const bool is_error = (severity & VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT) != 0;
    spdlog::log(is_error ? spdlog::level::err : spdlog::level::warn,
                "event=vulkan_validation message=\"{}\"", data->pMessage);
    return VK_FALSE;
}

const char* kind_of(VkPhysicalDeviceType type) {
    switch (type) {
        case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "discrete";
        case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated";
        case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual";
        case VK_PHYSICAL_DEVICE_TYPE_CPU: return "cpu";
        default: return "other";
    }
}

int rank_of(VkPhysicalDeviceType type) {
    switch (type) {
        case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 0;
        case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 1;
        case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 2;
        case VK_PHYSICAL_DEVICE_TYPE_CPU: return 3;
        default: return 4;
    }
}

struct Candidate {
    VkPhysicalDevice physical;
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceDriverProperties driver;
    VkPhysicalDeviceSubgroupProperties subgroup;
    VkPhysicalDeviceSubgroupSizeControlProperties subgroup_size;  // zeros before Vulkan 1.3
};

bool has_fixed_subgroup(const Candidate& c) {
    constexpr VkSubgroupFeatureFlags kNeeded =
        VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    return (c.subgroup.supportedOperations & kNeeded) == kNeeded &&
           (c.subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 &&
           c.subgroup_size.minSubgroupSize == c.subgroup.subgroupSize &&
           c.subgroup_size.maxSubgroupSize == c.subgroup.subgroupSize;
}

/// Best first; the index a user gives counts in this order.
Result<std::vector<Candidate>> candidates(VkInstance instance) {
    std::uint32_t n = 0;
    KVASIR_TRY_VOID(
        check(vkEnumeratePhysicalDevices(instance, &n, nullptr), "vkEnumeratePhysicalDevices"));
    std::vector<VkPhysicalDevice> devices(n);
    KVASIR_TRY_VOID(check(vkEnumeratePhysicalDevices(instance, &n, devices.data()),
                          "vkEnumeratePhysicalDevices"));
    std::vector<Candidate> found;
    for (VkPhysicalDevice physical : devices) {
        Candidate c{.physical = physical};
        vkGetPhysicalDeviceProperties(physical, &c.properties);
        if (c.properties.apiVersion < kMinApiVersion) continue;
        c.subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
        c.driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
        VkPhysicalDeviceProperties2 all{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                        .pNext = &c.subgroup};
        c.subgroup_size = {.sType =
                               VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
        if (c.properties.apiVersion >= VK_API_VERSION_1_2) c.subgroup.pNext = &c.driver;
        if (c.properties.apiVersion >= VK_API_VERSION_1_3) c.driver.pNext = &c.subgroup_size;
        vkGetPhysicalDeviceProperties2(physical, &all);
        found.push_back(c);
    }
    if (found.empty()) {
        return Error{ErrorCode::unsupported,
                     n == 0 ? fmt::format("no Vulkan device found: {}", kInstallHint)
                            : fmt::format("{} Vulkan device(s) found, none with Vulkan 1.1: {}", n,
                                          kInstallHint)};
    }
    std::stable_sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) {
        return rank_of(a.properties.deviceType) < rank_of(b.properties.deviceType);
    });
    return found;
}

std::vector<char> read_whole(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool contains_ignoring_case(std::string_view text, std::string_view part) {
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    return std::search(text.begin(), text.end(), part.begin(), part.end(),
                       [&](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

}  // namespace

Result<> check(VkResult result, const char* call) {
    switch (result) {
        case VK_SUCCESS: return {};
        case VK_ERROR_OUT_OF_HOST_MEMORY:
        case VK_ERROR_OUT_OF_POOL_MEMORY:
        case VK_ERROR_FRAGMENTED_POOL:
        case VK_ERROR_OUT_OF_DEVICE_MEMORY:
            return Error{ErrorCode::exhausted,
                         fmt::format("{}: out of memory ({})", call, static_cast<int>(result))};
        case VK_ERROR_DEVICE_LOST:
            return Error{ErrorCode::device_lost, fmt::format("{}: the device is lost", call)};
        case VK_ERROR_INCOMPATIBLE_DRIVER:
            return Error{ErrorCode::unsupported,
                         fmt::format("{}: no usable Vulkan driver: {}", call, kInstallHint)};
        case VK_ERROR_LAYER_NOT_PRESENT:
            return Error{ErrorCode::unsupported,
                         fmt::format("{}: layer {} is missing: install vulkan-validationlayers",
                                     call, kValidationLayer)};
        case VK_ERROR_FEATURE_NOT_PRESENT:
        case VK_ERROR_EXTENSION_NOT_PRESENT:
            return Error{ErrorCode::unsupported,
                         fmt::format("{}: not offered ({})", call, static_cast<int>(result))};
        default:
            return Error{ErrorCode::io,
                         fmt::format("{}: VkResult {}", call, static_cast<int>(result))};
    }
}

Result<> Device::create_instance(bool validation) {
    const VkApplicationInfo app{.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                .pApplicationName = "kvasir",
                                .applicationVersion = 1,
                                .apiVersion = VK_API_VERSION_1_3};
    const VkValidationFeatureEnableEXT enabled =
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    const VkDebugUtilsMessengerCreateInfoEXT messenger{
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = on_validation_message,
        .pUserData = &n_validation_messages_};
    const VkValidationFeaturesEXT features{.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                           .enabledValidationFeatureCount = 1,
                                           .pEnabledValidationFeatures = &enabled};
    const char* extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    VkInstanceCreateInfo info{.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                              .pApplicationInfo = &app};
    if (validation) {
        info.pNext = &features;
        info.enabledLayerCount = 1;
        info.ppEnabledLayerNames = &kValidationLayer;
        info.enabledExtensionCount = 1;
        info.ppEnabledExtensionNames = &extension;
    }
    KVASIR_TRY_VOID(check(vkCreateInstance(&info, nullptr, &instance_), "vkCreateInstance"));
    keep_libraries_mapped();
    if (validation) {
        const auto create = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
            vkGetInstanceProcAddr(instance_, "vkCreateDebugUtilsMessengerEXT"));
        if (create == nullptr) {
            return Error{ErrorCode::unsupported,
                         "validation: vkCreateDebugUtilsMessengerEXT is missing"};
        }
        KVASIR_TRY_VOID(check(create(instance_, &messenger, nullptr, &messenger_),
                              "vkCreateDebugUtilsMessengerEXT"));
    }
    return {};
}

Result<> Device::choose_physical(const std::string& wanted) {
    KVASIR_TRY(const auto found, candidates(instance_));
    const Candidate* chosen = nullptr;
    std::size_t index = 0;
    const auto [end, parse_error] =
        std::from_chars(wanted.data(), wanted.data() + wanted.size(), index);
    if (wanted.empty()) {
        chosen = found.data();
    } else if (parse_error == std::errc{} && end == wanted.data() + wanted.size()) {
        if (index < found.size()) chosen = &found[index];
    } else {
        for (const Candidate& c : found) {
            if (chosen == nullptr && contains_ignoring_case(c.properties.deviceName, wanted))
                chosen = &c;
        }
    }
    if (chosen == nullptr) {
        std::string names;
        for (const Candidate& c : found)
            names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", c.properties.deviceName);
        return Error{ErrorCode::unsupported,
                     fmt::format("device \"{}\": not found; there are {}", wanted, names)};
    }
    physical_ = chosen->physical;
    const VkPhysicalDeviceProperties& p = chosen->properties;
    name_ = p.deviceName;
    limits_ = {.max_workgroup_threads = p.limits.maxComputeWorkGroupInvocations,
               .max_workgroup_count_y = p.limits.maxComputeWorkGroupCount[1],
               .max_shared_bytes = p.limits.maxComputeSharedMemorySize,
               .max_binding_bytes = p.limits.maxStorageBufferRange / 4096 * 4096,
               .binding_alignment = p.limits.minStorageBufferOffsetAlignment,
               .max_texel_elements = p.limits.maxTexelBufferElements,
               .subgroup_size = chosen->subgroup.subgroupSize,
               .has_fixed_subgroup = has_fixed_subgroup(*chosen),
               .is_cpu = p.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU};
    fingerprint_ = fmt::format("{}|{}|{}|{:x}|{:x}|{:x}", name_, chosen->driver.driverName,
                               chosen->driver.driverInfo, p.vendorID, p.deviceID, p.driverVersion);
    vkGetPhysicalDeviceMemoryProperties(physical_, &memory_);
    return {};
}

Result<> Device::create_logical() {
    std::uint32_t n = 0;
    vkGetPhysicalDeviceQueueFamilyProperties(physical_, &n, nullptr);
    std::vector<VkQueueFamilyProperties> families(n);
    vkGetPhysicalDeviceQueueFamilyProperties(physical_, &n, families.data());
    // A compute-only family, where there is one, does not compete with the desktop.
    int best = -1;
    for (std::uint32_t i = 0; i < n; ++i) {
        if ((families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) == 0) continue;
        if (best < 0 || (families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) == 0)
            best = static_cast<int>(i);
    }
    if (best < 0)
        return Error{ErrorCode::unsupported, fmt::format("device \"{}\": no compute queue", name_)};
    queue_family_ = static_cast<std::uint32_t>(best);

    const float priority = 1.0F;
    const VkDeviceQueueCreateInfo queue{.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                        .queueFamilyIndex = queue_family_,
                                        .queueCount = 1,
                                        .pQueuePriorities = &priority};
    VkPhysicalDeviceFeatures offered{};
    vkGetPhysicalDeviceFeatures(physical_, &offered);
    // Out-of-range reads must not reach another session's pages through a kernel's mistake.
    const VkPhysicalDeviceFeatures features{.robustBufferAccess = offered.robustBufferAccess};
    const VkDeviceCreateInfo info{.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                  .queueCreateInfoCount = 1,
                                  .pQueueCreateInfos = &queue,
                                  .pEnabledFeatures = &features};
    KVASIR_TRY_VOID(check(vkCreateDevice(physical_, &info, nullptr, &device_), "vkCreateDevice"));
    vkGetDeviceQueue(device_, queue_family_, 0, &queue_);
    return {};
}

Result<> Device::open_pipeline_cache(const std::filesystem::path& dir) {
    std::vector<char> initial;
    if (!dir.empty()) {
        VkPhysicalDeviceProperties p{};
        vkGetPhysicalDeviceProperties(physical_, &p);
        std::string uuid;
        for (const std::uint8_t byte : p.pipelineCacheUUID) uuid += fmt::format("{:02x}", byte);
        pipeline_cache_file_ = dir / fmt::format("pipelines-{}.bin", uuid);
        initial = read_whole(pipeline_cache_file_);
        // The header names vendor, device and driver; a driver is not obliged to check what it is
        // handed.
        VkPipelineCacheHeaderVersionOne header{};
        bool usable = initial.size() >= sizeof(header);
        if (usable) {
            std::memcpy(&header, initial.data(), sizeof(header));
            usable = header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
                     header.vendorID == p.vendorID && header.deviceID == p.deviceID &&
                     std::memcmp(header.pipelineCacheUUID, p.pipelineCacheUUID, VK_UUID_SIZE) == 0;
        }
        if (!initial.empty() && !usable) {
            spdlog::warn(
                "event=pipeline_cache_refused file=\"{}\" reason=\"foreign or damaged header\"",
                pipeline_cache_file_.string());
            initial.clear();
        }
    }
    const VkPipelineCacheCreateInfo info{.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                         .initialDataSize = initial.size(),
                                         .pInitialData = initial.data()};
    VkPipelineCache cache = VK_NULL_HANDLE;
    KVASIR_TRY_VOID(
        check(vkCreatePipelineCache(device_, &info, nullptr, &cache), "vkCreatePipelineCache"));
    pipeline_cache_ = {device_, cache};
    pipeline_cache_bytes_on_disk_ = initial.size();
    return {};
}

Result<> Device::save_pipeline_cache() {
    if (pipeline_cache_file_.empty()) return {};
    std::size_t n = 0;
    KVASIR_TRY_VOID(check(vkGetPipelineCacheData(device_, pipeline_cache_.get(), &n, nullptr),
                          "vkGetPipelineCacheData"));
    if (n <= pipeline_cache_bytes_on_disk_) return {};
    std::vector<char> data(n);
    KVASIR_TRY_VOID(check(vkGetPipelineCacheData(device_, pipeline_cache_.get(), &n, data.data()),
                          "vkGetPipelineCacheData"));
    const std::filesystem::path temporary =
        pipeline_cache_file_.string() + fmt::format(".{}.tmp", ::getpid());
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    file.write(data.data(), static_cast<std::streamsize>(n));
    file.close();
    std::error_code failed;
    if (file) std::filesystem::rename(temporary, pipeline_cache_file_, failed);
    if (!file || failed) {
        std::error_code ignored;
        std::filesystem::remove(temporary, ignored);
        return Error{ErrorCode::io,
                     fmt::format("{}: cannot be written", pipeline_cache_file_.string())};
    }
    pipeline_cache_bytes_on_disk_ = n;
    return {};
}

Result<std::unique_ptr<Device>> Device::create(const DeviceOptions& options) {
    // Mesa keeps compiled shaders itself (its pipeline cache data is only a header): point it to
    // the same place, which must be there before the driver is loaded.
    if (!options.pipeline_cache_dir.empty()) {
        std::error_code ignored;
        std::filesystem::create_directories(options.pipeline_cache_dir, ignored);
        ::setenv("MESA_SHADER_CACHE_DIR", options.pipeline_cache_dir.c_str(), 0);
    }
    std::unique_ptr<Device> device(new Device());
    KVASIR_TRY_VOID(device->create_instance(options.validation));
    KVASIR_TRY_VOID(device->choose_physical(options.name));
    KVASIR_TRY_VOID(device->create_logical());
    KVASIR_TRY_VOID(device->open_pipeline_cache(options.pipeline_cache_dir));
    return device;
}

Result<std::vector<DeviceSummary>> Device::list() {
    Device probe;
    KVASIR_TRY_VOID(probe.create_instance(false));
    KVASIR_TRY(const auto found, candidates(probe.instance_));
    std::vector<DeviceSummary> summaries;
    for (const Candidate& c : found) {
        summaries.push_back(
            {.index = static_cast<std::uint32_t>(summaries.size()),
             .name = c.properties.deviceName,
             .kind = kind_of(c.properties.deviceType),
             .driver = fmt::format("{} {}", c.driver.driverName, c.driver.driverInfo)});
    }
    return summaries;
}

Result<std::uint32_t> Device::find_memory_type(std::uint32_t type_bits,
                                               VkMemoryPropertyFlags wanted,
                                               VkMemoryPropertyFlags preferred) const {
    int fallback = -1;
    for (std::uint32_t i = 0; i < memory_.memoryTypeCount; ++i) {
        const VkMemoryPropertyFlags flags = memory_.memoryTypes[i].propertyFlags;
        if ((type_bits & (1U << i)) == 0 || (flags & wanted) != wanted) continue;
        if ((flags & preferred) == preferred) return i;
        if (fallback < 0) fallback = static_cast<int>(i);
    }
    if (fallback < 0) {
        return Error{ErrorCode::unsupported,
                     fmt::format("device \"{}\": no memory type with flags {:x}", name_, wanted)};
    }
    return static_cast<std::uint32_t>(fallback);
}

std::uint64_t Device::heap_bytes(std::uint32_t memory_type) const {
    return memory_.memoryHeaps[memory_.memoryTypes[memory_type].heapIndex].size;
}

std::uint64_t Device::local_memory_bytes() const {
    std::uint64_t bytes = 0;
    for (std::uint32_t i = 0; i < memory_.memoryHeapCount; ++i) {
        if ((memory_.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0)
            bytes += memory_.memoryHeaps[i].size;
    }
    return bytes;
}

Device::~Device() {
    if (device_ != VK_NULL_HANDLE) {
        vkDeviceWaitIdle(device_);
        pipelines_.clear();
        pipeline_cache_ = {};
        vkDestroyDevice(device_, nullptr);
    }
    if (messenger_ != VK_NULL_HANDLE) {
        const auto destroy = reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(
            vkGetInstanceProcAddr(instance_, "vkDestroyDebugUtilsMessengerEXT"));
        if (destroy != nullptr) destroy(instance_, messenger_, nullptr);
    }
    if (instance_ != VK_NULL_HANDLE) vkDestroyInstance(instance_, nullptr);
}

}  // namespace kvasir::gpu
