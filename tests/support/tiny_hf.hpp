// A small llama as a Hugging Face directory, to be changed or broken.
#pragma once

#include <string>
#include <vector>

#include "tests/support/corrupt.hpp"
#include "tests/support/hf_names.hpp"
#include "tests/support/tiny_model.hpp"
#include "tests/support/vocabulary.hpp"

namespace kvasir::test {

/// A byte-level tokenizer.json of 256 bytes and what is added to them.
inline boost::json::object byte_tokenizer(const std::vector<std::string>& added) {
    const Vocabulary bytes;
    boost::json::object vocab;
    for (std::size_t id = 0; id < bytes.tokens.size(); ++id) vocab[bytes.tokens[id]] = id;
    boost::json::array tokens;
    for (const std::string& text : added)
        tokens.push_back({{"id", 256 + tokens.size()}, {"content", text}, {"special", true}});
    return {{"added_tokens", tokens},
            {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
            {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", boost::json::array{}}}}};
}

/// A llama with 2 layers of 2 heads and a vocabulary of 260.
inline HfBuilder tiny_directory() {
    const TinyModel tiny({.n_vocab = 260});
    const ScratchFile file(tiny.file());
    HfBuilder directory;
    directory.config = llama_config({{"bos_token_id", 256}, {"eos_token_id", 257}});
    directory.tensors = undo_conversion(GgufFile::open(file.path()).value(), kLlama);
    directory.tokenizer = byte_tokenizer({"<s>", "</s>", "<|im_end|>"});
    return directory;
}

}  // namespace kvasir::test
