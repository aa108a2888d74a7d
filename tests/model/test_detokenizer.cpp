#include <algorithm>

#include "daemon/model/utf8.hpp"
#include "tests/model/tokenizer_fixture.hpp"

namespace kvasir {
namespace {

using namespace test;

/// Decodes strictly and from first principles: the code point at the text's start, if its shortest
/// form is there.
std::size_t strict_character_bytes(std::string_view text) {
    const auto at = [text](std::size_t i) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i]));
    };
    const std::uint32_t lead = at(0);
    const std::size_t n = lead < 0x80         ? 1
                          : (lead >> 5) == 6  ? 2
                          : (lead >> 4) == 14 ? 3
                          : (lead >> 3) == 30 ? 4
                                              : 0;
    if (n == 0 || n > text.size()) return 0;
    std::uint32_t point = n == 1 ? lead : lead & (0x7fU >> n);
    for (std::size_t i = 1; i < n; ++i) {
        if ((at(i) >> 6) != 2) return 0;
        point = (point << 6) | (at(i) & 63);
    }
    constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = point >= 0xd800 && point < 0xe000;
    return point < least[n] || point > 0x10ffff || surrogate ? 0 : n;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(detokenizer)

BOOST_AUTO_TEST_CASE(whole_characters_come_out_however_tokens_cut_them) {
    Ids byte_ids(256);
    for (unsigned byte = 0; byte < 256; ++byte) {
        const Ids ids = tales()->encode(std::string(1, static_cast<char>(byte)), Special::ignore);
        BOOST_TEST_REQUIRE(ids.size() == 1U);
        byte_ids[byte] = ids[0];
    }
    std::mt19937 random(5);
    for (int n = 0; n < 500; ++n) {
        const std::string text =
            n % 3 == 0 ? random_bytes(random, random() % 100) : random_text(random, random() % 40);
        // Cut at random: some stretches as their tokens, some byte by byte, special tokens strewn
        // in.
        Ids ids;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t n_bytes = std::min<std::size_t>(1 + random() % 9, text.size() - at);
            if (random() % 2 == 0) {
                const Ids some = tales()->encode(text.substr(at, n_bytes), Special::ignore);
                ids.insert(ids.end(), some.begin(), some.end());
            } else {
                for (std::size_t i = 0; i < n_bytes; ++i)
                    ids.push_back(byte_ids[static_cast<unsigned char>(text[at + i])]);
            }
            if (random() % 4 == 0) ids.push_back(4095);
            at += n_bytes;
        }
        IncrementalDetokenizer detokenizer(tales());
        std::string streamed;
        const auto append = [&streamed](std::string_view part) {
            for (std::string_view rest = part; !rest.empty();) {
                const std::size_t n_character = strict_character_bytes(rest);
                BOOST_TEST_REQUIRE(n_character > 0U, "a part is no whole characters");
                rest.remove_prefix(n_character);
            }
            streamed += part;
        };
        for (const TokenId id : ids) append(detokenizer.push(id));
        append(detokenizer.finish());
        BOOST_TEST_REQUIRE(detokenizer.finish().empty());
        // What was valid is there, byte for byte and in order; what was not is U+FFFD, one to three
        // bytes each.
        std::string_view rest = streamed;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t n_character =
                strict_character_bytes(std::string_view(text).substr(at));
            if (n_character > 0) {
                BOOST_TEST_REQUIRE(rest.starts_with(text.substr(at, n_character)));
                rest.remove_prefix(n_character);
                at += n_character;
                continue;
            }
            BOOST_TEST_REQUIRE(rest.starts_with(kReplacementCharacter));
            rest.remove_prefix(kReplacementCharacter.size());
            at += utf8_step(std::string_view(text).substr(at)).n_bytes;
        }
        BOOST_TEST_REQUIRE(rest.empty());
    }
}

BOOST_AUTO_TEST_CASE(a_character_waits_for_its_last_byte_and_no_longer) {
    const auto id_of = [](const char* bytes) {
        return tales()->encode(bytes, Special::ignore).at(0);
    };
    IncrementalDetokenizer detokenizer(tales());
    BOOST_TEST(detokenizer.push(id_of("\xf0")) == "");
    BOOST_TEST(detokenizer.push(id_of("\x9f")) == "");
    BOOST_TEST(detokenizer.push(id_of("\x92")) == "");
    BOOST_TEST(detokenizer.push(id_of("\xbb")) == "💻");
    BOOST_TEST(detokenizer.push(id_of("\xe2")) == "");
    BOOST_TEST(detokenizer.push(id_of("\x82")) == "");
    BOOST_TEST(detokenizer.push(id_of("a")) == "\uFFFDa");
    BOOST_TEST(detokenizer.push(id_of("\xff")) == "\uFFFD");
    BOOST_TEST(detokenizer.push(id_of("\xc3")) == "");
    BOOST_TEST(detokenizer.finish() == "\uFFFD");
    BOOST_TEST(detokenizer.finish() == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
