#include "daemon/model/hf/safetensors.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <optional>
#include <utility>

#include "config/base/bytes.hpp"
#include "daemon/model/hf/safetensors_header.hpp"
#include "quant/model_source.hpp"
#include "quant/shared/quant_format.h"

namespace kvasir {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the specification's limit

struct Dtype {
    std::string_view name;
    std::uint32_t n_bytes;  // an element
    std::optional<std::uint32_t> format;
};
constexpr std::array kDtypes = {Dtype{"F32", 4, shared::kFormatF32},
                                Dtype{"F16", 2, shared::kFormatF16},
                                Dtype{"BF16", 2, shared::kFormatBF16},
                                Dtype{"F64", 8, {}},
                                Dtype{"I64", 8, {}},
                                Dtype{"U64", 8, {}},
                                Dtype{"I32", 4, {}},
                                Dtype{"U32", 4, {}},
                                Dtype{"I16", 2, {}},
                                Dtype{"U16", 2, {}},
                                Dtype{"I8", 1, {}},
                                Dtype{"U8", 1, {}},
                                Dtype{"BOOL", 1, {}},
                                Dtype{"F8_E4M3", 1, {}},
                                Dtype{"F8_E5M2", 1, {}}};

Result<SafetensorsEntry> place(SafetensorsHeaderEntry&& from, std::span<const std::byte> data) {
    const auto known = std::ranges::find(kDtypes, from.dtype, &Dtype::name);
    if (known == kDtypes.end()) {
        return Error{ErrorCode::unsupported,
                     fmt::format("{}: dtype {}, expected F32, F16 or BF16", printable(from.name),
                                 printable(from.dtype))};
    }
    std::uint64_t n_bytes = known->n_bytes;
    for (const std::uint64_t extent : from.shape) {
        if (__builtin_mul_overflow(n_bytes, extent, &n_bytes)) {
            return Error{ErrorCode::corrupt,
                         fmt::format("{}: shape ({}), expected fewer than 2^64 bytes",
                                     printable(from.name), fmt::join(from.shape, ", "))};
        }
    }
    if (from.begin > from.end || from.end > data.size()) {
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: data_offsets {} to {}, expected a range within {} bytes",
                                 printable(from.name), from.begin, from.end, data.size())};
    }
    if (from.end - from.begin != n_bytes) {
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: {} bytes of data, expected {} for shape ({}) of {}",
                                 printable(from.name), from.end - from.begin, n_bytes,
                                 fmt::join(from.shape, ", "), from.dtype)};
    }
    return SafetensorsEntry{
        .name = std::move(from.name),
        .dtype = std::move(from.dtype),
        .format = known->format ? find_format(FormatId{*known->format}) : nullptr,
        .shape = std::move(from.shape),
        .data =
            data.subspan(static_cast<std::size_t>(from.begin), static_cast<std::size_t>(n_bytes))};
}

/// One behind the other to the end of the file: what overlaps or leaves a hole was not meant so.
Result<> check_cover(std::span<const SafetensorsHeaderEntry> entries, std::uint64_t n_bytes) {
    std::vector<const SafetensorsHeaderEntry*> sorted;
    for (const auto& entry : entries) sorted.push_back(&entry);
    std::ranges::sort(sorted, [](const auto* a, const auto* b) {
        return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
    });
    std::uint64_t at = 0;
    for (const auto* entry : sorted) {
        if (entry->begin != at) {
            return Error{ErrorCode::corrupt,
                         fmt::format("{}: data begin at {}, expected {}, where those before end",
                                     printable(entry->name), entry->begin, at)};
        }
        at = entry->end;
    }
    if (at == n_bytes) return {};
    return Error{
        ErrorCode::corrupt,
        fmt::format("{} bytes of data, expected {}, where the last tensor ends", n_bytes, at)};
}

Result<std::vector<SafetensorsEntry>> read(std::span<const std::byte> bytes) {
    ByteReader reader(bytes, "header");
    KVASIR_TRY(const auto header_bytes, reader.read<std::uint64_t>("length"));
    if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - 8) {
        return Error{ErrorCode::corrupt,
                     fmt::format("a header of {} bytes, expected at most {} and {} in the file",
                                 header_bytes, kMaxHeaderBytes, bytes.size() - 8)};
    }
    const auto header = bytes.subspan(8, static_cast<std::size_t>(header_bytes));
    const auto data = bytes.subspan(8 + header.size());
    KVASIR_TRY(auto found, parse_safetensors_header(
                               {reinterpret_cast<const char*>(header.data()), header.size()}));
    std::vector<SafetensorsEntry> entries;
    KVASIR_TRY_VOID(check_cover(found, data.size()));
    for (SafetensorsHeaderEntry& entry : found) {
        KVASIR_TRY(SafetensorsEntry placed, place(std::move(entry), data));
        entries.push_back(std::move(placed));
    }
    return entries;
}

}  // namespace

Result<std::vector<SafetensorsEntry>> read_safetensors(std::span<const std::byte> bytes,
                                                       std::string_view subject) {
    auto entries = read(bytes);
    if (entries.has_error())
        return Error{entries.error().code, fmt::format("{}: {}", subject, entries.error().message)};
    return entries;
}

}  // namespace kvasir
