// Rope: the angles of rotary position embeddings, computed on the host in double precision a step
// at a time.
//
// sin and cos of a shader may be off by 2^-11, and differently on each device; a table of the
// step's positions costs n_rot / 2 pairs a token and makes every scaling rule a matter of a few
// host lines.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/base/error.hpp"
#include "vk_kernels/ops/rope_append_kv.hpp"

namespace kvasir {

class GgufFile;

struct Rope {
    gpu::RopeShape shape;
    std::vector<double> frequencies;  // (n_rot / 2) radians a position

    /// Writes (cos, sin) pairs of one position. out: n_rot floats.
    void fill(std::uint32_t position, std::span<float> out) const;
};

/// frequency i = base^(-2 i / n_rot) / factor_i, divided by the linear scaling factor where the
/// file has one. factors: rope_freqs.weight, or empty. Errors: unsupported (a scaling type this
/// build does not know), corrupt.
Result<Rope> read_rope(const GgufFile& file, std::string_view architecture, std::uint32_t head_dim,
                       bool interleaved, std::span<const float> factors);

}  // namespace kvasir
