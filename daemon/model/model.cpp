#include "daemon/model/model.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <optional>
#include <spdlog/spdlog.h>

#include "config/base/check.hpp"
#include "daemon/model/open_model.hpp"
#include "daemon/model/tune_attention.hpp"
#include "daemon/model/utf8.hpp"

namespace kvasir {
namespace {

struct KvName {
    std::string_view name;
    std::uint32_t format;
};
constexpr std::array kKvNames = {KvName{"f32", shared::kKvF32}, KvName{"f16", shared::kKvF16},
                                 KvName{"int8", shared::kKvInt8}, KvName{"int4", shared::kKvInt4}};

Result<std::uint32_t> find_kv_format(std::string_view name) {
    for (const KvName& known : kKvNames) {
        if (known.name == name) return known.format;
    }
    return Error{ErrorCode::invalid_argument,
                 fmt::format("KV format \"{}\": expected f16, int8 or int4", name)};
}

std::string_view kv_name(std::uint32_t format) {
    for (const KvName& known : kKvNames) {
        if (known.format == format) return known.name;
    }
    return "?";
}

/// Whether a name may stand in replies and logs: short UTF-8 without control characters.
bool is_fit_name(std::string_view name) {
    constexpr std::size_t kMostBytes = 128;
    if (name.empty() || name.size() > kMostBytes) return false;
    while (!name.empty()) {
        const Utf8Step step = utf8_step(name);
        if (step.kind != Utf8Step::Kind::character || static_cast<unsigned char>(name[0]) < 0x20 ||
            name[0] == 0x7f)
            return false;
        name.remove_prefix(step.n_bytes);
    }
    return true;
}

// Source: llama.cpp, include/llama.h, enum llama_pooling_type, as <architecture>.pooling_type.
constexpr std::uint32_t kPoolingMean = 1;

/// Names come out of the file: the one given there, the file's own, or a plain one.
std::string choose_name(std::optional<std::string_view> given, const std::filesystem::path& path) {
    if (given && is_fit_name(*given)) return std::string(*given);
    std::error_code failed;
    const bool is_directory = std::filesystem::is_directory(path, failed);
    const std::string stem = is_directory
                                 ? std::filesystem::canonical(path, failed).filename().string()
                                 : path.stem().string();
    return is_fit_name(stem) ? stem : "model";
}

/// The step asked for, or what the device can run of it: buffers are bound whole, grids have a
/// largest size.
Result<BatchLimits> choose_limits(const ModelOptions& options, const ModelShape& shape,
                                  std::uint32_t context_length, std::uint32_t longest,
                                  const gpu::DeviceLimits& device) {
    constexpr std::uint64_t kMostWorkgroups = 65535;  // every device allows as many
    constexpr std::uint64_t kThreads =
        64;  // of the kernels that take a thread an element, or for several
    const std::uint64_t qkv_dim =
        std::uint64_t{shape.heads.n_heads + 2 * shape.heads.n_kv_heads} * shape.heads.head_dim;
    const std::uint64_t n_used = std::max(1U, shape.experts.n_used);
    const std::uint64_t widest =
        std::max<std::uint64_t>({n_used * shape.dim, shape.ffn_dim, n_used * shape.experts.ffn_dim,
                                 qkv_dim, shape.experts.n_experts});
    const std::uint64_t most_tokens = std::min(
        {device.max_binding_bytes / (4 * widest),
         kMostWorkgroups * kThreads / std::max<std::uint64_t>(qkv_dim, shape.dim),
         kMostWorkgroups / (qkv_dim / shape.heads.head_dim), kMostWorkgroups / (2 * n_used)});
    const std::uint64_t most_rows = device.max_binding_bytes / (4ULL * shape.n_vocab);
    BatchLimits limits{.max_tokens = static_cast<std::uint32_t>(
                           std::min<std::uint64_t>(options.step_tokens, most_tokens)),
                       .max_sequences = options.max_sequences,
                       .max_pages = longest / shared::kPageTokens + 1};
    limits.max_splits = context_length / shared::kPageTokens / shared::kSplitPages + 1;
    const std::uint32_t rows =
        std::min(std::max(options.max_logit_rows, options.max_sequences), limits.max_tokens);
    limits.max_logit_rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(rows, most_rows));
    if (limits.max_sequences == 0 || limits.max_logit_rows < limits.max_sequences) {
        return Error{ErrorCode::too_large,
                     fmt::format("engine.max_sequences: {}, expected 1 to {}: a step has {} "
                                 "tokens, and the device holds "
                                 "the logits of {}",
                                 options.max_sequences, limits.max_logit_rows, limits.max_tokens,
                                 most_rows)};
    }
    return limits;
}

/// Where sharing is asked for, devices share that would not.
gpu::AttentionTiling attention_tiling(const ModelOptions& options,
                                      const gpu::DeviceLimits& device) {
    gpu::AttentionTiling tiling = gpu::tiling_for(device);
    if (options.min_sharers) tiling.n_sharers = *options.min_sharers > 0 ? gpu::kMostSharers : 0;
    return tiling;
}

}  // namespace

Result<gpu::KvFormats> parse_kv_formats(std::string_view text) {
    const std::size_t colon = text.find(':');
    gpu::KvFormats formats;
    KVASIR_TRY(formats.keys, find_kv_format(text.substr(0, colon)));
    KVASIR_TRY(formats.values,
               find_kv_format(colon == std::string_view::npos ? text : text.substr(colon + 1)));
    if ((formats.keys == shared::kKvF32) != (formats.values == shared::kKvF32)) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("KV format \"{}\": f32 is for keys and values together", text)};
    }
    return formats;
}

std::string to_string(const gpu::KvFormats& formats) {
    if (formats.keys == formats.values) return std::string(kv_name(formats.keys));
    return fmt::format("{}:{}", kv_name(formats.keys), kv_name(formats.values));
}

Result<std::vector<KvOverride>> parse_kv_overrides(std::string_view text) {
    std::vector<KvOverride> overrides;
    while (!text.empty()) {
        const std::string_view entry = text.substr(0, text.find(','));
        text.remove_prefix(std::min(text.size(), entry.size() + 1));
        const std::size_t equals = entry.find('=');
        const std::string_view layers = entry.substr(0, equals);
        const std::size_t dash = layers.find('-');
        KvOverride parsed;
        const auto number = [&](std::string_view digits, std::uint32_t& out) {
            const auto [end, failed] =
                std::from_chars(digits.data(), digits.data() + digits.size(), out);
            return failed == std::errc{} && end == digits.data() + digits.size();
        };
        bool good =
            equals != std::string_view::npos && number(layers.substr(0, dash), parsed.first);
        parsed.last = parsed.first;
        if (dash != std::string_view::npos)
            good = good && number(layers.substr(dash + 1), parsed.last);
        if (!good || parsed.last < parsed.first) {
            return Error{
                ErrorCode::invalid_argument,
                fmt::format(
                    "KV formats of layers \"{}\": expected LAYER=FORMAT or FIRST-LAST=FORMAT",
                    entry)};
        }
        KVASIR_TRY(parsed.formats, parse_kv_formats(entry.substr(equals + 1)));
        overrides.push_back(parsed);
    }
    return overrides;
}

Result<> Model::create_kv(const ModelOptions& options, std::uint32_t step_tokens) {
    constexpr std::uint32_t kPage = shared::kPageTokens;
    gpu::KvShape kv{
        .n_kv_heads = shape_.heads.n_kv_heads,
        .head_dim = shape_.heads.head_dim,
        .layers = std::vector<gpu::KvFormats>(shape_.n_layers, options.kv),
        .open_format = options.kv.keys == shared::kKvF32 ? shared::kKvF32 : shared::kKvF16};
    for (const KvOverride& o : options.kv_overrides) {
        if (o.last >= shape_.n_layers) {
            return Error{ErrorCode::invalid_argument,
                         fmt::format("KV formats of layer {}: the model has {} layers", o.last,
                                     shape_.n_layers)};
        }
        if ((o.formats.keys == shared::kKvF32) != (options.kv.keys == shared::kKvF32)) {
            return Error{
                ErrorCode::invalid_argument,
                fmt::format("KV formats of layer {}: f32 is for all layers or none", o.first)};
        }
        std::fill(kv.layers.begin() + o.first, kv.layers.begin() + o.last + 1, o.formats);
    }
    // A sequence has one page open between steps, and one more lets any of them go on. A prompt's
    // share of a step is computed in as many further ones as it touches pages: it ends where there
    // are no more. Ended sequences leave theirs behind, so that conversations that take turns go on
    // from there. For both, a seventh of the budget as far as it is of use: with 1/32 twenty
    // conversations within 8,192 tokens computed 5 % too much (tests/bench/twenty_users.py).
    constexpr std::uint64_t kMostTails = 64;
    const std::uint64_t n_step = options.max_sequences + step_tokens / kPage;
    const std::uint64_t n_further =
        options.kv_budget_bytes == 0
            ? n_step
            : std::min(n_step + kMostTails, options.kv_budget_bytes / 7 / kv.open_page_bytes());
    n_open_slots_ = options.max_sequences + 1 + static_cast<std::uint32_t>(n_further);
    const std::uint64_t open_bytes = n_open_slots_ * kv.open_page_bytes();
    constexpr std::uint64_t kMostByDefault = 1ULL << 30U;
    std::uint64_t budget = options.kv_budget_bytes;
    if (budget == 0) {
        const std::uint64_t wanted = std::uint64_t{options.max_sequences} *
                                     ((context_length_ + kPage - 1) / kPage) * kv.page_bytes();
        budget = std::min(wanted, kMostByDefault) + open_bytes;
    }
    if (budget < open_bytes + kv.page_bytes()) {
        return Error{
            ErrorCode::too_large,
            fmt::format(
                "cache budget: {} bytes, but {} open pages take {} and a page takes {}: raise "
                "cache.budget_bytes, or lower engine.max_sequences",
                budget, n_open_slots_, open_bytes, kv.page_bytes())};
    }
    std::uint64_t largest_page = 0;
    for (std::size_t i = 0; i < kv.layers.size(); ++i)
        largest_page = std::max<std::uint64_t>(largest_page, kv.page_words(i) * 4ULL);
    const std::uint64_t most =
        device_->limits().max_binding_bytes / largest_page * shared::kMaxSlabs;
    n_pages_ = static_cast<std::uint32_t>(std::min((budget - open_bytes) / kv.page_bytes(), most));
    KVASIR_TRY(gpu::KvStore store,
               gpu::KvStore::create(*device_, std::move(kv), n_pages_, n_open_slots_));
    kv_ = std::make_unique<gpu::KvStore>(std::move(store));
    return {};
}

Result<> Model::prepare_kv_ops() {
    for (std::size_t i = 0; i < shape_.n_layers; ++i) {
        const gpu::KvFormats& formats = kv_->shape().layers[i];
        if (shape_.spans[i].reach.n_sinks > 0) {
            KVASIR_TRY_VOID(ops_->attention.prepare(formats, kv_->n_slabs()));
        }
        KVASIR_TRY_VOID(ops_->seal_page.prepare(formats));
        KVASIR_TRY_VOID(ops_->attention.prepare(formats, kv_->n_slabs(), shape_.spans[i].reach));
    }
    return {};
}

Result<> Model::change_kv(const ModelOptions& options) {
    KVASIR_CHECK(
        (options.kv.keys == shared::kKvF32) == (kv_->shape().open_format == shared::kKvF32),
        "open pages keep their format");
    kv_.reset();  // first: two caches may not fit
    page_out_ = {};
    page_in_ = {};
    KVASIR_TRY_VOID(create_kv(options, limits().max_tokens));
    KVASIR_TRY_VOID(prepare_kv_ops());
    return warm_up({});
}

Result<> Model::choose_lengths(const ModelOptions& options) {
    context_length_ = options.context == 0 ? shape_.context_length
                                           : std::min(options.context, shape_.context_length);
    constexpr std::uint32_t kContexts = 4;
    std::uint32_t recent = options.recent;
    std::uint32_t longest = options.window_tokens;
    if (recent == 0) {
        const bool has_room = context_length_ > options.sinks;
        if (options.sinks == 0 || !has_room || shape_.rope_shape().n_rot == 0) return {};
        recent = context_length_ - options.sinks;
        if (longest == 0) longest = kContexts * context_length_;
    }
    window_length_ = std::max(context_length_, longest);
    return limit_attention(shape_, options.sinks, recent);
}

/// REQUIRES: tokenizer_.
Result<> Model::read_chat(const ModelSource& source) {
    KVASIR_TRY(const auto jinja, source.find_string("tokenizer.chat_template"));
    chat_template_ = jinja.value_or("");
    KVASIR_TRY(const auto with_tools, source.find_string("tokenizer.chat_template.tool_use"));
    tool_template_ = with_tools.value_or("");
    if (const auto bos = tokenizer_->bos()) bos_text_ = tokenizer_->token_bytes(*bos, true);
    KVASIR_TRY(const auto eos, source.find_u32("tokenizer.ggml.eos_token_id"));
    if (eos && *eos < tokenizer_->n_vocab())
        eos_text_ = tokenizer_->token_bytes(static_cast<TokenId>(*eos), true);
    return {};
}

Result<> Model::load_weights(const ModelSource& source, const Architecture& architecture,
                             const Progress& progress) {
    KVASIR_TRY(gpu::Uploader uploader, gpu::Uploader::create(*device_, *recorder_));
    TensorLoader loader(source, uploader, [&](double fraction) {
        if (progress) progress(0.9 * fraction, "weights");
    });
    const std::uint64_t before = device_->allocated_bytes();
    KVASIR_TRY(decoder_, architecture.load(loader, shape_, *ops_));
    weight_bytes_ = device_->allocated_bytes() - before;
    for (const TensorInfo& tensor : source.tensors()) n_parameters_ += tensor.n_elements();
    return {};
}

/// Systems hand out memory at first touch: what a step needs is had now, or never.
Result<> Model::touch_step_memory() {
    writer_->wipe_upload();
    KVASIR_TRY_VOID(recorder_->begin());
    activations_.record_zero(*recorder_);
    return recorder_->submit_and_wait();
}

/// Drivers compile at first use: run every tile size once, so that no request waits for a compiler.
Result<> Model::warm_up(const Progress& progress) {
    const std::vector<TokenId> tokens(limits().max_tokens, 0);
    const std::vector<std::uint32_t> slots = {0};
    const std::vector<PageId> pages = {PageId{0}};
    std::uint32_t done = 0;
    for (const std::uint32_t n : {1U, 2U, 4U, 8U, shared::kPageTokens}) {
        if (n > limits().max_tokens || n > context_length_) continue;
        const std::uint32_t n_logits = std::min(n, limits().max_logit_rows);
        std::vector<std::uint32_t> logits_at(n_logits);
        for (std::uint32_t i = 0; i < n_logits; ++i) logits_at[i] = n - n_logits + i;
        const SequenceStep step{.tokens = std::span(tokens).first(n),
                                .first_position = 0,
                                .pages = pages,
                                .open_slots = slots,
                                .logits_at = logits_at,
                                .n_states = n};
        KVASIR_TRY_VOID(this->step({&step, 1}));
        if (progress) progress(0.9 + 0.02 * ++done, "kernels");
    }
    return device_->save_pipeline_cache();
}

Result<> Model::choose_sharing(const ModelOptions& options) {
    std::uint32_t n = options.min_sharers.value_or(0);
    if (!options.min_sharers && ops_->attention.n_sharers() > 0 && limits().max_splits >= 4 &&
        limits().max_tokens >= ops_->attention.n_sharers()) {
        KVASIR_TRY(n, measure_min_sharers(*device_, *recorder_, ops_->attention, *kv_, shape_,
                                          activations_));
    }
    writer_->set_min_sharers(n);
    return {};
}

Result<std::unique_ptr<Model>> Model::load(const ModelOptions& options, const Progress& progress) {
    std::unique_ptr<Model> model(new Model());
    KVASIR_TRY(const OpenedModel opened, open_model(options.path));
    const ModelSource& source = *opened.source;
    KVASIR_TRY(const std::string_view architecture_name, source.get_string("general.architecture"));
    KVASIR_TRY(const Architecture* architecture, find_architecture(architecture_name));
    model->architecture_ = architecture_name;
    KVASIR_TRY(model->shape_, architecture->read_shape(source, architecture_name, options.context));
    KVASIR_TRY_VOID(model->choose_lengths(options));
    KVASIR_TRY(const auto pooling,
               source.find_u32(fmt::format("{}.pooling_type", architecture_name)));
    model->is_mean_pooled_ = pooling.value_or(0) == kPoolingMean;
    KVASIR_TRY(const auto name, source.find_string("general.name"));
    model->name_ = choose_name(name, options.path);
    if (opened.tokenizer) {
        model->tokenizer_ = opened.tokenizer;
        if (model->tokenizer_->n_vocab() > model->shape_.n_vocab) {
            return Error{ErrorCode::corrupt,
                         fmt::format("{}: the tokenizer has {} tokens, {} {} rows",
                                     options.path.string(), model->tokenizer_->n_vocab(),
                                     source.label("token_embd.weight"), model->shape_.n_vocab)};
        }
        KVASIR_TRY_VOID(model->read_chat(source));
    }
    model->device_ = options.shared_device;
    if (!model->device_) {
        KVASIR_TRY(model->device_, gpu::Device::create(options.device));
    }
    const std::uint64_t other_kernels = model->device_->kernels_fingerprint();
    KVASIR_TRY(model->recorder_, gpu::Recorder::create(*model->device_));
    KVASIR_TRY(const BatchLimits limits,
               choose_limits(options, model->shape_, model->context_length_,
                             std::max(model->context_length_, model->window_length_),
                             model->device_->limits()));
    KVASIR_TRY_VOID(model->create_kv(options, limits.max_tokens));
    const gpu::KvShape& kv = model->kv_->shape();
    KVASIR_TRY(model->ops_, Ops::create(*model->device_, model->shape_, kv.open_format,
                                        attention_tiling(options, model->device_->limits())));
    KVASIR_TRY_VOID(model->prepare_kv_ops());
    KVASIR_TRY(BatchWriter writer, BatchWriter::create(*model->device_, limits, model->shape_.ropes,
                                                       model->shape_.sink_span));
    model->writer_ = std::make_unique<BatchWriter>(std::move(writer));
    KVASIR_TRY(model->activations_,
               Activations::create(*model->device_, model->shape_, limits, model->ops_->attention));
    KVASIR_TRY_VOID(model->touch_step_memory());
    KVASIR_TRY_VOID(model->load_weights(source, *architecture, progress));
    KVASIR_TRY_VOID(model->warm_up(progress));
    KVASIR_TRY_VOID(model->choose_sharing(options));
    model->kernels_fingerprint_ = model->device_->kernels_fingerprint() - other_kernels;
    if (progress) progress(1.0, "ready");
    return model;
}

Result<> Model::step(std::span<const SequenceStep> steps) {
    const Batch& batch = writer_->write(steps, ops_->attention, kv_->layer(0).pages_per_slab);
    KVASIR_TRY_VOID(recorder_->begin());
    decoder_->record(*recorder_, batch,
                     {.device = *device_, .ops = *ops_, .activations = activations_, .kv = *kv_});
    return recorder_->submit_and_wait();
}

std::span<const float> Model::logits(std::size_t i) const {
    return activations_.logits.mapped_as<const float>().subspan(i * shape_.n_vocab, shape_.n_vocab);
}

std::span<const float> Model::state(std::size_t i) const {
    return activations_.states.mapped_as<const float>().subspan(i * shape_.dim, shape_.dim);
}

}  // namespace kvasir
