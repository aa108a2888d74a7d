// Golden: a small model of tests/data/golden with the logits and greedy ids another implementation
// gave for it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/check.hpp"
#include "config/base/types.hpp"
#include "tests/support/corrupt.hpp"

namespace kvasir::test {

struct Golden {
    std::filesystem::path model;
    std::vector<TokenId> tokens;
    std::vector<std::uint32_t> positions;
    std::vector<TokenId> greedy;  // after the last token
    std::vector<float> logits;    // (positions, n_vocab)
    std::uint32_t n_vocab = 0;

    std::span<const float> row(std::size_t i) const {
        return std::span(logits).subspan(i * n_vocab, n_vocab);
    }
};

/// The numbers of `"key":[1,2,3]`, or of `"key":1`.
inline std::vector<std::uint32_t> json_numbers(std::string_view text, const std::string& key) {
    const std::size_t at = text.find("\"" + key + "\":");
    KVASIR_CHECK(at != std::string_view::npos, "the golden has the key");
    const std::size_t begin = text.find_first_not_of(' ', at + key.size() + 3);
    const std::string rest(text.substr(std::min(begin, text.size())));
    const char* p = rest.c_str();
    std::vector<std::uint32_t> numbers;
    for (p += *p == '[' ? 1 : 0;;) {
        char* end = nullptr;
        numbers.push_back(static_cast<std::uint32_t>(std::strtoul(p, &end, 10)));
        KVASIR_CHECK(end != p, "the golden's lists hold numbers");
        if (*end != ',' || rest.front() != '[') return numbers;
        p = end + 1;
    }
}

/// name: "arch/llama", a file, or "hf/gpt-neo", a directory, under tests/data/golden.
inline Golden read_golden(const std::string& name) {
    const std::string base = std::string(KVASIR_TEST_DATA) + "/golden/" + name;
    const bool is_directory = std::filesystem::is_directory(base);
    const std::string beside = base + (is_directory ? "/golden" : ".golden");
    const auto json = read_file(beside + ".json");
    const std::string_view text(reinterpret_cast<const char*>(json.data()), json.size());
    Golden golden;
    golden.model = is_directory ? base : base + ".gguf";
    golden.tokens = json_numbers(text, "tokens");
    golden.positions = json_numbers(text, "positions");
    golden.greedy = json_numbers(text, "greedy");
    golden.n_vocab = json_numbers(text, "vocab").front();
    const auto bytes = read_file(beside + ".f32");
    KVASIR_CHECK(bytes.size() == golden.positions.size() * golden.n_vocab * sizeof(float),
                 "one row a position");
    golden.logits.resize(bytes.size() / sizeof(float));
    std::memcpy(golden.logits.data(), bytes.data(), bytes.size());
    return golden;
}

/// |got - expected| / |expected|, in double precision.
inline double relative_l2(std::span<const float> got, std::span<const float> expected) {
    double error = 0;
    double norm = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        error += std::pow(double{got[i]} - double{expected[i]}, 2);
        norm += std::pow(double{expected[i]}, 2);
    }
    return std::sqrt(error / norm);
}

}  // namespace kvasir::test
