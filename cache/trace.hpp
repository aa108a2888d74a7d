// Traces of requests for simulations: one JSON object a line, as production services publish them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir {

/// {"timestamp": ms, "input_length": tokens, "output_length": tokens, "hash_ids": [...]}
struct TraceRequest {
    std::uint64_t timestamp_ms = 0;
    std::vector<std::uint64_t> pages;  // each id is one page; equal openings have equal ids
};

/// Reads timestamp (0 where absent) and hash_ids (required); other keys are skipped, empty lines
/// too. Errors: corrupt, naming the line and what was expected.
Result<std::vector<TraceRequest>> parse_trace(std::string_view text);

/// Errors: io, and those of parse_trace.
Result<std::vector<TraceRequest>> read_trace(const std::filesystem::path& path);

}  // namespace kvasir
