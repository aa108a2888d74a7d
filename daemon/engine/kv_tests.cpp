#include "daemon/engine/kv_tests.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <unistd.h>

#include "daemon/model/open_model.hpp"
#include "quant/mapped_file.hpp"

namespace kvasir {
namespace {

/// FNV-1a, 64 bits: the key of a file name, not of anything trusted.
void mix(std::uint64_t& hash, std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes)
        hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3ULL;
}

/// Size, beginning, and samples of the rest.
void mix_samples(std::uint64_t& hash, std::span<const std::byte> bytes) {
    constexpr std::size_t kHeaderBytes = 64U << 10U;
    constexpr std::size_t kSamples = 64;
    constexpr std::size_t kSampleBytes = 1024;
    const std::uint64_t size = bytes.size();
    mix(hash, std::as_bytes(std::span(&size, 1)));
    mix(hash, bytes.first(std::min(bytes.size(), kHeaderBytes)));
    for (std::size_t i = 0; i < kSamples; ++i) {
        const std::size_t at = bytes.size() / kSamples * i;
        mix(hash, bytes.subspan(at, std::min(kSampleBytes, bytes.size() - at)));
    }
}

std::filesystem::path file_of(const std::filesystem::path& dir, std::uint64_t key) {
    return dir / fmt::format("kv-tests-{:016x}", key);
}

constexpr const char* kTooSlow = "too-slow";

}  // namespace

Result<std::uint64_t> kv_tests_key(const std::filesystem::path& model,
                                   const std::string& device_fingerprint) {
    KVASIR_TRY(const auto files, find_model_files(model));
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    mix(hash, std::as_bytes(std::span(device_fingerprint)));
    for (const std::filesystem::path& path : files) {
        KVASIR_TRY(const MappedFile file, MappedFile::open(path));
        mix_samples(hash, file.bytes());
    }
    return hash;
}

// A line a format, "int4 0.000875 0.984"; or the one word that nothing could be tested.
KvTests read_kv_tests(const std::filesystem::path& dir, std::uint64_t key) {
    constexpr int kMostLines = 16;
    constexpr std::size_t kLongestLine = 128;
    std::ifstream file(file_of(dir, key));
    KvTests tests;
    std::string line;
    for (int i = 0; std::getline(file, line); ++i) {
        if (line == kTooSlow) {
            tests.too_slow = true;
            continue;
        }
        std::istringstream words(line);
        std::string formats;
        KvTestResult result;
        std::string more;
        const bool is_sound = i < kMostLines && line.size() <= kLongestLine &&
                              (words >> formats >> result.kld_mean >> result.same_top) &&
                              !(words >> more) && std::isfinite(result.kld_mean) &&
                              result.same_top >= 0 && result.same_top <= 1;
        if (!is_sound) return {};
        tests.results[formats] = result;
    }
    return tests;
}

Result<> write_kv_tests(const std::filesystem::path& dir, std::uint64_t key, const KvTests& tests) {
    const std::filesystem::path target = file_of(dir, key);
    const std::filesystem::path temporary = target.string() + fmt::format(".{}.tmp", ::getpid());
    std::ofstream file(temporary, std::ios::trunc);
    if (tests.too_slow) file << kTooSlow << "\n";
    for (const auto& [formats, result] : tests.results)
        file << fmt::format("{} {} {}\n", formats, result.kld_mean, result.same_top);
    file.close();
    std::error_code failed;
    if (file) std::filesystem::rename(temporary, target, failed);
    if (file && !failed) return {};
    std::filesystem::remove(temporary, failed);
    return Error{ErrorCode::io, fmt::format("{}: cannot be written", target.string())};
}

}  // namespace kvasir
