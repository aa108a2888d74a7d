// TensorLoader: file tensors to device weights; checks name, type and shape in one call.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"
#include "quant/model_source.hpp"
#include "vk_kernels/tensor.hpp"

namespace kvasir {

/// Every member names the tensor in its errors. Errors: corrupt (missing, wrong shape), unsupported
/// (format), exhausted.
class TensorLoader {
public:
    /// progress: fraction of the file's tensor bytes loaded so far.
    TensorLoader(const ModelSource& source, gpu::Uploader& uploader,
                 std::function<void(double)> progress);

    bool has(std::string_view name) const { return source_.find_tensor(name) != nullptr; }
    Result<gpu::Matrix> matrix(std::string_view name, std::uint32_t n_rows, std::uint32_t n_cols);
    /// Matrices of one width below each other, e.g. queries, keys, values.
    struct Rows {
        std::string name;
        std::uint32_t n_rows;
    };
    Result<gpu::Matrix> stacked(const std::vector<Rows>& parts, std::uint32_t n_cols);
    /// 16 rows of gate, 16 rows of up, and so on: see kEpilogueSiluMul. Of two formats, both become
    /// f32.
    Result<gpu::Matrix> gate_up(std::string_view gate, std::string_view up, std::uint32_t ffn_dim,
                                std::uint32_t n_cols);
    /// The same from one tensor, (2 ffn_dim, n_cols): all gates, then all ups.
    Result<gpu::Matrix> fused_gate_up(std::string_view name, std::uint32_t ffn_dim,
                                      std::uint32_t n_cols);
    /// A tensor of one matrix an expert, (n_experts, n_rows, n_cols).
    Result<gpu::Matrix> expert_matrices(std::string_view name, std::uint32_t n_experts,
                                        std::uint32_t n_rows, std::uint32_t n_cols);
    /// As gate_up, of each expert.
    Result<gpu::Matrix> expert_gate_up(std::string_view gate, std::string_view up,
                                       std::uint32_t n_experts, std::uint32_t ffn_dim,
                                       std::uint32_t n_cols);
    Result<gpu::Vector> vector(std::string_view name, std::uint32_t n);
    /// nullopt where the file has none.
    Result<std::optional<gpu::Vector>> optional_vector(std::string_view name, std::uint32_t n);
    /// Vectors one after the other.
    Result<gpu::Vector> stacked_vector(const std::vector<Rows>& parts);
    Result<std::vector<float>> host_vector(std::string_view name, std::uint32_t n);

private:
    Result<const TensorInfo*> find(std::string_view name,
                                   std::span<const std::uint64_t> shape) const;
    Result<std::vector<const TensorInfo*>> find_all(const std::vector<Rows>& parts,
                                                    std::uint32_t n_cols,
                                                    std::uint32_t n_experts = 0) const;
    Result<gpu::Matrix> upload_run(std::span<const Rows> parts,
                                   std::span<const TensorInfo* const> tensors,
                                   std::uint32_t n_cols);
    struct Half {
        const TensorInfo* tensor;
        std::uint64_t first_row = 0;
    };
    Result<gpu::Matrix> upload_gate_up(std::string_view name, const Half& gate, const Half& up,
                                       std::uint32_t n_experts, std::uint32_t ffn_dim,
                                       std::uint32_t n_cols);
    void loaded(const TensorInfo& tensor);

    const ModelSource& source_;
    gpu::Uploader& uploader_;
    std::function<void(double)> progress_;
    std::uint64_t bytes_total_ = 0;
    std::uint64_t bytes_loaded_ = 0;
    std::vector<std::byte> scratch_;  // a row
};

}  // namespace kvasir
