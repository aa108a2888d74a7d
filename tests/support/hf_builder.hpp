// HfBuilder: a Hugging Face model directory, well formed or not: nothing here is checked.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "config/base/check.hpp"

namespace kvasir::test {

struct HfBuilderTensor {
    std::string name;
    std::string dtype;
    std::vector<std::uint64_t> shape;  // outermost first
    std::vector<std::byte> bytes;
};

inline void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    KVASIR_CHECK(file.good(), "the test's directory takes a file");
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
    write_bytes(path, std::as_bytes(std::span(text)));
}

/// A header's text and what follows it.
inline std::vector<std::byte> safetensors_bytes(const std::string& header,
                                                std::span<const std::byte> data) {
    const std::uint64_t n = header.size();
    std::vector<std::byte> bytes(sizeof(n) + header.size());
    std::memcpy(bytes.data(), &n, sizeof(n));
    std::memcpy(bytes.data() + sizeof(n), header.data(), header.size());
    bytes.insert(bytes.end(), data.begin(), data.end());
    return bytes;
}

inline std::vector<std::byte> safetensors_bytes(std::span<const HfBuilderTensor> tensors) {
    boost::json::object header{{"__metadata__", {{"format", "pt"}}}};
    std::vector<std::byte> data;
    for (const HfBuilderTensor& tensor : tensors) {
        const std::size_t begin = data.size();
        data.insert(data.end(), tensor.bytes.begin(), tensor.bytes.end());
        header[tensor.name] = {{"dtype", tensor.dtype},
                               {"shape", boost::json::value_from(tensor.shape)},
                               {"data_offsets", {begin, data.size()}}};
    }
    std::string text = boost::json::serialize(header);
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return safetensors_bytes(text, data);
}

class HfBuilder {
public:
    boost::json::object config;
    std::vector<HfBuilderTensor> tensors;
    boost::json::object tokenizer;         // empty: not written
    boost::json::object tokenizer_config;  // the same

    HfBuilderTensor& tensor(const std::string& name) {
        for (HfBuilderTensor& one : tensors)
            if (one.name == name) return one;
        KVASIR_CHECK(false, "the directory has the tensor");
        std::abort();
    }

    /// n_shards 0: model.safetensors; else so many, tensors dealt out in turn, and an index.
    void write(const std::filesystem::path& dir, std::size_t n_shards = 0) const {
        write_text(dir / "config.json", boost::json::serialize(config));
        if (!tokenizer.empty())
            write_text(dir / "tokenizer.json", boost::json::serialize(tokenizer));
        if (!tokenizer_config.empty())
            write_text(dir / "tokenizer_config.json", boost::json::serialize(tokenizer_config));
        if (n_shards == 0)
            return write_bytes(dir / "model.safetensors", safetensors_bytes(tensors));
        std::vector<std::vector<HfBuilderTensor>> shards(n_shards);
        boost::json::object map;
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            shards[i % n_shards].push_back(tensors[i]);
            map[tensors[i].name] = shard_name(i % n_shards, n_shards);
        }
        for (std::size_t i = 0; i < n_shards; ++i)
            write_bytes(dir / shard_name(i, n_shards), safetensors_bytes(shards[i]));
        write_text(dir / "model.safetensors.index.json",
                   boost::json::serialize(boost::json::object{{"metadata", {{"total_size", 0}}},
                                                              {"weight_map", map}}));
    }

    static std::string shard_name(std::size_t i, std::size_t n) {
        return "model-" + std::to_string(i + 1) + "-of-" + std::to_string(n) + ".safetensors";
    }
};

}  // namespace kvasir::test
