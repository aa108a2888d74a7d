#include <boost/json/src.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <thread>

#include "daemon/model/tokenizer.hpp"
#include "daemon/model/utf8.hpp"
#include "quant/gguf.hpp"
#include "tests/support/corrupt.hpp"
#include "tests/support/gguf_builder.hpp"
#include "tests/support/vocabulary.hpp"

namespace kvasir {
namespace {

using Special = Tokenizer::Special;
using Ids = std::vector<TokenId>;
using test::Vocabulary;

const std::string kGoldens = KVASIR_SHARED_DIR "/golden/tokenizer/";
constexpr const char* kBundled = KVASIR_TEST_DATA "/tales-5m-q8_0.gguf";

std::shared_ptr<const Tokenizer> open_tokenizer(const std::filesystem::path& path) {
    return Tokenizer::create(GgufFile::open(path).value()).value();
}

const std::shared_ptr<const Tokenizer>& tales() {
    static const auto tokenizer = open_tokenizer(kBundled);
    return tokenizer;
}

Result<std::shared_ptr<const Tokenizer>> create(const Vocabulary& vocabulary) {
    const test::ScratchFile file(vocabulary.gguf().header());
    return Tokenizer::create(GgufFile::open(file.path()).value());
}

boost::json::array read_json(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return boost::json::parse(text.str()).as_array();
}

Ids to_ids(const boost::json::value& array) {
    Ids ids;
    for (const auto& id : array.as_array()) ids.push_back(id.to_number<TokenId>());
    return ids;
}

bool have_goldens() {
    if (std::filesystem::exists(kGoldens)) return true;
    BOOST_TEST_MESSAGE("skipped: no " << kGoldens);
    return false;
}

/// Text as a stranger may send it: words, digits, runs of white space, letters of many scripts,
/// broken UTF-8.
std::string random_text(std::mt19937& random, std::size_t n_parts) {
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

std::string random_bytes(std::mt19937& random, std::size_t n_bytes) {
    std::string bytes(n_bytes, '\0');
    for (char& c : bytes) c = static_cast<char>(random() & 0xff);
    return bytes;
}

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

/// Merging as its definition says: again and again the best pair, wherever it stands first.
/// Quadratic.
Ids merge_naively(std::string_view piece, const Vocabulary& vocabulary) {
    std::vector<std::string> symbols;
    for (const char c : piece) symbols.push_back(test::byte_text(static_cast<unsigned char>(c)));
    for (;;) {
        std::size_t best_rank = vocabulary.merges.size();
        std::size_t best = 0;
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
            const auto found = std::find(vocabulary.merges.begin(), vocabulary.merges.end(),
                                         symbols[i] + " " + symbols[i + 1]);
            const auto rank = static_cast<std::size_t>(found - vocabulary.merges.begin());
            if (rank < best_rank) {
                best_rank = rank;
                best = i;
            }
        }
        if (best_rank == vocabulary.merges.size()) break;
        symbols[best] += symbols[best + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    Ids ids;
    for (const auto& symbol : symbols) ids.push_back(vocabulary.id(symbol));
    return ids;
}

void check_refused(const Vocabulary& vocabulary, ErrorCode code, std::string_view part) {
    const auto made = create(vocabulary);
    BOOST_TEST_REQUIRE(made.has_error());
    BOOST_TEST((made.error().code == code), made.error().message);
    BOOST_TEST(made.error().message.find(part) != std::string::npos, made.error().message);
}

/// Everything a tokenizer offers, on a few inputs; it must hold whatever file it came from.
void exercise(const std::shared_ptr<const Tokenizer>& tokenizer) {
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

}  // namespace

BOOST_AUTO_TEST_SUITE(tokenizer)

BOOST_DATA_TEST_CASE(real_vocabularies_give_the_golden_ids,
                     boost::unit_test::data::make({"gpt-2", "llama-bpe", "qwen2", "falcon"}),
                     name) {
    if (!have_goldens()) return;
    const auto tokenizer = open_tokenizer(kGoldens + name + ".gguf");
    const auto texts = read_json(kGoldens + "texts.json");
    const auto goldens = read_json(kGoldens + name + ".ids.json");
    BOOST_TEST_REQUIRE(texts.size() == goldens.size());
    BOOST_TEST_REQUIRE(texts.size() == 300U);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const std::string text(texts[i].as_string());
        const Ids expected = to_ids(goldens[i]);
        BOOST_TEST_CONTEXT("text " << i) {
            const Ids ids = tokenizer->encode(text, Special::ignore);
            BOOST_TEST(ids == expected, boost::test_tools::per_element());
            BOOST_TEST(tokenizer->decode(ids) == text);
        }
    }
}

BOOST_AUTO_TEST_CASE(vocabularies_of_another_kind_are_refused_by_name) {
    if (!have_goldens()) return;
    const auto made = Tokenizer::create(GgufFile::open(kGoldens + "llama-spm.gguf").value());
    BOOST_TEST_REQUIRE(made.has_error());
    BOOST_TEST((made.error().code == ErrorCode::unsupported));
    BOOST_TEST(made.error().message.find("`llama`") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(decode_gives_back_any_bytes) {
    std::mt19937 random(3);
    for (int n = 0; n < 500; ++n) {
        const std::string text =
            n % 2 == 0 ? random_text(random, random() % 60) : random_bytes(random, random() % 200);
        const Ids ids = tales()->encode(text, Special::ignore);
        BOOST_TEST_REQUIRE(tales()->decode(ids) == text);
        const Ids parsed = tales()->encode(text, Special::parse);
        BOOST_TEST_REQUIRE(tales()->decode(parsed, true) == text);
        std::string joined;
        for (const TokenId id : ids) joined += tales()->token_bytes(id);
        BOOST_TEST_REQUIRE(joined == text);
    }
    BOOST_TEST(tales()->encode("", Special::parse).empty());
    BOOST_TEST(tales()->decode({}).empty());
}

BOOST_AUTO_TEST_CASE(merging_agrees_with_its_definition) {
    Vocabulary vocabulary;
    std::mt19937 random(4);
    // Merges over two letters, made at random, so that pairs overlap and compete.
    std::vector<std::string> words{"a", "b"};
    while (vocabulary.merges.size() < 60) {
        const std::string left = words[random() % words.size()];
        const std::string right = words[random() % words.size()];
        if (left.size() + right.size() > 12 || vocabulary.has(left + right)) continue;
        vocabulary.add_merge(left, right);
        words.push_back(left + right);
    }
    const auto tokenizer = create(vocabulary).value();
    for (int n = 0; n < 400; ++n) {
        std::string piece(random() % 80, 'a');
        for (char& c : piece) c = random() % 3 == 0 ? 'b' : 'a';
        BOOST_TEST(tokenizer->encode(piece, Special::ignore) == merge_naively(piece, vocabulary),
                   boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(a_megabyte_without_a_space_takes_seconds_not_hours) {
    for (const std::string& text : {std::string(1'000'000, 'a'), std::string(1'000'000, ' ') + "x",
                                    std::string(1'000'000, '\n'), std::string(1'000'000, '\xff'),
                                    std::string(1'000'000, '<')}) {
        const auto begin = std::chrono::steady_clock::now();
        const Ids ids = tales()->encode(text, Special::parse);
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
        BOOST_TEST(elapsed.count() < 60);
        BOOST_TEST((tales()->decode(ids) == text));
    }
}

BOOST_AUTO_TEST_CASE(special_tokens_are_parsed_only_when_asked) {
    const TokenId start = tales()->find_special("<|im_start|>").value();
    const TokenId end = tales()->find_special("<|im_end|>").value();
    BOOST_TEST(start == 4094U);
    BOOST_TEST(end == 4095U);
    BOOST_TEST(!tales()->find_special("<|im_start|").has_value());
    BOOST_TEST(!tales()->find_special("the").has_value());
    const std::string text = "<|im_start|>user\nHi<|im_end|><|im_end|>";
    const Ids parsed = tales()->encode(text, Special::parse);
    Ids expected{start};
    for (const TokenId id : tales()->encode("user\nHi", Special::ignore)) expected.push_back(id);
    expected.insert(expected.end(), {end, end});
    BOOST_TEST(parsed == expected, boost::test_tools::per_element());
    BOOST_TEST(tales()->decode(parsed) == "user\nHi");
    BOOST_TEST(tales()->decode(parsed, true) == text);
    BOOST_TEST(tales()->token_bytes(start).empty());
    BOOST_TEST(tales()->token_bytes(start, true) == "<|im_start|>");
    const Ids ignored = tales()->encode(text, Special::ignore);
    for (const TokenId id : ignored) BOOST_TEST(id < 4093U);
    BOOST_TEST(tales()->decode(ignored) == text);
}

BOOST_AUTO_TEST_CASE(the_longest_special_token_wins_where_several_start) {
    Vocabulary vocabulary;
    const TokenId shorter = vocabulary.add("<x>", 3);
    const TokenId longer = vocabulary.add("<x>y", 3);
    const TokenId written = vocabulary.add("<tool>", 4);
    const TokenId posing = vocabulary.add("<|turn|>", 4);
    const auto tokenizer = create(vocabulary).value();
    const TokenId y = vocabulary.id("y");
    const TokenId z = vocabulary.id("z");
    BOOST_TEST(tokenizer->encode("<x>z<x>yy", Special::parse) == (Ids{shorter, z, longer, y}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->encode("<x>yz", Special::ignore).size() == 5U);
    // User-defined text is a token in any text, and is text; what poses as control is not taken
    // from a message.
    BOOST_TEST(tokenizer->encode("z<tool>", Special::ignore) == (Ids{z, written}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->token_bytes(written) == "<tool>");
    BOOST_TEST(tokenizer->encode("<|turn|>", Special::ignore).size() == 8U);
    BOOST_TEST(tokenizer->encode("<|turn|>", Special::parse) == Ids{posing},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(no_text_becomes_a_control_token_by_merging) {
    Vocabulary vocabulary;
    vocabulary.pre = "llama-bpe";  // where a whole piece may be a token
    vocabulary.merges = {"a b"};
    const TokenId control = vocabulary.add("ab", 3);
    const auto tokenizer = create(vocabulary).value();
    BOOST_TEST(
        tokenizer->encode("ab", Special::ignore) == (Ids{vocabulary.id("a"), vocabulary.id("b")}),
        boost::test_tools::per_element());
    BOOST_TEST(tokenizer->encode("ab", Special::parse) == Ids{control},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(end_of_generation_is_known_by_key_and_by_name) {
    for (TokenId id = 0; id < 4096; ++id)
        BOOST_TEST_REQUIRE(tales()->is_end_of_generation(id) == (id == 4093 || id == 4095));
    BOOST_TEST(!tales()->is_end_of_generation(1'000'000));
    BOOST_TEST(tales()->bos().value() == 4093U);
    BOOST_TEST(!tales()->add_bos());

    Vocabulary vocabulary;
    const TokenId eos = vocabulary.add("[end]", 3);
    const TokenId eom = vocabulary.add("[pause]", 3);
    const TokenId named = vocabulary.add("<|eot_id|>", 3);
    const TokenId mislabelled = vocabulary.add("<|im_end|>", 1);
    const TokenId plain = vocabulary.add("</s>", 1);  // struck-out text, in a vocabulary of code
    const TokenId other = vocabulary.add("<|other|>", 3);
    vocabulary.ids = {{"eos", eos}, {"eom", eom}};
    const auto tokenizer = create(vocabulary).value();
    for (const TokenId id : {eos, eom, named, mislabelled})
        BOOST_TEST(tokenizer->is_end_of_generation(id));
    for (const TokenId id : {plain, other, TokenId{0}})
        BOOST_TEST(!tokenizer->is_end_of_generation(id));
    BOOST_TEST(!tokenizer->bos().has_value());
}

BOOST_AUTO_TEST_CASE(bos_is_wanted_where_the_file_or_the_family_says_so) {
    Vocabulary vocabulary;
    vocabulary.pre = "llama-bpe";
    BOOST_TEST(!create(vocabulary).value()->add_bos());  // no bos to add
    vocabulary.ids = {{"bos", vocabulary.add("<|begin_of_text|>", 3)}};
    BOOST_TEST(create(vocabulary).value()->add_bos());
    vocabulary.add_bos = false;
    BOOST_TEST(!create(vocabulary).value()->add_bos());
    vocabulary.pre = "gpt-2";
    vocabulary.add_bos = true;
    BOOST_TEST(create(vocabulary).value()->add_bos());
}

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

BOOST_AUTO_TEST_CASE(contradictory_vocabularies_are_refused) {
    BOOST_TEST(create(Vocabulary()).has_value());
    Vocabulary v;
    v.model = "unigram";
    check_refused(v, ErrorCode::unsupported, "unigram");
    v = Vocabulary();
    v.pre = "from-the-future";
    check_refused(v, ErrorCode::unsupported, "from-the-future");
    v = Vocabulary();
    v.types.pop_back();
    check_refused(v, ErrorCode::corrupt, "one a token");
    v = Vocabulary();
    v.types[7] = 9;
    check_refused(v, ErrorCode::corrupt, "token 7");
    v = Vocabulary();
    v.types[7] = -1;
    check_refused(v, ErrorCode::corrupt, "token 7");
    v = Vocabulary();
    v.tokens.clear();
    v.types.clear();
    check_refused(v, ErrorCode::corrupt, "empty");
    v = Vocabulary();
    v.add(std::string(5000, 'x'), 1);
    check_refused(v, ErrorCode::corrupt, "5000 bytes");
    for (const char* merge : {"", " ", "ab", "a ", " b"}) {
        v = Vocabulary();
        v.merges = {merge};
        check_refused(v, ErrorCode::corrupt, "merge 0");
    }
    for (const char* name : {"bos", "eos", "eot", "eom", "unknown"}) {
        v = Vocabulary();
        v.ids = {{name, 256}};
        check_refused(v, ErrorCode::corrupt, name);
    }
}

BOOST_AUTO_TEST_CASE(metadata_of_the_wrong_type_is_refused) {
    for (const char* key :
         {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges",
          "tokenizer.ggml.pre", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.add_bos_token"}) {
        Vocabulary vocabulary;
        vocabulary.left_out = key;
        test::GgufBuilder builder = vocabulary.gguf();
        builder.key(key, 1.5);
        const test::ScratchFile file(builder.header());
        const auto made = Tokenizer::create(GgufFile::open(file.path()).value());
        BOOST_TEST_REQUIRE(made.has_error(), key);
        BOOST_TEST((made.error().code == ErrorCode::corrupt));
        BOOST_TEST(made.error().message.find(key) != std::string::npos, made.error().message);
    }
    Vocabulary vocabulary;
    for (const char* key :
         {"tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.model"}) {
        vocabulary.left_out = key;
        check_refused(vocabulary, ErrorCode::corrupt, key);
    }
    for (const char* key : {"tokenizer.ggml.token_type", "tokenizer.ggml.pre"}) {
        vocabulary.left_out = key;
        exercise(create(vocabulary).value());
    }
}

BOOST_AUTO_TEST_CASE(
    merges_of_absent_tokens_are_skipped_and_a_repeated_merge_keeps_its_first_rank) {
    Vocabulary vocabulary;
    vocabulary.merges = {"b c", "q zz", "zz q", "x y"};  // neither zz nor xy is a token
    vocabulary.tokens.push_back("bc");
    vocabulary.types.push_back(1);
    vocabulary.add_merge("a", "b");
    vocabulary.merges.push_back("b c");
    const auto tokenizer = create(vocabulary).value();
    BOOST_TEST(
        tokenizer->encode("abcxy", Special::ignore) ==
            (Ids{vocabulary.id("a"), vocabulary.id("bc"), vocabulary.id("x"), vocabulary.id("y")}),
        boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_byte_without_a_token_is_replaced_never_dropped) {
    Vocabulary vocabulary;
    vocabulary.tokens[0x03] = "[gone]";  // a control character, as in Falcon's vocabulary
    const auto tokenizer = create(vocabulary).value();
    BOOST_TEST(tokenizer->decode(tokenizer->encode("a\x03z", Special::ignore)) == "a\uFFFDz");
    vocabulary.ids = {{"unknown", 0x03}};
    const auto with_unknown = create(vocabulary).value();
    BOOST_TEST(with_unknown->encode("a\x03z", Special::ignore) == (Ids{'a', 0x03, 'z'}),
               boost::test_tools::per_element());
    vocabulary.ids.clear();
    vocabulary.tokens[0xEF] = "[gone too]";
    check_refused(vocabulary, ErrorCode::corrupt, "no token for byte 3");
}

BOOST_AUTO_TEST_CASE(a_flipped_vocabulary_is_refused_or_works) {
    Vocabulary vocabulary;
    vocabulary.add_merge("a", "b");
    vocabulary.ids = {{"eos", vocabulary.add("<|im_end|>", 3)}};
    const auto bytes = vocabulary.gguf().header();
    std::size_t n_working = 0;
    test::for_each_flipped_bit(bytes, 0, bytes.size(), 5,
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
    BOOST_TEST(n_working > 0U);  // a flip inside a token's text is another vocabulary, not an error
}

BOOST_AUTO_TEST_CASE(several_threads_encode_at_once) {
    std::mt19937 random(6);
    const std::string text = random_text(random, 3000);
    const Ids expected = tales()->encode(text, Special::parse);
    std::vector<int> same(4, 0);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < same.size(); ++t)
        threads.emplace_back(
            [&, t] { same[t] = tales()->encode(text, Special::parse) == expected ? 1 : 0; });
    for (auto& thread : threads) thread.join();
    for (const int is_same : same) BOOST_TEST(is_same == 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
