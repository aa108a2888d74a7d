// Numerics: what decides the bits of a page, as a fingerprint. Pages made under another one are
// other pages, whatever their tokens.
#pragma once

#include <filesystem>

#include "cache/snapshot_format.hpp"
#include "daemon/model/model.hpp"

namespace kvasir {

/// The model's files as a whole, KV formats by layer, context, every kernel's code and constants,
/// device, driver, and the processor's features where the device is one. Reads them once: seconds
/// for a large one. REQUIRES: the model's kernels are compiled. Errors: io.
Result<Fingerprint> numerics_fingerprint(const Model& model, const std::filesystem::path& path);

}  // namespace kvasir
