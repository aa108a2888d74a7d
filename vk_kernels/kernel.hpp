// Kernel<Push, Bindings, Specs>: a compute pipeline whose shader was compared with the host's idea
// of it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "vk_kernels/recorder.hpp"

namespace kvasir::gpu {

struct GridSize {
    std::uint32_t x = 1;
    std::uint32_t y = 1;
    std::uint32_t z = 1;
};

/// The untyped part, compiled once.
class KernelBase {
public:
    KernelBase() = default;

protected:
    /// Errors: unsupported ("<name>: shader and host interface differ ..."), exhausted.
    Result<> create(Device& device, std::string_view name, std::span<const std::uint32_t> spirv,
                    std::uint32_t push_bytes, std::uint32_t n_bindings, const TexelBindings& texels,
                    std::span<const std::uint32_t> specs);

    const Pipeline* pipeline_ = nullptr;  // the device's
};

/// Push: the shared header's struct; kBindings storage buffers 0 .. kBindings - 1; kSpecs 4-byte
/// constants 0 .. kSpecs - 1.
template <class Push, std::uint32_t kBindings, std::uint32_t kSpecs>
class Kernel : public KernelBase {
    static_assert(sizeof(Push) <= 128 && alignof(Push) == 4);

public:
    static Result<Kernel> create(Device& device, std::string_view name,
                                 std::span<const std::uint32_t> spirv,
                                 const std::array<std::uint32_t, kSpecs>& specs,
                                 const TexelBindings& texels = {}) {
        Kernel kernel;
        KVASIR_TRY_VOID(
            kernel.KernelBase::create(device, name, spirv, sizeof(Push), kBindings, texels, specs));
        return kernel;
    }

    void record(Recorder& recorder, const std::array<Slice, kBindings>& bindings, const Push& push,
                GridSize grid) const {
        recorder.dispatch(*pipeline_, bindings, std::as_bytes(std::span<const Push, 1>(&push, 1)),
                          grid.x, grid.y, grid.z);
    }
};

}  // namespace kvasir::gpu
