// bench_grammar VOCABULARY.gguf: what a constraint costs a token, with a real vocabulary. For each
// grammar the first token, the mean over a text, and the worst.
#include <boost/json/parse.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "daemon/grammar/json_grammar.hpp"
#include "daemon/grammar/json_schema.hpp"
#include "daemon/http/constraint.hpp"
#include "daemon/model/tokenizer.hpp"
#include "quant/gguf.hpp"
#include "tests/grammar/grammar_walk.hpp"

using namespace kvasir;

/// Of this thread: what else runs on the machine does not count.
struct Clock {
    using duration = std::chrono::nanoseconds;
    static duration now() {
        timespec time{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return std::chrono::seconds(time.tv_sec) + duration(time.tv_nsec);
    }
};

namespace {

double microseconds(Clock::duration duration) {
    return std::chrono::duration<double, std::micro>(duration).count();
}

/// Tokens drawn with equal chances: the worst for a cache of masks.
void measure(const char* name, const std::shared_ptr<const grammar::Constraint>& constraint) {
    std::mt19937 random(1);
    const std::uint32_t n_vocab = constraint->tokens->n_vocab();
    std::vector<float> raw(n_vocab);
    std::vector<float> logits;
    double total = 0;
    double worst = 0;
    double first = 0;  // the automaton is made, nothing is known yet
    std::size_t n_tokens = 0;
    for (int text = 0; text < 8; ++text) {
        grammar::TokenMatcher matcher(constraint);
        for (int i = 0; i < 100 && !matcher.must_end(); ++i) {
            for (float& logit : raw) logit = std::uniform_real_distribution<float>(0, 1)(random);
            logits = raw;
            const auto begin = Clock::now();
            const auto masked = matcher.mask(logits, false);
            const double took = microseconds(Clock::now() - begin);
            if (masked.has_error()) std::printf("  %s\n", masked.error().message.c_str());
            const auto best = std::max_element(logits.begin(), logits.end());
            const auto id = static_cast<TokenId>(best - logits.begin());
            if (constraint->tokens->bytes(id).empty()) break;
            const auto accept_begin = Clock::now();
            const auto accepted = matcher.accept(id);
            if (accepted.has_error()) std::printf("  %s\n", accepted.error().message.c_str());
            const double whole = took + microseconds(Clock::now() - accept_begin);
            if (n_tokens == 0) first = whole;
            total += whole;
            worst = std::max(worst, whole);
            ++n_tokens;
        }
    }
    std::printf("%-34s %5zu tokens  first %7.0f us  mean %7.1f us  worst %7.0f us\n", name,
                n_tokens, first, total / static_cast<double>(n_tokens), worst);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return std::fprintf(stderr, "usage: bench_grammar VOCABULARY.gguf\n"), 2;
    const auto file = GgufFile::open(argv[1]);
    if (file.has_error()) return std::fprintf(stderr, "%s\n", file.error().message.c_str()), 1;
    const auto tokenizer = Tokenizer::create(*file);
    if (tokenizer.has_error())
        return std::fprintf(stderr, "%s\n", tokenizer.error().message.c_str()), 1;
    const auto begin = Clock::now();
    const auto trie = make_trie(**tokenizer);
    std::printf("%u tokens, %u entries of the trie, made in %.0f ms\n", trie->n_vocab(),
                trie->n_entries(), microseconds(Clock::now() - begin) / 1000);
    const auto of = [&](std::shared_ptr<const grammar::Grammar> made) {
        return std::make_shared<const grammar::Constraint>(
            grammar::Constraint{std::move(made), trie});
    };
    measure("json_object", of(grammar::json_object_grammar().value()));
    for (const auto& [name, schema] : std::initializer_list<std::pair<const char*, const char*>>{
             {"string, any length", R"({"type":"string"})"},
             {"string, at most 200", R"({"type":"string","maxLength":200})"},
             {"string, pattern [a-z ]{1,80}", R"({"type":"string","pattern":"^[a-z ]{1,80}$"})"},
             {"integers",
              R"({"type":"array","items":{"type":"integer","minimum":-5,"maximum":999}})"},
             {"record",
              R"({"type":"object","properties":{"name":{"type":"string","maxLength":40},
                  "born":{"type":"string","format":"date"},"mail":{"type":"string","format":"email"},
                  "tags":{"type":"array","items":{"enum":["red","green","blue"]}}},
                  "required":["name","born","mail","tags"],"additionalProperties":false})"}}) {
        const auto schema_begin = Clock::now();
        auto compiled = grammar::compile_schema(boost::json::parse(schema));
        const double took = microseconds(Clock::now() - schema_begin);
        if (compiled.has_error())
            return std::fprintf(stderr, "%s\n", compiled.error().message.c_str()), 1;
        measure(name, of(std::move(*compiled)));
        std::printf("%-34s compiled in %.0f us\n", "", took);
    }
    return 0;
}
