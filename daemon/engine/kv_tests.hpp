// KvTests: what testing KV formats found for a model on a device, kept beside the pipeline cache so
// that the next start need not test again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "config/base/error.hpp"

namespace kvasir {

struct KvTestResult {
    double kld_mean = 0;  // from f16, nats a token
    double same_top = 0;  // fraction of tokens
    bool operator==(const KvTestResult&) const = default;
};

struct KvTests {
    std::map<std::string, KvTestResult> results;  // by formats: "int4", "int8:int4"
    bool too_slow = false;  // the device could not finish in time: not tried again
    bool operator==(const KvTests&) const = default;
};

/// A hash of the model file's size, header and samples of its weights, and of the device: cheap,
/// and different wherever the outcome of a test may be. Errors: io.
Result<std::uint64_t> kv_tests_key(const std::filesystem::path& model,
                                   const std::string& device_fingerprint);

/// Nothing where there is no such file, or one that says something else.
KvTests read_kv_tests(const std::filesystem::path& dir, std::uint64_t key);
/// Written aside, then renamed. Errors: io.
Result<> write_kv_tests(const std::filesystem::path& dir, std::uint64_t key, const KvTests& tests);

}  // namespace kvasir
