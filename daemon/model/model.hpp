// Model: a model file or directory made ready on a device: weights, compiled ops, KV pages,
// tokenizer; runs one step at a time.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "config/base/error.hpp"
#include "daemon/model/decoder.hpp"
#include "daemon/model/tokenizer.hpp"
#include "vk_kernels/device.hpp"

namespace kvasir {

/// KV formats as an operator names them: "f16", "int8", "int4", "int8:int4" (keys:values), "f32"
/// (reference mode). Errors: invalid_argument.
Result<gpu::KvFormats> parse_kv_formats(std::string_view text);
std::string to_string(const gpu::KvFormats& formats);

/// Layers that differ: "0-1=f16,5=int8:int4". Later entries win. Errors: invalid_argument (naming
/// the entry).
struct KvOverride {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    gpu::KvFormats formats;
};
Result<std::vector<KvOverride>> parse_kv_overrides(std::string_view text);

struct ModelOptions {
    std::filesystem::path path;
    gpu::DeviceOptions device;
    std::shared_ptr<gpu::Device> shared_device;  // for models of one thread; none: one of its own
    gpu::KvFormats kv;
    std::vector<KvOverride> kv_overrides;
    std::uint32_t context = 0;        // 0: the model's
    std::uint32_t sinks = 0;          // with recent: attention sees the first `sinks` tokens and
    std::uint32_t recent = 0;         // the last `recent`; 0: those that are left of the context,
                                      // where the model allows it
    std::uint32_t window_tokens = 0;  // with sinks: longest sequence, the context at least; 0: that
                                      // or, without recent, four of it
    std::uint32_t max_sequences = 16;  // in one step
    std::uint32_t step_tokens = 256;   // in one step; limits() has less where the device's bindings
                                       // or grids do not hold as many
    std::uint32_t max_logit_rows = 64;  // in one step; as above
    // Sequences that decode on one prefix from which on they read it together; 0: never do; none:
    // as is measured at load.
    std::optional<std::uint32_t> min_sharers;
    std::uint64_t kv_budget_bytes =
        0;  // sealed and open pages; 0: a full context for each sequence, at most 1 GiB
};

/// Not thread-safe: one thread runs steps. tokenizer() and shape() are immutable and may be read
/// from any thread.
class Model {
public:
    using Progress = std::function<void(double fraction, std::string_view what)>;
    /// Slow. Errors: io, corrupt, unsupported, exhausted, too_large (budget below one context page
    /// set, more sequences than a step can have).
    static Result<std::unique_ptr<Model>> load(const ModelOptions& options,
                                               const Progress& progress);

    const ModelShape& shape() const { return shape_; }
    const std::string& name() const { return name_; }
    const std::string& architecture() const { return architecture_; }
    /// Jinja source, and the tokens it writes by name; empty where the file has none.
    const std::string& chat_template() const { return chat_template_; }
    const std::string& tool_template() const { return tool_template_; }
    const std::string& bos_text() const { return bos_text_; }
    const std::string& eos_text() const { return eos_text_; }
    std::uint64_t n_parameters() const { return n_parameters_; }
    /// Whether the file says that an embedding is the mean of the hidden states, not the last.
    bool is_mean_pooled() const { return is_mean_pooled_; }
    std::uint64_t weight_bytes() const { return weight_bytes_; }
    const std::shared_ptr<const Tokenizer>& tokenizer() const { return tokenizer_; }
    const gpu::Device& device() const { return *device_; }
    /// Of the kernels compiled at load, their code and constants: part of the numerics fingerprint
    /// of a page. The same whatever other KV formats were tried since.
    std::uint64_t kernels_fingerprint() const { return kernels_fingerprint_; }
    const gpu::KvStore& kv() const { return *kv_; }
    const BatchLimits& limits() const { return writer_->limits(); }
    /// Splits of attention that sequences of the last step read together, once a sequence.
    std::uint32_t n_shared_splits() const { return writer_->n_shared_splits(); }
    std::uint32_t n_pages() const { return n_pages_; }
    /// More than the options' max_sequences. Without a budget as many as any step can touch.
    std::uint32_t n_open_slots() const { return n_open_slots_; }
    /// Longest sequence: the context asked for.
    std::uint32_t context_length() const { return context_length_; }
    /// Longest sequence whose attention may have a window and sinks; 0: there are no sinks.
    std::uint32_t window_length() const { return window_length_; }
    /// Bytes of a sealed token over all layers, scales included.
    double kv_bytes_per_token() const {
        return static_cast<double>(kv_->shape().page_bytes()) / shared::kPageTokens;
    }

    /// Throws away all pages and makes new ones in other formats, within the options' budget.
    /// REQUIRES: no sequence is alive; f32 is not changed to or from. Errors: as load.
    Result<> change_kv(const ModelOptions& options);
    /// Makes sure pages below n exist on the device. Errors: exhausted.
    Result<> reserve_pages(std::uint32_t n) { return kv_->reserve_pages(*device_, n); }

    /// A sealed page's bytes, layer after layer: kv().shape().page_bytes(). REQUIRES: no step runs;
    /// to read, the page was reserved. Errors: device_lost, exhausted, io.
    Result<> read_page(PageId page, std::span<std::byte> bytes);
    Result<> write_page(PageId page, std::span<const std::byte> bytes);
    /// REQUIRES: no step runs; two slots. Errors: as above.
    Result<> copy_open_page(std::uint32_t from, std::uint32_t to);

    /// Zeroes these pages and open slots, and whatever else holds keys, values or token ids of past
    /// steps: intermediate values, staging. REQUIRES: no step runs. Errors: as a step.
    Result<> scrub(std::span<const PageId> pages, std::span<const std::uint32_t> open_slots);

    /// Runs one step and waits for it. Afterwards logits() holds the wanted rows, in the order of
    /// the steps. REQUIRES: limits(); pages reserved. Errors: device_lost, exhausted, io.
    Result<> step(std::span<const SequenceStep> steps);
    /// (n_vocab) of the i-th wanted row of the last step; valid until the next.
    std::span<const float> logits(std::size_t i) const;
    /// (dim) of the i-th wanted hidden state of the last step, in the order of the steps: what the
    /// output matrix reads, after the final norm. Valid until the next.
    std::span<const float> state(std::size_t i) const;
    /// False where step i of the last call filled a page with a NaN or an infinity: its sequence
    /// must end.
    bool is_finite(std::size_t i) const { return writer_->is_finite(i); }
    std::uint32_t n_dispatches() const { return recorder_->n_dispatches(); }

private:
    Model() = default;
    Result<> create_kv(const ModelOptions& options, std::uint32_t step_tokens);
    Result<> prepare_kv_ops();
    Result<> choose_lengths(const ModelOptions& options);
    Result<> read_chat(const ModelSource& source);
    Result<> load_weights(const ModelSource& source, const Architecture& architecture,
                          const Progress& progress);
    Result<> touch_step_memory();
    Result<> choose_sharing(const ModelOptions& options);
    Result<> warm_up(const Progress& progress);

    // Destroyed in reverse: everything on the device before the device.
    ModelShape shape_;
    std::string name_;
    std::string architecture_;
    std::string chat_template_;
    std::string tool_template_;
    std::string bos_text_;
    std::string eos_text_;
    std::uint64_t n_parameters_ = 0;
    std::uint64_t weight_bytes_ = 0;
    bool is_mean_pooled_ = false;
    std::uint32_t context_length_ = 0;
    std::uint32_t window_length_ = 0;
    std::uint32_t n_pages_ = 0;
    std::uint32_t n_open_slots_ = 0;
    std::shared_ptr<const Tokenizer> tokenizer_;
    std::uint64_t kernels_fingerprint_ = 0;
    std::shared_ptr<gpu::Device> device_;
    std::unique_ptr<gpu::Recorder> recorder_;
    std::unique_ptr<Ops> ops_;
    std::unique_ptr<gpu::KvStore> kv_;
    gpu::Buffer page_out_;  // one page; made when first read
    gpu::Buffer page_in_;   // and written
    std::unique_ptr<BatchWriter> writer_;
    Activations activations_;
    std::unique_ptr<Decoder> decoder_;
};

}  // namespace kvasir
