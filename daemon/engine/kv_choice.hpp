// What `auto` chose for a model on a device, kept beside the pipeline cache so that the next start
// need not test again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "config/base/error.hpp"
#include "vk_kernels/kv_store.hpp"

namespace kvasir {

/// A hash of the model file's size, header and samples of its weights, and of the device: cheap,
/// and different wherever the outcome of the test may be. Errors: io.
Result<std::uint64_t> kv_choice_key(const std::filesystem::path& model,
                                    const std::string& device_fingerprint);

/// nullopt: none, or a file that does not say one known format.
std::optional<gpu::KvFormats> read_kv_choice(const std::filesystem::path& dir, std::uint64_t key);
/// Written aside, then renamed. Errors: io.
Result<> write_kv_choice(const std::filesystem::path& dir, std::uint64_t key,
                         const gpu::KvFormats& formats);

}  // namespace kvasir
