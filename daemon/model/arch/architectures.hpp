// The entries of registry.cpp, each made by the file that holds its op order.
#pragma once

#include "daemon/model/decoder.hpp"

namespace kvasir {

Architecture llama_architecture();  // llama.cpp; also Mistral (a sliding window)
Architecture qwen2_architecture();  // llama.cpp: biases on q, k, v; the other kind of rope pairs
Architecture qwen3_architecture();  // llama.cpp: query and key heads normalized
Architecture phi3_architecture();   // llama.cpp: q, k, v in one tensor, and gate and up

}  // namespace kvasir
