// One device for all suites of a test program, with the validation layer and synchronization
// validation on. A message of the layer fails the run: GpuRun is the program's global fixture,
// registered once in each, in test_device.cpp and engine/test_bits.cpp. Models that share the
// device share its pipelines, which take most of the time to load a small model.
#pragma once

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "vk_kernels/buffer.hpp"
#include "vk_kernels/device.hpp"
#include "vk_kernels/recorder.hpp"

namespace kvasir::gpu {

class Gpu {
public:
    /// The program's device, made at the first call. Throws where there is none, or no validation
    /// layer: these tests are never skipped.
    static Gpu& get() {
        if (!instance()) instance() = std::unique_ptr<Gpu>(new Gpu());
        return *instance();
    }
    static void close() { instance().reset(); }

    /// Host-visible, so that tests read and write it in place.
    template <class T>
    Buffer buffer_of(const std::vector<T>& values) {
        const std::span<const T> all(values);
        Buffer buffer = Buffer::create(*device, all.size_bytes(), BufferDomain::readback).value();
        std::memcpy(buffer.mapped().data(), all.data(), all.size_bytes());
        return buffer;
    }
    /// n elements with every byte set: 0xff is a NaN as f32 and as f16, and no valid index.
    template <class T>
    Buffer filled_buffer(std::size_t n, unsigned char byte = 0xff) {
        Buffer buffer = Buffer::create(*device, n * sizeof(T), BufferDomain::readback).value();
        std::memset(buffer.mapped().data(), byte, buffer.mapped().size());
        return buffer;
    }

    /// Records with `record`, submits, waits.
    void run(const std::function<void(Recorder&)>& record) {
        recorder->begin().value();
        record(*recorder);
        recorder->submit_and_wait().value();
    }

    std::shared_ptr<Device> device;
    std::unique_ptr<Recorder> recorder;

private:
    Gpu() {
        auto created = Device::create({.name = {}, .validation = true, .pipeline_cache_dir = {}});
        if (created.has_error())
            throw std::runtime_error("these tests need a Vulkan device and the validation layer: " +
                                     created.error().message);
        device = std::move(*created);
        recorder = Recorder::create(*device).value();
        BOOST_TEST_MESSAGE("device: " << device->fingerprint());
    }
    static std::unique_ptr<Gpu>& instance() {
        static std::unique_ptr<Gpu> gpu;
        return gpu;
    }
};

template <class T>
std::vector<T> contents(const Buffer& buffer) {
    const std::span<T> all = buffer.mapped_as<T>();
    return {all.begin(), all.end()};
}

/// Counts what the log says of the validation layer: unlike a device's own counter it still counts
/// while that device dies, when the layer reports what was left behind.
class ValidationCounter : public spdlog::sinks::base_sink<std::mutex> {
public:
    static ValidationCounter& get() {
        static const auto counter = std::make_shared<ValidationCounter>();
        return *counter;
    }
    void listen() { spdlog::default_logger()->sinks().push_back(pointer()); }
    std::uint64_t n_messages() const { return n_messages_; }
    /// For a test that provokes the layer: takes back n messages.
    void forgive(std::uint64_t n) { n_messages_ -= n; }

private:
    static std::shared_ptr<ValidationCounter> pointer() {
        return {std::shared_ptr<void>(), &get()};
    }
    void sink_it_(const spdlog::details::log_msg& message) override {
        const std::string_view text(message.payload.data(), message.payload.size());
        if (text.find("event=vulkan_validation") != text.npos) ++n_messages_;
    }
    void flush_() override {}

    std::atomic<std::uint64_t> n_messages_{0};
};

/// Global fixture: when all is over the validation layer must have said nothing.
struct GpuRun {
    void setup() { ValidationCounter::get().listen(); }
    void teardown() {
        Gpu::close();
        const std::uint64_t n = ValidationCounter::get().n_messages();
        BOOST_TEST(n == 0U, n << " messages of the Vulkan validation layer, expected none");
    }
};

}  // namespace kvasir::gpu
