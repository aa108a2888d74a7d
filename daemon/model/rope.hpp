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

class ModelSource;

struct Rope {
    gpu::RopeShape shape;
    std::vector<double> frequencies;  // (n_rot / 2) radians a position
    double amplitude = 1;             // of cos and sin: some scaling rules sharpen attention by it

    /// Writes (cos, sin) pairs of one position. out: n_rot floats.
    void fill(std::uint32_t position, std::span<float> out) const;
};

/// What the file does not say by itself.
struct RopeRules {
    std::uint32_t head_dim = 0;
    std::uint32_t context = 0;  // longest sequence that will be run: longrope has factors for short
                                // and for long ones
    bool interleaved = false;
};

/// frequency i = base^(-2 i / n_rot) / factor_i, divided by what the scaling rule says: "linear" by
/// one factor; "yarn" by that factor where a channel turns seldom; "longrope" by its own factors.
/// factor_i: rope_freqs.weight, or 1. Errors: unsupported (a scaling rule this build does not
/// know), corrupt.
Result<Rope> read_rope(const ModelSource& source, std::string_view architecture,
                       const RopeRules& rules);

/// The plain rotation of another base, e.g. that of layers with a sliding window.
Rope plain_rope(const gpu::RopeShape& shape, double base);

}  // namespace kvasir
