#include "daemon/engine/numerics.hpp"

#include <algorithm>
#include <fstream>
#include <memory>
#include <xxhash.h>

#include "daemon/model/open_model.hpp"
#include "quant/mapped_file.hpp"

namespace kvasir {
namespace {

using State = std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)>;

void mix(const State& state, std::span<const std::byte> bytes) {
    XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
}

void mix(const State& state, std::uint64_t number) {
    mix(state, std::as_bytes(std::span(&number, 1)));
}

void mix(const State& state, const std::string& text) {
    mix(state, text.size());
    mix(state, std::as_bytes(std::span(text)));
}

/// A software device compiles for what the processor has: other instructions, other roundings.
std::string processor_features() {
    std::ifstream file("/proc/cpuinfo");
    std::string line;
    while (std::getline(file, line))
        if (line.starts_with("flags") || line.starts_with("Features")) return line;
    return {};
}

}  // namespace

Result<Fingerprint> numerics_fingerprint(const Model& model, const std::filesystem::path& path) {
    KVASIR_TRY(const auto files, find_model_files(path));
    const State state(XXH3_createState(), XXH3_freeState);
    if (!state) return Error{ErrorCode::exhausted, "no memory for a hash"};
    XXH3_128bits_reset(state.get());
    for (const std::filesystem::path& file : files) {
        KVASIR_TRY(const MappedFile mapped, MappedFile::open(file));
        mix(state, mapped.bytes().size());
        mix(state, mapped.bytes());
    }
    const gpu::KvShape& kv = model.kv().shape();
    for (const gpu::KvFormats& formats : kv.layers) {
        mix(state, formats.keys);
        mix(state, formats.values);
    }
    mix(state, kv.open_format);
    for (const LayerSpan& span : model.shape().spans) {
        mix(state, span.reach.window);
        mix(state, span.reach.n_sinks);
    }
    mix(state, model.shape().sink_span);
    mix(state, model.context_length());
    mix(state, model.device().fingerprint());
    mix(state, model.kernels_fingerprint());
    mix(state, processor_features());
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state.get()));
    Fingerprint fingerprint;
    std::ranges::copy(std::as_bytes(std::span(canonical.digest)), fingerprint.begin());
    return fingerprint;
}

}  // namespace kvasir
