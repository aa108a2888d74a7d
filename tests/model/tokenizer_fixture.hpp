// What the tests of the tokenizers share: vocabularies, texts, and what must hold of any of them.
#pragma once

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "daemon/model/tokenizer.hpp"
#include "quant/gguf.hpp"
#include "tests/support/corrupt.hpp"
#include "tests/support/vocabulary.hpp"

namespace kvasir::test {

using Special = Tokenizer::Special;
using Ids = std::vector<TokenId>;

inline std::shared_ptr<const Tokenizer> open_tokenizer(const std::filesystem::path& path) {
    return Tokenizer::create(GgufFile::open(path).value()).value();
}

/// The vocabulary of the model that comes with the tests.
inline const std::shared_ptr<const Tokenizer>& tales() {
    static const auto tokenizer = open_tokenizer(KVASIR_TEST_DATA "/tales-5m-q8_0.gguf");
    return tokenizer;
}

inline Result<std::shared_ptr<const Tokenizer>> create(const Vocabulary& vocabulary) {
    const ScratchFile file(vocabulary.gguf().header());
    return Tokenizer::create(GgufFile::open(file.path()).value());
}

/// Text as a stranger may send it: words, digits, runs of white space, letters of many scripts,
/// broken UTF-8.
inline std::string random_text(std::mt19937& random, std::size_t n_parts) {
    static const std::vector<std::string> parts{"the",          " king",
                                                "'s",           "'LL",
                                                " 12345",       "\n\n",
                                                "   ",          "\t",
                                                "\r\n",         "ß",
                                                "Ελλ",          " слово",
                                                "日本語",       "🏳️‍🌈",
                                                "e\u0301",      "²",
                                                "\u00a0",       "\u180e",
                                                "\u200b",       "\u0085",
                                                "<|im_start|>", "<|im_end|>",
                                                "<|",           "_x",
                                                "((",           "--",
                                                "\xff",         "\xe2\x82",
                                                "\xf0\x9f",     "\xc0\xaf",
                                                "\xed\xa0\x80", std::string(1, '\0'),
                                                "aaaa",         "İ",
                                                "Straße",       "3.14",
                                                "\u3000",       "\x80"};
    std::string text;
    for (std::size_t i = 0; i < n_parts; ++i) text += parts[random() % parts.size()];
    return text;
}

inline std::string random_bytes(std::mt19937& random, std::size_t n_bytes) {
    std::string bytes(n_bytes, '\0');
    for (char& c : bytes) c = static_cast<char>(random() & 0xff);
    return bytes;
}

template <class Made>
void check_error(const Made& made, ErrorCode code, std::string_view part) {
    BOOST_TEST_REQUIRE(made.has_error());
    BOOST_TEST((made.error().code == code), made.error().message);
    BOOST_TEST(made.error().message.find(part) != std::string::npos, made.error().message);
}

inline void check_refused(const Vocabulary& vocabulary, ErrorCode code, std::string_view part) {
    check_error(create(vocabulary), code, part);
}

/// Everything a tokenizer offers, on a few inputs; it must hold whatever file it came from.
inline void exercise(const std::shared_ptr<const Tokenizer>& tokenizer) {
    std::mt19937 random(9);
    for (const Special special : {Special::ignore, Special::parse}) {
        const std::string text = random_text(random, 40);
        for (const TokenId id : tokenizer->encode(text, special)) {
            BOOST_TEST_REQUIRE(id < tokenizer->n_vocab());
            (void)tokenizer->token_bytes(id, true);
        }
    }
    if (tokenizer->bos()) BOOST_TEST_REQUIRE(*tokenizer->bos() < tokenizer->n_vocab());
}

/// A GGUF header with one bit flipped, of every stride-th byte: refused with a message, or a
/// vocabulary that works. Returns how many work.
inline std::size_t count_working_flips(std::span<const std::byte> bytes, std::size_t stride) {
    std::size_t n_working = 0;
    for_each_flipped_bit(bytes, 0, bytes.size(), stride,
                         [&](const auto& path, std::size_t, unsigned) {
                             const auto file = GgufFile::open(path);
                             if (file.has_error()) return;
                             const auto made = Tokenizer::create(*file);
                             if (made.has_error()) {
                                 BOOST_TEST_REQUIRE(!made.error().message.empty());
                                 return;
                             }
                             ++n_working;
                             exercise(*made);
                         });
    return n_working;
}

}  // namespace kvasir::test
