// Measures at load what only the device at hand can tell.
#pragma once

#include "daemon/model/decoder.hpp"

namespace kvasir {

/// From how many sequences on that decode on one prefix it is faster to read it together, here and
/// now: the least number for which a step's attention takes at most 0.95 of the time, best of
/// several; 0: none does, or the model has no layer for it. REQUIRES: activations hold a row for
/// each sharer and four splits. Errors: as Recorder::submit_and_wait.
Result<std::uint32_t> measure_min_sharers(gpu::Device& device, gpu::Recorder& recorder,
                                          const gpu::Attention& attention, const gpu::KvStore& kv,
                                          const ModelShape& shape, const Activations& activations);

}  // namespace kvasir
