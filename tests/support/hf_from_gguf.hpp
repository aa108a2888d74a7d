// A GGUF file as the Hugging Face directory it may have been converted from: what converters do to
// names and weights, undone. Written apart from daemon/model/hf, whose mapping it tests.
#pragma once

#include <fmt/format.h>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "quant/gguf.hpp"
#include "tests/support/hf_builder.hpp"

namespace kvasir::test {

/// Rows of a matrix, elements of a vector.
using HfUnits = std::vector<std::vector<std::byte>>;

inline HfUnits units_of(const TensorInfo& tensor) {
    HfUnits units(tensor.shape[0]);
    const std::size_t n = tensor.data.size() / units.size();
    for (std::size_t i = 0; i < units.size(); ++i) {
        const auto from = tensor.data.subspan(i * n, n);
        units[i].assign(from.begin(), from.end());
    }
    return units;
}

/// One tensor, as the file has it.
struct HfSource {
    const TensorInfo& tensor;
    std::uint32_t n_heads;
    std::uint32_t n_kv_heads;
};
using HfUndo = std::function<void(HfBuilderTensor& out, const HfSource& source)>;

inline void set_units(HfBuilderTensor& out, const HfUnits& units) {
    out.bytes.clear();
    for (const auto& unit : units) out.bytes.insert(out.bytes.end(), unit.begin(), unit.end());
}

inline void undo_pairs(HfBuilderTensor& out, const HfSource& source, std::uint32_t n_heads) {
    const HfUnits pairs = units_of(source.tensor);
    HfUnits halves(pairs.size());
    const std::size_t head_dim = pairs.size() / n_heads;
    for (std::size_t h = 0; h < n_heads; ++h) {
        for (std::size_t half = 0; half < 2; ++half) {
            for (std::size_t i = 0; i < head_dim / 2; ++i)
                halves[h * head_dim + half * head_dim / 2 + i] = pairs[h * head_dim + 2 * i + half];
        }
    }
    set_units(out, halves);
}
inline void undo_q_pairs(HfBuilderTensor& out, const HfSource& source) {
    undo_pairs(out, source, source.n_heads);
}
inline void undo_k_pairs(HfBuilderTensor& out, const HfSource& source) {
    undo_pairs(out, source, source.n_kv_heads);
}

inline void undo_transpose(HfBuilderTensor& out, const HfSource& source) {
    const HfUnits rows = units_of(source.tensor);
    const std::size_t n_bytes = source.tensor.format->block_bytes;
    out.shape = {source.tensor.shape[1], source.tensor.shape[0]};
    out.bytes.clear();
    for (std::size_t column = 0; column < out.shape[0]; ++column) {
        for (const auto& row : rows) {
            const auto at = row.begin() + static_cast<std::ptrdiff_t>(column * n_bytes);
            out.bytes.insert(out.bytes.end(), at, at + static_cast<std::ptrdiff_t>(n_bytes));
        }
    }
}

inline void undo_plus_one(HfBuilderTensor& out, const HfSource&) {
    for (std::size_t at = 0; at < out.bytes.size(); at += sizeof(float)) {
        float value = 0;
        std::memcpy(&value, out.bytes.data() + at, sizeof(float));
        value -= 1;
        std::memcpy(out.bytes.data() + at, &value, sizeof(float));
    }
}

/// All queries, all keys, all values -> each head's.
inline void undo_qkv(HfBuilderTensor& out, const HfSource& source) {
    const HfUnits by_kind = units_of(source.tensor);
    const std::size_t head_dim = by_kind.size() / 3 / source.n_heads;
    HfUnits by_head;
    for (std::size_t h = 0; h < source.n_heads; ++h) {
        for (std::size_t kind = 0; kind < 3; ++kind) {
            for (std::size_t i = 0; i < head_dim; ++i)
                by_head.push_back(by_kind[(kind * source.n_heads + h) * head_dim + i]);
        }
    }
    set_units(out, by_head);
}

/// "{}" in the name: the layer. "{e}": an expert; the tensor is one of each.
struct HfRename {
    std::string gguf;  // without "blk.N."
    std::string name;
    HfUndo undo = {};
};

inline std::string replaced(std::string text, const std::string& what, std::size_t number) {
    const std::size_t at = text.find(what);
    if (at != std::string::npos) text.replace(at, what.size(), std::to_string(number));
    return text;
}

inline const HfRename& find_rename(const std::vector<HfRename>& renames, const std::string& name) {
    for (const HfRename& rename : renames)
        if (rename.gguf == name) return rename;
    throw std::runtime_error("no Hugging Face name for " + name);
}

inline std::vector<HfBuilderTensor> undo_conversion(const GgufFile& file,
                                                    const std::vector<HfRename>& renames) {
    static const std::map<std::string_view, std::string> kDtypes = {
        {"F32", "F32"}, {"F16", "F16"}, {"BF16", "BF16"}};
    const std::string architecture(file.get_string("general.architecture").value());
    const auto n_heads = file.get_u32(architecture + ".attention.head_count").value();
    const auto n_kv_heads = file.get_u32(architecture + ".attention.head_count_kv").value();
    std::vector<HfBuilderTensor> all;
    for (const TensorInfo& tensor : file.tensors()) {
        std::string name = tensor.name;
        std::size_t layer = 0;
        if (name == "rope_freqs.weight") continue;
        if (name.starts_with("blk.")) {
            layer = std::stoul(name.substr(4));
            name.erase(0, name.find('.', 4) + 1);
        }
        const HfRename& rename = find_rename(renames, name);
        HfBuilderTensor out{.name = replaced(rename.name, "{}", layer),
                            .dtype = kDtypes.at(tensor.format->name),
                            .shape = tensor.shape,
                            .bytes = {tensor.data.begin(), tensor.data.end()}};
        if (rename.undo) rename.undo(out, {tensor, n_heads, n_kv_heads});
        if (out.name.find("{e}") == std::string::npos) {
            all.push_back(std::move(out));
            continue;
        }
        const std::size_t n = out.bytes.size() / out.shape[0];
        for (std::size_t e = 0; e < out.shape[0]; ++e) {
            const auto at = out.bytes.begin() + static_cast<std::ptrdiff_t>(e * n);
            all.push_back({.name = replaced(out.name, "{e}", e),
                           .dtype = out.dtype,
                           .shape = {out.shape[1], out.shape[2]},
                           .bytes = {at, at + static_cast<std::ptrdiff_t>(n)}});
        }
    }
    return all;
}

}  // namespace kvasir::test
