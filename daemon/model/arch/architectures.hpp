// The entries of registry.cpp, each made by the file that holds its op order.
#pragma once

#include "daemon/model/decoder.hpp"

namespace kvasir {

Architecture llama_architecture();  // llama.cpp; also Mistral (a sliding window), Mixtral (experts)
Architecture qwen2_architecture();  // llama.cpp: biases on q, k, v; the other kind of rope pairs
Architecture qwen3_architecture();  // llama.cpp: query and key heads normalized
Architecture qwen3moe_architecture();    // llama.cpp: that, with experts
Architecture phi3_architecture();        // llama.cpp: q, k, v in one tensor, and gate and up
Architecture gpt2_architecture();        // gpt2.cpp
Architecture starcoder2_architecture();  // gpt2.cpp: rotated positions instead of learned ones
Architecture gptneo_architecture();      // gptneo.cpp: gpt2.cpp's order, windows on some layers
Architecture gptneox_architecture();     // gptneox.cpp; gpt2.cpp where its halves are not parallel
Architecture gemma_architecture();       // gemma.cpp
Architecture gemma2_architecture();      // gemma.cpp: norms behind each half, soft caps, windows
Architecture gemma3_architecture();      // gemma.cpp: query and key heads normalized, two ropes

}  // namespace kvasir
