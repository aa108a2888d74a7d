#include <array>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdlib.h>
#include <string>
#include <unistd.h>

#include "tests/support/gpu_fixture.hpp"
#include "tests/support/temp_dir.hpp"
#include "vk_kernels/device.hpp"

namespace kvasir::gpu {
namespace {

// The only registration in this program; it covers all suites.
BOOST_TEST_GLOBAL_FIXTURE(GpuRun);

using test::TempDir;

/// Sets an environment variable while it lives: the Vulkan loader reads it for each instance.
class ScopedVariable {
public:
    ScopedVariable(const char* name, const std::string& value) : name_(name) {
        if (const char* before = ::getenv(name)) before_ = before;
        ::setenv(name, value.c_str(), 1);
    }
    ~ScopedVariable() {
        if (before_) {
            ::setenv(name_, before_->c_str(), 1);
        } else {
            ::unsetenv(name_);
        }
    }
    ScopedVariable(const ScopedVariable&) = delete;
    ScopedVariable& operator=(const ScopedVariable&) = delete;

private:
    const char* name_;
    std::optional<std::string> before_;
};

class Quiet {
public:
    Quiet() : level_(spdlog::get_level()) { spdlog::set_level(spdlog::level::err); }
    ~Quiet() { spdlog::set_level(level_); }
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;

private:
    spdlog::level::level_enum level_;
};

DeviceOptions named(std::string name) {
    return {.name = std::move(name), .validation = false, .pipeline_cache_dir = {}};
}

DeviceOptions cached_in(const std::filesystem::path& dir) {
    return {.name = {}, .validation = false, .pipeline_cache_dir = dir};
}

bool mentions(const Error& error, const std::string& what) {
    return error.message.find(what) != std::string::npos;
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_file(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& dir) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(dir))
        if (entry.is_regular_file()) files.push_back(entry.path());
    return files;
}

/// Makes a device with this cache directory and saves its pipeline cache.
void save_cache_in(const std::filesystem::path& dir) {
    const ScopedVariable drivers_own("MESA_SHADER_CACHE_DIR", dir);  // else set for good
    const auto device = Device::create(cached_in(dir)).value();
    device->save_pipeline_cache().value();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(device)

BOOST_AUTO_TEST_CASE(every_listed_device_is_found_by_index_and_by_any_part_of_its_name) {
    const auto list = Device::list().value();
    BOOST_TEST_REQUIRE(!list.empty());
    for (const DeviceSummary& summary : list) {
        BOOST_TEST(list[summary.index].name == summary.name);
        BOOST_TEST(Device::create(named(std::to_string(summary.index))).value()->name() ==
                   summary.name);
    }
    const std::string& name = list.front().name;
    std::string upper = name.substr(0, name.size() / 2);
    for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    BOOST_TEST(Device::create(named(upper)).value()->name() == name);
    BOOST_TEST(Device::create(named("")).value()->name() == name);
}

BOOST_AUTO_TEST_CASE(a_device_that_is_not_there_is_an_error_that_lists_those_that_are) {
    const std::string there = Device::list().value().front().name;
    for (const char* name : {"no such device", "99", "99999999999999999999", "-1", "0x0"}) {
        const auto device = Device::create(named(name));
        BOOST_TEST_REQUIRE(device.has_error());
        BOOST_TEST((device.error().code == ErrorCode::unsupported));
        BOOST_TEST(mentions(device.error(), name), device.error().message);
        BOOST_TEST(mentions(device.error(), there), device.error().message);
    }
}

BOOST_AUTO_TEST_CASE(without_a_driver_the_error_says_what_to_install) {
    const TempDir empty;
    const ScopedVariable none("VK_ICD_FILENAMES", empty.path() / "none.json");
    const ScopedVariable no_drivers("VK_DRIVER_FILES", empty.path() / "none.json");
    const auto device = Device::create(named(""));
    BOOST_TEST_REQUIRE(device.has_error());
    BOOST_TEST((device.error().code == ErrorCode::unsupported));
    BOOST_TEST(mentions(device.error(), "mesa-vulkan-drivers"), device.error().message);
    BOOST_TEST(Device::list().has_error());
}

BOOST_AUTO_TEST_CASE(without_the_validation_layer_the_error_says_what_to_install) {
    const TempDir empty;
    const ScopedVariable no_layers("VK_LAYER_PATH", empty.path());
    const auto device = Device::create({.name = {}, .validation = true, .pipeline_cache_dir = {}});
    BOOST_TEST_REQUIRE(device.has_error());
    BOOST_TEST((device.error().code == ErrorCode::unsupported));
    BOOST_TEST(mentions(device.error(), "vulkan-validationlayers"), device.error().message);
}

BOOST_AUTO_TEST_CASE(limits_are_at_least_what_vulkan_promises) {
    const DeviceLimits& limits = Gpu::get().device->limits();
    BOOST_TEST(limits.max_workgroup_threads >= 128U);
    BOOST_TEST(limits.max_workgroup_count_y >= 65535U);
    BOOST_TEST(limits.max_shared_bytes >= 16384U);
    BOOST_TEST(limits.max_binding_bytes >= (1U << 27U));
    BOOST_TEST(limits.max_binding_bytes % 4096 == 0U);
    BOOST_TEST((limits.binding_alignment >= 1 && limits.binding_alignment <= 256));
    BOOST_TEST(limits.subgroup_size >= 1U);
    BOOST_TEST(Gpu::get().device->local_memory_bytes() > 0U);
    BOOST_TEST(!Gpu::get().device->fingerprint().empty());
}

/// A run without messages says something only if the layer is there and sees both kinds of mistake.
BOOST_AUTO_TEST_CASE(the_validation_layer_sees_wrong_calls_and_missing_barriers) {
    Gpu& gpu = Gpu::get();
    const std::uint64_t logged = ValidationCounter::get().n_messages();
    const std::uint64_t before = gpu.device->n_validation_messages();
    const Buffer buffer = gpu.filled_buffer<float>(64);
    gpu.run([&](Recorder& recorder) { recorder.copy(buffer.slice(0, 128), buffer.slice(0, 128)); });
    const std::uint64_t calls = gpu.device->n_validation_messages() - before;
    // Source and destination overlap: they are equal, for a driver's memcpy is then harmless.
    BOOST_TEST(calls > 0U);

    const Buffer other = gpu.filled_buffer<float>(64);
    const VkCommandPoolCreateInfo pool_info{.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                            .queueFamilyIndex = gpu.device->queue_family()};
    VkCommandPool raw_pool = VK_NULL_HANDLE;
    vkCreateCommandPool(gpu.device->handle(), &pool_info, nullptr, &raw_pool);
    const Handle<VkCommandPool, vkDestroyCommandPool> pool(gpu.device->handle(), raw_pool);
    const VkCommandBufferAllocateInfo allocate{
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = raw_pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1};
    VkCommandBuffer commands = VK_NULL_HANDLE;
    vkAllocateCommandBuffers(gpu.device->handle(), &allocate, &commands);
    const VkCommandBufferBeginInfo begin{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    vkBeginCommandBuffer(commands, &begin);
    vkCmdFillBuffer(commands, other.handle(), 0, 256, 1);
    vkCmdFillBuffer(commands, other.handle(), 0, 256, 2);  // written twice, nothing between
    vkEndCommandBuffer(commands);
    const std::uint64_t all = gpu.device->n_validation_messages() - before;
    BOOST_TEST(all > calls);
    BOOST_TEST(ValidationCounter::get().n_messages() - logged == all);
    ValidationCounter::get().forgive(all);
}

BOOST_AUTO_TEST_CASE(memory_is_counted_while_a_buffer_lives) {
    Gpu& gpu = Gpu::get();
    const std::uint64_t before = gpu.device->allocated_bytes();
    {
        Buffer first = gpu.filled_buffer<float>(100'000);
        BOOST_TEST(gpu.device->allocated_bytes() >= before + 400'000);
        const std::uint64_t one = gpu.device->allocated_bytes();
        Buffer second = std::move(first);
        BOOST_TEST(gpu.device->allocated_bytes() == one);
        BOOST_TEST(!first);  // NOLINT(bugprone-use-after-move): what a moved-from buffer is
        BOOST_TEST((second && second.bytes() == 400'000));
    }
    BOOST_TEST(gpu.device->allocated_bytes() == before);
}

BOOST_AUTO_TEST_CASE(a_buffer_larger_than_the_device_is_exhausted_and_leaves_nothing_behind) {
    Gpu& gpu = Gpu::get();
    const std::uint64_t heap = gpu.device->local_memory_bytes();
    const std::uint64_t before = gpu.device->allocated_bytes();
    for (const BufferDomain domain :
         {BufferDomain::device, BufferDomain::upload, BufferDomain::readback}) {
        for (const std::uint64_t bytes :
             {heap + (1U << 20U), std::uint64_t{1} << 45, std::uint64_t{1} << 62, UINT64_MAX}) {
            const auto buffer = Buffer::create(*gpu.device, bytes, domain);
            BOOST_TEST_REQUIRE(buffer.has_error());
            BOOST_TEST((buffer.error().code == ErrorCode::exhausted), buffer.error().message);
            BOOST_TEST(mentions(buffer.error(), std::to_string(bytes)), buffer.error().message);
        }
    }
    BOOST_TEST(gpu.device->allocated_bytes() == before);
    BOOST_TEST(static_cast<bool>(Buffer::create(*gpu.device, 4096, BufferDomain::device)));
}

BOOST_AUTO_TEST_CASE(a_buffer_of_no_bytes_is_an_error) {
    const auto buffer = Buffer::create(*Gpu::get().device, 0, BufferDomain::device);
    BOOST_TEST_REQUIRE(buffer.has_error());
    BOOST_TEST((buffer.error().code == ErrorCode::invalid_argument));
}

BOOST_AUTO_TEST_CASE(a_pipeline_cache_is_saved_once_under_the_drivers_name) {
    const TempDir dir;
    const std::filesystem::path cache = dir.path() / "deeper" / "cache";
    save_cache_in(cache);
    const auto files = files_in(cache);
    BOOST_TEST_REQUIRE(files.size() == 1U);
    BOOST_TEST(files[0].filename().string().starts_with("pipelines-"));
    BOOST_TEST(std::filesystem::file_size(files[0]) >= 32U);
    const std::string saved = read_file(files[0]);
    save_cache_in(cache);
    BOOST_TEST(read_file(files[0]) == saved);
    BOOST_TEST(files_in(cache).size() == 1U);  // no temporary file stays
}

BOOST_AUTO_TEST_CASE(a_foreign_or_damaged_pipeline_cache_is_refused_and_written_anew) {
    const TempDir dir;
    save_cache_in(dir.path());
    const auto files = files_in(dir.path());
    BOOST_TEST_REQUIRE(files.size() == 1U);
    const std::string good = read_file(files[0]);
    const Quiet quiet;  // every refusal is logged
    for (std::size_t n = 0; n < 32; ++n) {
        write_file(files[0], good.substr(0, n));
        save_cache_in(dir.path());
        BOOST_TEST_REQUIRE(read_file(files[0]) == good);
    }
    // Header: size, version, vendor, device, then the UUID.
    for (std::size_t at = 4; at < 32; ++at) {
        std::string foreign = good;
        foreign[at] = static_cast<char>(foreign[at] ^ 0x40);
        write_file(files[0], foreign);
        save_cache_in(dir.path());
        BOOST_TEST_REQUIRE(read_file(files[0]) == good);
    }
    write_file(files[0], std::string(100'000, 'x'));
    save_cache_in(dir.path());
    BOOST_TEST(read_file(files[0]) == good);
}

BOOST_AUTO_TEST_CASE(a_pipeline_cache_that_cannot_be_written_is_an_error_and_no_more) {
    const TempDir dir;
    const std::filesystem::path in_the_way = dir.path() / "file";
    write_file(in_the_way, "not a directory");
    const ScopedVariable drivers_own("MESA_SHADER_CACHE_DIR", dir.path());
    const auto device = Device::create(cached_in(in_the_way / "cache")).value();
    const auto saved = device->save_pipeline_cache();
    BOOST_TEST_REQUIRE(saved.has_error());
    BOOST_TEST((saved.error().code == ErrorCode::io));
    BOOST_TEST(mentions(saved.error(), in_the_way.string()), saved.error().message);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir::gpu
