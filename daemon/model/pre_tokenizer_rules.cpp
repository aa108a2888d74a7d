// The table of pre-tokenizers: the expressions as the makers of the vocabularies published them
// (tokenizer.json or tiktoken), the letters of (?i:...) written out. Where those cut digits by
// looking ahead to the end of the number, the cut says so instead: the same pieces in linear time.
// Source: the names and their flags are llama.cpp's, src/llama-vocab.cpp.
#include <algorithm>
#include <string>

#include "daemon/model/pre_tokenizer.hpp"
#include "quant/gguf.hpp"

namespace kvasir {
namespace {

using Cut = PreTokenizerCut;

// Parts that many share.
#define KVASIR_CONTRACTION "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define KVASIR_WORD R"([^\r\n\p{L}\p{N}]?\p{L}+)"
#define KVASIR_SIGNS R"( ?[^\s\p{L}\p{N}]+[\r\n]*)"
#define KVASIR_SPACES R"(\s*[\r\n]+|\s+(?!\S)|\s+)"
#define KVASIR_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define KVASIR_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define KVASIR_CASED_WORD(contraction)                                    \
    R"([^\r\n\p{L}\p{N}]?)" KVASIR_UPPER "*" KVASIR_LOWER "+" contraction \
    R"(|[^\r\n\p{L}\p{N}]?)" KVASIR_UPPER "+" KVASIR_LOWER "*" contraction
#define KVASIR_ASCII_SIGN R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~])"
#define KVASIR_DEEPSEEK_WORD KVASIR_ASCII_SIGN R"([A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
#define KVASIR_CJK R"(\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF})"

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    KVASIR_CONTRACTION "|" KVASIR_WORD R"(|\p{N}{1,3}|)" KVASIR_SIGNS "|" KVASIR_SPACES;
constexpr std::string_view kQwen2 =
    KVASIR_CONTRACTION "|" KVASIR_WORD R"(|\p{N}|)" KVASIR_SIGNS "|" KVASIR_SPACES;
constexpr std::string_view kQwen35 = KVASIR_CONTRACTION
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" KVASIR_SPACES;
constexpr std::string_view kGpt4o = KVASIR_CASED_WORD(
    KVASIR_CONTRACTION "?") R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" KVASIR_SPACES;
constexpr std::string_view kTekken =
    KVASIR_CASED_WORD("") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" KVASIR_SPACES;
constexpr std::string_view kYoutu =
    KVASIR_CASED_WORD(KVASIR_CONTRACTION "?") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" KVASIR_SPACES;
constexpr std::string_view kYoutuScripts =
    R"([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+)"
    R"(|[\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B}\x{FF0C})"
    R"(\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|[)" KVASIR_CJK "]+";
constexpr std::string_view kOneDigit = R"(\p{N})";
constexpr std::string_view kUpToThreeDigits = R"(\p{N}{1,3})";
constexpr std::string_view kNumber = R"(\p{N}+)";
constexpr std::string_view kThreeAsciiDigits = "[0-9][0-9][0-9]";
constexpr std::string_view kFalconSigns = R"([\p{P}\$\+<=>\^~\|`]+)";
constexpr std::string_view kDefaultSigns = R"([\p{P}\$\+<=>\^~\|]+)";
constexpr std::string_view kBloom =
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)";
constexpr std::string_view kLineEnd = R"([\r\n])";
constexpr std::string_view kLinesApart = R"([^\n]+|[\n]+)";
constexpr std::string_view kCjk = "[" KVASIR_CJK "]+";
constexpr std::string_view kDeepSeekV3 =
    KVASIR_DEEPSEEK_WORD R"(| ?[\p{P}\p{S}]+[\r\n]*|)" KVASIR_SPACES;
constexpr std::string_view kSpark = KVASIR_DEEPSEEK_WORD R"(| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepSeekHan =
    R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
constexpr std::string_view kDeepSeekSigns =
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";
constexpr std::string_view kSpacesAtEnd = R"((?<!\s)\s++\z)";
/// Letters with case, as that vocabulary lists them.
constexpr std::string_view kDeepSeekLetters =
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A})"
    R"(\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556})"
    R"(\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF})"
    R"(\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D})"
    R"(\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D})"
    R"(\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4})"
    R"(\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4})"
    R"(\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124})"
    R"(\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F})"
    R"(\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4})"
    R"(\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17})"
    R"(\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3})"
    R"(\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF})"
    R"(\x{1E900}-\x{1E943}]+)";
constexpr std::string_view kAfmoeScripts =
    R"([\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{F900}-\x{FAFF}\x{3040}-\x{309F}\x{30A0}-\x{30FF})"
    R"(\x{FF65}-\x{FF9F}\x{2F00}-\x{2FDF}\x{E40}-\x{E7F}\x{E80}-\x{EFF}\x{1780}-\x{17FF})"
    R"(\x{1000}-\x{109F}\x{AA60}-\x{AA7F}\x{A9E0}-\x{A9FF}\x{AC00}-\x{D7AF}\x{1100}-\x{11FF}]+)";
constexpr std::string_view kKimi =
    R"(\p{Han}+|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han}))" KVASIR_UPPER R"()*(?:(?!\p{Han}))" KVASIR_LOWER
    ")+" KVASIR_CONTRACTION R"(?|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han}))" KVASIR_UPPER
    R"()+(?:(?!\p{Han}))" KVASIR_LOWER ")*" KVASIR_CONTRACTION R"(?|\p{N}{1,3}|)" KVASIR_SIGNS
    "|" KVASIR_SPACES;
constexpr std::string_view kBailing =
    "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|"
    R"([^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    KVASIR_CONTRACTION "|" KVASIR_WORD R"(|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|)" KVASIR_SPACES;
constexpr std::string_view kExaoneMoe = KVASIR_CONTRACTION
    R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kMiniCpm5 =
    KVASIR_CONTRACTION "|" KVASIR_WORD R"(|\p{N}+|)" KVASIR_SIGNS "|" KVASIR_SPACES;
constexpr std::string_view kJais2 = KVASIR_CONTRACTION
    "|" KVASIR_WORD R"(|\p{N}{1,3}|)" KVASIR_SIGNS
    R"(|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S))"
    R"(|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";
constexpr std::string_view kUfakzeka = KVASIR_WORD R"(|\p{N}|)" KVASIR_SIGNS "|" KVASIR_SPACES;

const std::vector<PreTokenizerRule>& table() {
    static const std::vector<PreTokenizerStep> gpt2{{kGpt2}};
    static const std::vector<PreTokenizerStep> starcoder{{kOneDigit}, {kGpt2}};
    static const std::vector<PreTokenizerStep> deepseek_v3{
        {kUpToThreeDigits}, {kCjk}, {kDeepSeekV3}};
    static const std::vector<PreTokenizerStep> tiny_aya{
        {R"((?<!\d)\d++\b)", Cut::threes_from_right}, {kGpt4o}};
    static const std::vector<PreTokenizerRule> rules{
        // What a file without the key gets.
        {"default", {{kDefaultSigns}, {kGpt2}, {kNumber}, {kThreeAsciiDigits}}},
        {"gpt-2", gpt2},
        {"phi-2", gpt2},
        {"mpt", gpt2},
        {"olmo", gpt2},
        {"jais", gpt2},
        {"trillion", gpt2},
        {"granite-docling", gpt2},
        {"gigachat", gpt2},
        {"a.x-4.0", gpt2},
        {"mellum", gpt2},
        {"exaone4", gpt2},
        {"modern-bert", gpt2},
        {"roberta-bpe", gpt2},
        {"jina-v1-en", gpt2},
        {"jina-v2-code", gpt2},
        {"jina-v2-es", gpt2},
        {"jina-v2-de", gpt2},
        {"jina-es", gpt2},
        {"jina-de", gpt2},
        {"starcoder", starcoder},
        {"refact", starcoder},
        {"command-r", starcoder},
        {"smollm", starcoder},
        {"codeshell", starcoder},
        {"exaone", starcoder},
        {"minerva-7b", starcoder},
        {"mellum2", starcoder},
        {"falcon", {{kFalconSigns}, {kGpt2}, {kThreeAsciiDigits}}},
        {"llama-bpe", {{kLlama3}}, true, true},
        {"llama3", {{kLlama3}}, true, true},
        {"llama-v3", {{kLlama3}}, true, true},
        {"falcon3", {{kLlama3}}, true, true},
        {"falcon-h1", {{kLlama3}}, true, true},
        {"pixtral", {{kLlama3}}, true, true},
        {"midm-2.0", {{kLlama3}}, true, true},
        {"lfm2", {{kLlama3}}, true, true},
        {"jina-v5-nano", {{kLlama3}}, true, true},
        {"dbrx", {{kLlama3}}},
        {"smaug-bpe", {{kLlama3}}},
        {"glm4", {{kLlama3}}},
        {"chatglm-bpe", {{kLlama3}}},
        {"minicpm5", {{kUpToThreeDigits}, {kMiniCpm5}}, true},
        {"jais-2", {{kJais2}}},
        {"qwen2", {{kQwen2}}},
        {"deepseek-r1-qwen", {{kQwen2}}},
        {"kormo", {{kQwen2}}},
        {"f2llmv2", {{kQwen2}}},
        {"megrez", {{kQwen2}}},
        {"stablelm2", {{kQwen2}}},
        {"hunyuan", {{kQwen2}}},
        {"solar-open", {{kQwen2}}},
        {"grok-2", {{kQwen2}}},
        {"qwen35", {{kQwen35}}},
        {"laguna", {{kLinesApart}, {kQwen2}}},
        {"ufakzeka", {{kUfakzeka}}},
        {"seed-coder", {{kSeedCoder}}},
        {"bailingmoe", {{kBailing}}},
        {"bailingmoe2", {{kBailing}}},
        {"llada-moe", {{kBailing}}},
        {"exaone-moe", {{kExaoneMoe}}},
        {"deepseek-llm",
         {{kLineEnd},
          {kDeepSeekLetters},
          {kDeepSeekSigns},
          {kSpacesAtEnd},
          {kDeepSeekHan},
          {kNumber}}},
        {"deepseek-coder",
         {{kLineEnd}, {R"(\s?\p{L}+)"}, {R"(\s?\p{P}+)"}, {kDeepSeekHan}, {kOneDigit}}},
        {"deepseek-v3", deepseek_v3},
        {"hunyuan-dense", deepseek_v3},
        {"hy_v4", deepseek_v3},
        {"joyai-llm", deepseek_v3},
        {"spark2_5", {{kUpToThreeDigits}, {kCjk}, {kSpark}, {kOneDigit}}},
        {"youtu", {{kYoutuScripts}, {kYoutu}}, true},
        {"afmoe", {{kNumber, Cut::threes_from_right}, {kAfmoeScripts}, {kDeepSeekV3}}},
        {"gpt-4o", {{kGpt4o}}},
        {"llama4", {{kGpt4o}}},
        {"kanana2", {{kGpt4o}}},
        {"talkie", {{kGpt4o}}},
        {"minimax-m2", {{kGpt4o}}},
        {"granite-embed-multi-97m", {{kGpt4o}}, true},
        {"tiny_aya", tiny_aya},
        {"cohere2moe", tiny_aya},
        {"kimi-k2", {{kKimi}}},
        {"tekken", {{kTekken}}, true, true},
        {"superbpe", {{kNumber}, {R"(\d+)", Cut::threes_from_right}}},
        {"bloom", {{kBloom}}},
        {"poro-chat", {{kBloom}}},
        {"gpt3-finnish", {{kBloom}}},
        {"viking", {{kBloom}, {kOneDigit}}},
        {"chameleon",
         {{"<sentinel:[0-9]+>"},
          {"IMGIMG[A-I]{1,4}Z"},
          {R"([\t\n]|    |  )"},
          {kOneDigit},
          {R"([\p{P}!-/:-@\[-`{-~])"},
          {kGpt2}},
         false,
         true},
        {"gemma4", {{kLinesApart}}, false, true, true},
        {"granite-embed-multi-311m", {{kLinesApart}}, false, false, true},
        {"sarvam-moe", {{kLinesApart}}, false, false, true},
    };
    return rules;
}

}  // namespace

std::span<const PreTokenizerRule> all_pre_tokenizers() {
    return table();
}

Result<const PreTokenizerRule*> find_pre_tokenizer_rule(std::string_view name) {
    const auto& rules = table();
    const auto rule = std::find_if(rules.begin(), rules.end(),
                                   [name](const auto& row) { return row.name == name; });
    if (rule != rules.end()) return &*rule;
    std::string known;
    for (const auto& row : rules) (known += known.empty() ? "" : ", ") += row.name;
    return Error{ErrorCode::unsupported,
                 "tokenizer.ggml.pre: " + printable(name) + ", expected one of " + known};
}

}  // namespace kvasir
