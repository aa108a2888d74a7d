#include "daemon/model/tensor_loader.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace kvasir {
namespace {

/// REQUIRES: whole blocks, as many values as they hold.
void decode(const FormatInfo& format, std::span<const std::byte> bytes, std::span<float> values) {
    for (std::size_t i = 0; i < values.size(); i += format.block_elements) {
        format.decode_block(
            bytes.subspan(i / format.block_elements * format.block_bytes, format.block_bytes),
            values.subspan(i, format.block_elements));
    }
}

Error with_name(std::string_view name, Error error) {
    error.message = fmt::format("{}: {}", name, error.message);
    return error;
}

}  // namespace

TensorLoader::TensorLoader(const ModelSource& source, gpu::Uploader& uploader,
                           std::function<void(double)> progress)
    : source_(source), uploader_(uploader), progress_(std::move(progress)) {
    for (const TensorInfo& tensor : source.tensors()) {
        if (tensor.format != nullptr) bytes_total_ += tensor.n_bytes();
    }
}

Result<const TensorInfo*> TensorLoader::find(std::string_view name,
                                             std::span<const std::uint64_t> shape) const {
    const TensorInfo* tensor = source_.find_tensor(name);
    if (tensor == nullptr)
        return Error{ErrorCode::corrupt, fmt::format("{}: {}: tensor missing",
                                                     source_.path().string(), source_.label(name))};
    if (!std::ranges::equal(tensor->shape, shape)) {
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: {}: shape ({}), expected ({})", source_.path().string(),
                                 source_.label(name), fmt::join(tensor->shape, ", "),
                                 fmt::join(shape, ", "))};
    }
    if (tensor->format == nullptr) {
        return Error{ErrorCode::unsupported,
                     fmt::format("{}: {}: tensor type {} is not supported", source_.path().string(),
                                 source_.label(name), tensor->type)};
    }
    return tensor;
}

void TensorLoader::loaded(const TensorInfo& tensor) {
    bytes_loaded_ += tensor.n_bytes();
    if (progress_ && bytes_total_ > 0)
        progress_(static_cast<double>(bytes_loaded_) / static_cast<double>(bytes_total_));
}

Result<gpu::Matrix> TensorLoader::matrix(std::string_view name, std::uint32_t n_rows,
                                         std::uint32_t n_cols) {
    return stacked({{std::string(name), n_rows}}, n_cols);
}

Result<std::vector<const TensorInfo*>> TensorLoader::find_all(const std::vector<Rows>& parts,
                                                              std::uint32_t n_cols,
                                                              std::uint32_t n_experts) const {
    std::vector<const TensorInfo*> tensors;
    for (const Rows& part : parts) {
        const std::array<std::uint64_t, 3> stack{n_experts, part.n_rows, n_cols};
        KVASIR_TRY(const TensorInfo* tensor,
                   find(part.name, std::span(stack).subspan(n_experts == 0 ? 1 : 0)));
        if (n_cols % tensor->format->block_elements != 0) {
            return Error{ErrorCode::corrupt,
                         fmt::format("{}: rows of {} elements, expected a multiple of {}",
                                     part.name, n_cols, tensor->format->block_elements)};
        }
        tensors.push_back(tensor);
    }
    return tensors;
}

/// Tensors of one format below each other.
Result<gpu::Matrix> TensorLoader::upload_run(std::span<const Rows> parts,
                                             std::span<const TensorInfo* const> tensors,
                                             std::uint32_t n_cols) {
    std::uint32_t n_rows = 0;
    for (const Rows& part : parts) n_rows += part.n_rows;
    auto matrix =
        uploader_.upload_matrix(*tensors.front()->format, n_rows, n_cols, [&](std::uint32_t row) {
            std::size_t i = 0;
            for (; row >= parts[i].n_rows; ++i) row -= parts[i].n_rows;
            return tensors[i]->row(row, scratch_);
        });
    if (matrix.has_error()) return with_name(parts.front().name, matrix.error());
    for (const TensorInfo* tensor : tensors) loaded(*tensor);
    return matrix;
}

Result<gpu::Matrix> TensorLoader::stacked(const std::vector<Rows>& parts, std::uint32_t n_cols) {
    KVASIR_TRY(const auto tensors, find_all(parts, n_cols));
    gpu::Matrix all;
    for (std::size_t first = 0; first < parts.size();) {
        std::size_t n = 1;
        while (first + n < parts.size() && tensors[first + n]->format == tensors[first]->format)
            ++n;
        KVASIR_TRY(gpu::Matrix run, upload_run(std::span(parts).subspan(first, n),
                                               std::span(tensors).subspan(first, n), n_cols));
        first += n;
        if (all.parts.empty()) {
            all = std::move(run);
            continue;
        }
        for (gpu::Matrix::Part& part : run.parts) {
            part.first_row += all.n_rows;
            all.parts.push_back(std::move(part));
        }
        all.n_rows += run.n_rows;
    }
    return all;
}

/// gate, up: n_experts matrices (ffn_dim, n_cols) each.
Result<gpu::Matrix> TensorLoader::upload_gate_up(std::string_view name, const Half& gate,
                                                 const Half& up, std::uint32_t n_experts,
                                                 std::uint32_t ffn_dim, std::uint32_t n_cols) {
    constexpr std::uint32_t kTile = shared::kRowTile;
    constexpr std::uint32_t kGates = kTile / 2;
    const bool is_one_format = gate.tensor->format == up.tensor->format;
    const FormatInfo& format =
        is_one_format ? *gate.tensor->format : *find_format(FormatId{shared::kFormatF32});
    const std::uint32_t n_rows = (ffn_dim + kGates - 1) / kGates * kTile;
    std::vector<float> decoded(is_one_format ? 0 : n_cols);
    const auto row_of = [&](std::uint32_t row) {
        const std::uint32_t expert = row / n_rows;
        row %= n_rows;
        const std::uint32_t index = row / kTile * kGates + row % kGates;
        if (index >= ffn_dim) return std::span<const std::byte>();
        const Half& half = row % kTile >= kGates ? up : gate;
        const auto found =
            half.tensor->row(half.first_row + std::uint64_t{expert} * ffn_dim + index, scratch_);
        if (is_one_format) return found;
        decode(*half.tensor->format, found, decoded);
        return std::as_bytes(std::span<const float>(decoded));
    };
    auto matrix = uploader_.upload_matrix(format, n_experts * n_rows, n_cols, row_of,
                                          n_experts == 1 ? kTile : n_rows);
    if (matrix.has_error()) return with_name(name, matrix.error());
    matrix->stack_rows = n_rows;
    return matrix;
}

Result<gpu::Matrix> TensorLoader::gate_up(std::string_view gate, std::string_view up,
                                          std::uint32_t ffn_dim, std::uint32_t n_cols) {
    KVASIR_TRY(const auto tensors,
               find_all({{std::string(gate), ffn_dim}, {std::string(up), ffn_dim}}, n_cols));
    KVASIR_TRY(gpu::Matrix matrix,
               upload_gate_up(gate, {tensors[0]}, {tensors[1]}, 1, ffn_dim, n_cols));
    for (const TensorInfo* tensor : tensors) loaded(*tensor);
    return matrix;
}

Result<gpu::Matrix> TensorLoader::fused_gate_up(std::string_view name, std::uint32_t ffn_dim,
                                                std::uint32_t n_cols) {
    KVASIR_TRY(const auto tensors, find_all({{std::string(name), 2 * ffn_dim}}, n_cols));
    KVASIR_TRY(gpu::Matrix matrix,
               upload_gate_up(name, {tensors[0]}, {tensors[0], ffn_dim}, 1, ffn_dim, n_cols));
    loaded(*tensors[0]);
    return matrix;
}

Result<gpu::Matrix> TensorLoader::expert_gate_up(std::string_view gate, std::string_view up,
                                                 std::uint32_t n_experts, std::uint32_t ffn_dim,
                                                 std::uint32_t n_cols) {
    KVASIR_TRY(
        const auto tensors,
        find_all({{std::string(gate), ffn_dim}, {std::string(up), ffn_dim}}, n_cols, n_experts));
    KVASIR_TRY(gpu::Matrix matrix,
               upload_gate_up(gate, {tensors[0]}, {tensors[1]}, n_experts, ffn_dim, n_cols));
    for (const TensorInfo* tensor : tensors) loaded(*tensor);
    return matrix;
}

Result<gpu::Matrix> TensorLoader::expert_matrices(std::string_view name, std::uint32_t n_experts,
                                                  std::uint32_t n_rows, std::uint32_t n_cols) {
    KVASIR_TRY(const auto tensors, find_all({{std::string(name), n_rows}}, n_cols, n_experts));
    const TensorInfo& tensor = *tensors[0];
    const std::uint32_t stride =
        (n_rows + shared::kRowTile - 1) / shared::kRowTile * shared::kRowTile;
    const auto row_of = [&](std::uint32_t row) {
        const std::uint64_t at = std::uint64_t{row / stride} * n_rows + row % stride;
        return row % stride < n_rows ? tensor.row(at, scratch_) : std::span<const std::byte>();
    };
    auto matrix =
        uploader_.upload_matrix(*tensor.format, n_experts * stride, n_cols, row_of, stride);
    if (matrix.has_error()) return with_name(name, matrix.error());
    matrix->stack_rows = n_rows;
    loaded(tensor);
    return matrix;
}

Result<std::vector<float>> TensorLoader::host_vector(std::string_view name, std::uint32_t n) {
    KVASIR_TRY(const TensorInfo* tensor, find(name, std::array<std::uint64_t, 1>{n}));
    std::vector<float> values(n);
    decode(*tensor->format, tensor->row(0, scratch_), values);
    loaded(*tensor);
    return values;
}

Result<gpu::Vector> TensorLoader::vector(std::string_view name, std::uint32_t n) {
    return stacked_vector({{std::string(name), n}});
}

Result<std::optional<gpu::Vector>> TensorLoader::optional_vector(std::string_view name,
                                                                 std::uint32_t n) {
    if (!has(name)) return std::optional<gpu::Vector>();
    KVASIR_TRY(gpu::Vector found, vector(name, n));
    return std::optional<gpu::Vector>(std::move(found));
}

Result<gpu::Vector> TensorLoader::stacked_vector(const std::vector<Rows>& parts) {
    std::vector<float> all;
    for (const Rows& part : parts) {
        KVASIR_TRY(const std::vector<float> values, host_vector(part.name, part.n_rows));
        all.insert(all.end(), values.begin(), values.end());
    }
    auto vector = uploader_.upload_vector(all);
    if (vector.has_error()) return with_name(parts.front().name, vector.error());
    return vector;
}

}  // namespace kvasir
