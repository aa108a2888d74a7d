// The operator's prefixes: computed, or found on disk, before the daemon says that it is ready.
#pragma once

#include <filesystem>

#include "daemon/engine/generation.hpp"

namespace kvasir {

/// Each file's prefix becomes a common one. A file that cannot be used is a line in the log, and
/// the others go on. Waits for the engine: not from its thread.
void compute_prefix_files(GenerationEngine& engine, const std::filesystem::path& dir);

}  // namespace kvasir
