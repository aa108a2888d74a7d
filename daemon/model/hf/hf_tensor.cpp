#include "daemon/model/hf/hf_tensor.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "quant/shared/quant_format.h"

namespace kvasir {
namespace {

using Kind = HfLayout::Kind;
using Bytes = std::span<const std::byte>;

Error bad_shape(const SafetensorsEntry& part, const std::string& expected) {
    return {ErrorCode::corrupt, fmt::format("{}: shape ({}), expected {}", printable(part.name),
                                            fmt::join(part.shape, ", "), expected)};
}

/// What moves as one: a matrix' rows, a vector's elements.
struct Units {
    std::uint64_t n = 0;  // in all
    std::size_t n_bytes = 0;
};

Units units_of(const SafetensorsEntry& part) {
    return {part.shape[0], part.data.size() / static_cast<std::size_t>(part.shape[0])};
}

/// Where GGUF's unit i lies in the directory's tensor.
std::uint64_t source_of(const HfLayout& layout, std::uint64_t n, std::uint64_t i) {
    if (layout.kind == Kind::halves) {
        const std::uint64_t head_dim = n / layout.n_heads;
        const std::uint64_t at = i % head_dim;
        return i - at + at % 2 * (head_dim / 2) + at / 2;
    }
    const std::uint64_t head_dim = n / layout.n_heads / 3;
    const std::uint64_t which = i / (head_dim * layout.n_heads);  // queries, keys, values
    const std::uint64_t head = i / head_dim % layout.n_heads;
    return (head * 3 + which) * head_dim + i % head_dim;
}

Result<> check_heads(const SafetensorsEntry& part, const HfLayout& layout) {
    const std::uint64_t share =
        std::uint64_t{layout.n_heads} * (layout.kind == Kind::halves ? 2 : 3);
    if (part.shape[0] % share == 0) return {};
    return bad_shape(part, fmt::format("a multiple of {} rows: {} heads", share, layout.n_heads));
}

TensorInfo::MakeRow reordered_rows(const SafetensorsEntry& part, const HfLayout& layout) {
    const Units units = units_of(part);
    const auto unit = [=, data = part.data](std::uint64_t i) {
        const auto at = static_cast<std::size_t>(source_of(layout, units.n, i));
        return data.subspan(at * units.n_bytes, units.n_bytes);
    };
    if (part.shape.size() == 2)
        return [unit](std::uint64_t i, std::vector<std::byte>&) { return unit(i); };
    return [=](std::uint64_t, std::vector<std::byte>& scratch) {
        scratch.clear();
        for (std::uint64_t i = 0; i < units.n; ++i) {
            const Bytes element = unit(i);
            scratch.insert(scratch.end(), element.begin(), element.end());
        }
        return Bytes(scratch);
    };
}

TensorInfo::MakeRow columns_as_rows(const SafetensorsEntry& part) {
    const Units rows = units_of(part);
    const std::size_t n_bytes = part.format->block_bytes;
    return [=, data = part.data](std::uint64_t i, std::vector<std::byte>& scratch) {
        scratch.resize(static_cast<std::size_t>(rows.n) * n_bytes);
        const std::byte* from = data.data() + static_cast<std::size_t>(i) * n_bytes;
        for (std::size_t to = 0; to < scratch.size(); to += n_bytes, from += rows.n_bytes)
            std::memcpy(scratch.data() + to, from, n_bytes);
        return Bytes(scratch);
    };
}

/// f32, so that the sum is not rounded to few bits.
TensorInfo::MakeRow row_plus_one(const SafetensorsEntry& part) {
    return [&part](std::uint64_t, std::vector<std::byte>& scratch) {
        const std::size_t n = static_cast<std::size_t>(part.shape[0]);
        const std::size_t n_bytes = part.format->block_bytes;
        scratch.resize(n * sizeof(float));
        for (std::size_t i = 0; i < n; ++i) {
            float value = 0;
            part.format->decode_block(part.data.subspan(i * n_bytes, n_bytes), {&value, 1});
            value += 1;
            std::memcpy(scratch.data() + i * sizeof(float), &value, sizeof(float));
        }
        return Bytes(scratch);
    };
}

TensorInfo::MakeRow stacked_rows(std::span<const SafetensorsEntry* const> parts) {
    const Units units = units_of(*parts[0]);
    std::vector<Bytes> all;
    for (const SafetensorsEntry* part : parts) all.push_back(part->data);
    return [units, all = std::move(all)](std::uint64_t i, std::vector<std::byte>&) {
        const Bytes matrix = all[static_cast<std::size_t>(i / units.n)];
        return matrix.subspan(static_cast<std::size_t>(i % units.n) * units.n_bytes, units.n_bytes);
    };
}

/// Errors: unsupported (dtype), corrupt (no vector and no matrix, or without elements).
Result<> check_part(const SafetensorsEntry& part) {
    if (part.format == nullptr) {
        return Error{ErrorCode::unsupported, fmt::format("{}: dtype {}, expected F32, F16 or BF16",
                                                         printable(part.name), part.dtype)};
    }
    if (part.shape.empty() || part.shape.size() > 2 || part.data.empty())
        return bad_shape(part, "a vector or a matrix");
    return {};
}

Result<> check_stack(std::span<const SafetensorsEntry* const> parts) {
    for (const SafetensorsEntry* part : parts) {
        KVASIR_TRY_VOID(check_part(*part));
        if (part->shape.size() != 2 || part->shape != parts[0]->shape)
            return bad_shape(*part, fmt::format("a matrix of the shape of {}: ({})", parts[0]->name,
                                                fmt::join(parts[0]->shape, ", ")));
        if (part->format != parts[0]->format) {
            return Error{ErrorCode::unsupported,
                         fmt::format("{}: dtype {}, expected {} as {}", part->name, part->dtype,
                                     parts[0]->dtype, parts[0]->name)};
        }
    }
    return {};
}

}  // namespace

Result<TensorInfo> make_tensor(const HfTensor& wanted,
                               std::span<const SafetensorsEntry* const> parts) {
    const SafetensorsEntry& part = *parts[0];
    KVASIR_TRY_VOID(check_part(part));
    TensorInfo tensor{.name = wanted.name,
                      .type = static_cast<std::uint32_t>(part.format->id),
                      .shape = part.shape,
                      .data = {},
                      .format = part.format};
    if (wanted.is_stack) {
        KVASIR_TRY_VOID(check_stack(parts));
        tensor.shape.insert(tensor.shape.begin(), parts.size());
        tensor.make_row = stacked_rows(parts);
        return tensor;
    }
    switch (wanted.layout.kind) {
        case Kind::as_is: tensor.data = part.data; return tensor;
        case Kind::transposed:
            if (part.shape.size() != 2) return bad_shape(part, "a matrix");
            std::ranges::reverse(tensor.shape);
            tensor.make_row = columns_as_rows(part);
            return tensor;
        case Kind::minus_one:
            if (part.shape.size() != 1) return bad_shape(part, "a vector");
            tensor.type = shared::kFormatF32;
            tensor.format = find_format(FormatId{shared::kFormatF32});
            tensor.make_row = row_plus_one(part);
            return tensor;
        case Kind::halves:
        case Kind::q_k_v_heads: break;
    }
    KVASIR_TRY_VOID(check_heads(part, wanted.layout));
    tensor.make_row = reordered_rows(part, wanted.layout);
    return tensor;
}

}  // namespace kvasir
