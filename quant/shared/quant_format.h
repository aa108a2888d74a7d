// Weight formats: ids and block geometry, for C++ and GLSL.
#ifndef KVASIR_QUANT_SHARED_QUANT_FORMAT_H
#define KVASIR_QUANT_SHARED_QUANT_FORMAT_H
#include "config/base/glsl_shared.h"

SHARED_BEGIN
// Ids are the GGUF tensor type numbers. Source: ggml/include/ggml.h, enum ggml_type.
const uint kFormatF32 = 0;
const uint kFormatF16 = 1;
const uint kFormatQ4_0 = 2;
const uint kFormatQ8_0 = 8;
const uint kFormatBF16 = 30;

const uint kBlockElements = 32;  // of Q4_0 and Q8_0
SHARED_END
#endif
