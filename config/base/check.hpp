// KVASIR_CHECK: a programmer's error, on in release builds too. What users can cause is an Error,
// never a check.
#pragma once

namespace kvasir {
[[noreturn]] void check_failed(const char* condition, const char* sentence, const char* file,
                               int line);
}

#define KVASIR_CHECK(condition, sentence)                                                   \
    do {                                                                                    \
        if (!(condition)) ::kvasir::check_failed(#condition, sentence, __FILE__, __LINE__); \
    } while (false)
