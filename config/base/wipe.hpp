// wipe: zeroes that the compiler may not leave out, for what is not to stay in freed memory.
#pragma once

#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace kvasir {

template <class T>
requires std::is_trivially_copyable_v<T>
void wipe(std::span<T> values) noexcept {
    if (!values.empty()) ::explicit_bzero(values.data(), values.size_bytes());
}

template <class T>
void wipe(std::vector<T>& values) noexcept {
    wipe(std::span<T>(values));
    values.clear();
}

}  // namespace kvasir
