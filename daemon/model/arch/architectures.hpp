// The entries of registry.cpp, each made by the file that holds its op order.
#pragma once

#include "daemon/model/decoder.hpp"

namespace kvasir {

Architecture llama_architecture();  // llama.cpp
Architecture qwen2_architecture();  // llama.cpp: the same op order with biases on q, k, v and the
                                    // other kind of rope pairs

}  // namespace kvasir
