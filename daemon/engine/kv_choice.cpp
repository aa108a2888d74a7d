#include "daemon/engine/kv_choice.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <string>
#include <unistd.h>

#include "daemon/model/model.hpp"
#include "quant/mapped_file.hpp"

namespace kvasir {
namespace {

/// FNV-1a, 64 bits: the key of a file name, not of anything trusted.
void mix(std::uint64_t& hash, std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes)
        hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3ULL;
}

std::filesystem::path file_of(const std::filesystem::path& dir, std::uint64_t key) {
    return dir / fmt::format("kv-auto-{:016x}", key);
}

}  // namespace

Result<std::uint64_t> kv_choice_key(const std::filesystem::path& model,
                                    const std::string& device_fingerprint) {
    KVASIR_TRY(const MappedFile file, MappedFile::open(model));
    const auto bytes = file.bytes();
    constexpr std::size_t kHeaderBytes = 64U << 10U;
    constexpr std::size_t kSamples = 64;
    constexpr std::size_t kSampleBytes = 1024;
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    mix(hash, std::as_bytes(std::span(device_fingerprint)));
    const std::uint64_t size = bytes.size();
    mix(hash, std::as_bytes(std::span(&size, 1)));
    mix(hash, bytes.first(std::min(bytes.size(), kHeaderBytes)));
    for (std::size_t i = 0; i < kSamples; ++i) {
        const std::size_t at = bytes.size() / kSamples * i;
        mix(hash, bytes.subspan(at, std::min(kSampleBytes, bytes.size() - at)));
    }
    return hash;
}

std::optional<gpu::KvFormats> read_kv_choice(const std::filesystem::path& dir, std::uint64_t key) {
    std::ifstream file(file_of(dir, key));
    std::string line;
    if (!file || !std::getline(file, line) || line.size() > 16) return std::nullopt;
    const auto formats = parse_kv_formats(line);
    if (formats.has_error() || formats->keys == shared::kKvF32) return std::nullopt;
    return *formats;
}

Result<> write_kv_choice(const std::filesystem::path& dir, std::uint64_t key,
                         const gpu::KvFormats& formats) {
    const std::filesystem::path target = file_of(dir, key);
    const std::filesystem::path temporary = target.string() + fmt::format(".{}.tmp", ::getpid());
    std::ofstream file(temporary, std::ios::trunc);
    file << to_string(formats) << "\n";
    file.close();
    std::error_code failed;
    if (file) std::filesystem::rename(temporary, target, failed);
    if (file && !failed) return {};
    std::filesystem::remove(temporary, failed);
    return Error{ErrorCode::io, fmt::format("{}: cannot be written", target.string())};
}

}  // namespace kvasir
