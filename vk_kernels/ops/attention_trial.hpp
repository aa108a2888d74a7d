// AttentionTrial: what a step reads in which sequences decode behind one prefix, for measurements.
#pragma once

#include "vk_kernels/ops/attention.hpp"

namespace kvasir::gpu {

/// Each sequence has one token, in open slot 0, after the same n_pages pages.
struct AttentionTrial {
    Buffer upload;
    Attention::Work apart;     // each reads all of it for itself
    Attention::Work together;  // up to n_sharers read its whole splits at once; 0: as apart

    /// Pages that the store has not reserved are stood for by those it has. Errors: exhausted.
    static Result<AttentionTrial> create(Device& device, const KvStore& kv, std::uint32_t n_pages,
                                         std::uint32_t n_sequences, std::uint32_t n_sharers);
};

}  // namespace kvasir::gpu
