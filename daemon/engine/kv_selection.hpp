// KvSelection: which KV formats a model gets: `auto`'s choice, or the operator's with a warning
// where they cost the model too much.
#pragma once

#include <cstdint>

#include "daemon/engine/kv_quality.hpp"

namespace kvasir {

struct KvSelectionRules {
    double kld_mean = 0.005;          // at most, nats a token
    double same_top = 0.97;           // at least
    std::uint64_t limit_ms = 60'000;  // of all tests; what takes longer is not tested at all
};

/// Tests candidates against f16 on a built-in text, smallest first, takes the first that keeps the
/// rules, else int8; leaves the model with it, and sets options.kv. Results are kept in the
/// pipeline cache's directory where there is one; known ones are not tested again. Log lines say
/// what was taken and why. Errors: as Model::change_kv and steps.
Result<> select_kv_formats(Model& model, ModelOptions& options, const KvSelectionRules& rules,
                           const Model::Progress& progress);

/// Warns where options.kv, the operator's formats, break the rules; they are obeyed all the same.
/// Only formats below int8 are tested. Errors: as above.
Result<> check_kv_formats(Model& model, const ModelOptions& options, const KvSelectionRules& rules,
                          const Model::Progress& progress);

}  // namespace kvasir
