// HfMapping: what a Hugging Face directory is in GGUF's terms: keys, and which tensors make which.
// A family fills it from config.json; HfDirectory reads the files by it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/base/error.hpp"
#include "daemon/model/hf/hf_config.hpp"

namespace kvasir {

/// How a tensor lies in the directory, where GGUF has it otherwise.
struct HfLayout {
    enum class Kind {
        as_is,
        transposed,  // (n_cols, n_rows)
        minus_one,   // weights of a norm that adds one to them
        halves,      // heads of rows: a head's first halves, then its second; GGUF has pairs
        q_k_v_heads  // a head's queries, keys, values, then the next head's; GGUF has all queries
                     // first
    };
    Kind kind = Kind::as_is;
    std::uint32_t n_heads = 1;
};

struct HfTensor {
    std::string name;                // GGUF's
    std::vector<std::string> parts;  // the directory's; one, or a stack
    HfLayout layout;
    bool is_stack = false;
};

struct HfMapping {
    using Value = std::variant<std::uint32_t, double, bool, std::string, std::vector<std::int64_t>>;
    struct Key {
        Value value;
        std::string label;  // the key of config.json that it is
    };

    std::string architecture;
    std::map<std::string, Key> keys;  // "llama.block_count"
    std::vector<HfTensor> tensors;
    std::map<std::string, std::vector<float>> made;  // tensors that config.json holds or implies
    /// What directories may hold and no forward pass needs: tensors whose name contains one of
    /// these.
    std::vector<std::string> ignored;
    /// Tensors' names may begin with one of these, or lack them.
    std::vector<std::string> prefixes;

    /// Under the architecture's name: "block_count".
    void set(std::string_view key, Value value, std::string_view label) {
        keys.insert_or_assign(architecture + "." + std::string(key),
                              Key{std::move(value), std::string(label)});
    }
    void tensor(std::string name, std::string part, HfLayout layout = HfLayout{}) {
        tensors.push_back({std::move(name), {std::move(part)}, layout});
    }
    /// `name`.weight and `name`.bias.
    void biased(const std::string& name, const std::string& part, HfLayout layout = HfLayout{});
    void stack(std::string name, std::vector<std::string> parts) {
        tensors.push_back({std::move(name), std::move(parts), HfLayout{}, true});
    }
};

/// One value of config.json's model_type. A new one is a function and a line in
/// hf_families.cpp.
struct HfFamily {
    std::string_view model_type;
    /// Errors: corrupt, unsupported, naming the key.
    Result<> (*map)(const HfConfig& config, HfMapping& out);
};

std::span<const HfFamily> all_hf_families();
/// Errors: unsupported, naming the model type and those that are known.
Result<const HfFamily*> find_hf_family(std::string_view model_type);

// ---- what families have in common ----

/// Under which keys of config.json a family keeps its sizes; what it leaves out if they are its
/// class's defaults. 0: required.
struct HfSizeKeys {
    std::string_view n_layers = "num_hidden_layers";
    std::string_view dim = "hidden_size";
    std::string_view ffn_dim = "intermediate_size";
    std::string_view n_heads = "num_attention_heads";
    std::string_view n_kv_heads = "num_key_value_heads";
    std::string_view context = "max_position_embeddings";
    std::string_view norm_eps = "rms_norm_eps";
    std::string_view gguf_norm_eps = "attention.layer_norm_rms_epsilon";
    double default_norm_eps = 1e-6;
    std::uint32_t default_n_heads = 0;
    std::uint32_t default_n_kv_heads = 0;  // 0: as many as heads
    std::uint32_t default_head_dim = 0;    // 0: dim / n_heads
    std::uint32_t default_context = 0;
    std::uint32_t ffn_per_dim = 0;  // of a feed-forward width that is absent; 0: required
};

struct HfSizes {
    std::uint32_t n_layers = 0;
    std::uint32_t dim = 0;
    std::uint32_t n_heads = 0;
    std::uint32_t n_kv_heads = 0;
    std::uint32_t head_dim = 0;
    std::uint32_t context = 0;
};

/// The sizes, set as keys too. Bounded, so that loops over layers end.
Result<HfSizes> map_sizes(const HfConfig& config, HfMapping& out, const HfSizeKeys& keys);

/// rope.*: base, dimensions, scaling (rope_scaling, or rope_parameters). Errors: unsupported (a
/// scaling rule that is not known).
Result<> map_rope(const HfConfig& config, HfMapping& out, const HfSizes& sizes,
                  double default_base = 10000.0);

/// attention.sliding_window, and which layers have it where layer_types says so; nothing where
/// use_sliding_window is false.
Result<> map_window(const HfConfig& config, HfMapping& out, const HfSizes& sizes,
                    bool used_by_default = true);

/// output.weight, unless it is the embedding.
Result<> map_output(const HfConfig& config, HfMapping& out, bool tied_by_default,
                    const std::string& part = "lm_head.weight");

}  // namespace kvasir
