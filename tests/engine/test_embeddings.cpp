// Embeddings through the engine, with the bundled model: the same vector whatever else runs and
// whatever is cached.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <future>
#include <thread>

#include "daemon/engine/engine.hpp"
#include "tests/support/collector.hpp"
#include "tests/support/corrupt.hpp"
#include "tests/support/tiny_model.hpp"
#include "tests/support/vocabulary.hpp"

using namespace kvasir;
using kvasir::test::Collector;

namespace {

constexpr std::uint32_t kContext = 512;

EngineOptions options(std::uint32_t step_tokens) {
    EngineOptions o;
    o.model.path = KVASIR_TEST_DATA "/tales-5m-q8_0.gguf";
    o.model.device.validation = true;
    o.model.kv = {shared::kKvInt8, shared::kKvInt8};
    o.model.max_sequences = 4;
    o.model.step_tokens = step_tokens;
    return o;
}

Engine& engine() {
    static const std::unique_ptr<Engine> instance = Engine::create(options(96), {}).value();
    return *instance;
}

constexpr std::string_view kText =
    "Once upon a time there was a king who had three daughters, and the youngest was so fair that "
    "the sun himself, who has seen so much, wondered each time he shone over her. Near the castle "
    "lay a great dark wood, and in the wood, under an old lime tree, was a well, and when the day "
    "was warm";

/// In a domain of its own where a case must find nothing cached.
GenerationRequest embedding_of(std::string_view text, Pooling pooling, std::uint32_t domain) {
    GenerationRequest r;
    r.prompt = engine().model()->tokenizer->encode(text, Tokenizer::Special::ignore);
    r.pooling = pooling;
    r.domain = domain;
    r.page_domain = domain;
    return r;
}

std::shared_ptr<Collector> run(Engine& on, GenerationRequest request) {
    auto sink = std::make_shared<Collector>();
    on.submit(std::move(request), sink).value();
    sink->wait();
    return sink;
}

std::vector<float> embed(GenerationRequest request) {
    const auto sink = run(engine(), std::move(request));
    BOOST_TEST_REQUIRE((sink->end.reason == FinishReason::stop));
    BOOST_TEST(sink->tokens.empty());
    BOOST_TEST(sink->text.empty());
    return sink->end.embedding;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(embeddings)

BOOST_AUTO_TEST_CASE(a_vector_is_the_same_cold_cached_chunked_and_in_company) {
    for (const Pooling pooling : {Pooling::last, Pooling::mean}) {
        const std::uint32_t domain = 100 + static_cast<std::uint32_t>(pooling);
        const auto cold = run(engine(), embedding_of(kText, pooling, domain));
        const std::vector<float> expected = cold->end.embedding;
        BOOST_TEST(expected.size() == engine().model()->embedding_length);
        BOOST_TEST(cold->end.n_cached_tokens == 0U);
        BOOST_TEST(cold->end.n_generated_tokens == 0U);

        const auto again = run(engine(), embedding_of(kText, pooling, domain));
        BOOST_TEST(again->end.embedding == expected, boost::test_tools::per_element());
        BOOST_TEST(again->end.n_cached_tokens ==
                   (pooling == Pooling::last ? again->end.n_prompt_tokens - 1 : 0));

        const auto other_steps = Engine::create(options(33), {}).value();
        const auto chunked = run(*other_steps, embedding_of(kText, pooling, domain));
        BOOST_TEST(chunked->end.embedding == expected, boost::test_tools::per_element());

        std::vector<std::shared_ptr<Collector>> sinks;
        for (std::uint32_t i = 0; i < 8; ++i) {
            GenerationRequest r = embedding_of(i == 5 ? kText : kText.substr(9 * i), pooling, 200);
            if (i % 2 == 0) {
                r.pooling.reset();
                r.max_tokens = 30;
                r.ignore_eos = true;
            }
            sinks.push_back(std::make_shared<Collector>());
            engine().submit(std::move(r), sinks.back()).value();
        }
        for (const auto& sink : sinks) sink->wait();
        BOOST_TEST(sinks[5]->end.embedding == expected, boost::test_tools::per_element());
        BOOST_TEST(sinks[4]->end.n_generated_tokens == 30U);
        BOOST_TEST(sinks[4]->end.embedding.empty());
        BOOST_TEST(sinks[3]->end.embedding != expected);
    }
}

BOOST_AUTO_TEST_CASE(the_mean_is_that_of_every_openings_last_vector) {
    const GenerationRequest whole = embedding_of(kText, Pooling::mean, 300);
    const std::vector<float> mean = embed(whole);
    std::vector<double> sum(mean.size());
    for (std::size_t n = 1; n <= whole.prompt.size(); ++n) {
        GenerationRequest opening = whole;
        opening.pooling = Pooling::last;
        opening.prompt.resize(n);
        const std::vector<float> last = embed(std::move(opening));
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += double{last[i]};
    }
    std::vector<float> expected(sum.size());
    for (std::size_t i = 0; i < sum.size(); ++i)
        expected[i] = static_cast<float>(sum[i] / static_cast<double>(whole.prompt.size()));
    BOOST_TEST(whole.prompt.size() > 64U);
    BOOST_TEST(mean == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(pages_are_shared_with_completions_inside_a_domain_alone) {
    GenerationRequest story = embedding_of(kText, Pooling::last, 400);
    story.pooling.reset();
    story.max_tokens = 1;
    (void)run(engine(), story);
    const auto n_prompt = static_cast<std::uint32_t>(story.prompt.size());
    const auto same = run(engine(), embedding_of(kText, Pooling::last, 400));
    BOOST_TEST(same->end.n_cached_tokens == n_prompt - 1);
    const auto other = run(engine(), embedding_of(kText, Pooling::last, 401));
    BOOST_TEST(other->end.n_cached_tokens == 0U);
    BOOST_TEST(same->end.embedding == other->end.embedding, boost::test_tools::per_element());
    // And the other way round: what an embedding computed, a mean one too, a completion finds.
    (void)embed(embedding_of(kText, Pooling::mean, 402));
    story.domain = 402;
    story.page_domain = 402;
    BOOST_TEST(run(engine(), story)->end.n_cached_tokens == n_prompt - 1);
}

BOOST_AUTO_TEST_CASE(equal_openings_that_arrive_together_are_computed_once_but_for_means) {
    for (const Pooling pooling : {Pooling::last, Pooling::mean}) {
        const GenerationRequest request =
            embedding_of(kText, pooling, 500 + static_cast<std::uint32_t>(pooling));
        std::promise<void> all_sent;
        engine()
            .post([sent = all_sent.get_future().share()](CacheControl&) { sent.wait(); })
            .value();
        std::vector<std::shared_ptr<Collector>> sinks;
        for (int i = 0; i < 3; ++i) {
            sinks.push_back(std::make_shared<Collector>());
            engine().submit(request, sinks.back()).value();
        }
        all_sent.set_value();
        std::size_t n_found = 0;
        for (const auto& sink : sinks) {
            sink->wait();
            BOOST_TEST(sink->end.embedding == sinks[0]->end.embedding,
                       boost::test_tools::per_element());
            n_found += sink->end.n_cached_tokens;
        }
        const std::size_t n_shared = (request.prompt.size() - 1) / 32 * 32;
        BOOST_TEST(n_found == (pooling == Pooling::last ? 2 * n_shared : 0));
    }
}

BOOST_AUTO_TEST_CASE(a_session_keeps_its_pages_and_a_cancelled_one_gives_them_back) {
    GenerationRequest kept = embedding_of(kText, Pooling::last, 600);
    kept.session = "notes";
    (void)embed(kept);
    std::promise<std::uint32_t> n_pages;
    engine()
        .post([&](CacheControl& cache) {
            const auto sessions = cache.sessions({.domain = 600});
            n_pages.set_value(sessions.empty() ? 0 : sessions.front().n_pages);
        })
        .value();
    BOOST_TEST(n_pages.get_future().get() == kept.prompt.size() / 32);

    GenerationRequest longer = embedding_of(kText, Pooling::mean, 601);
    while (longer.prompt.size() < kContext) longer.prompt.push_back(longer.prompt.front());
    std::promise<void> cancelled;
    engine().post([sent = cancelled.get_future().share()](CacheControl&) { sent.wait(); }).value();
    auto sink = std::make_shared<Collector>();
    const RequestId id = engine().submit(longer, sink).value();
    engine().cancel(id);
    cancelled.set_value();
    sink->wait();
    BOOST_TEST((sink->end.reason == FinishReason::cancelled));
    BOOST_TEST(sink->end.embedding.empty());
    (void)embed(embedding_of("The end", Pooling::last, 602));
    while (engine().metrics().n_requests_running > 0) std::this_thread::yield();
    BOOST_TEST(engine().metrics().n_pages_leased == 0U);
    BOOST_TEST(sink->n_ends == 1);
}

BOOST_AUTO_TEST_CASE(the_context_is_the_longest_input_and_others_are_refused_by_name) {
    const auto submit = [](const GenerationRequest& r) {
        return engine().submit(r, std::make_shared<Collector>()).error();
    };
    GenerationRequest r = embedding_of(kText, Pooling::last, 700);
    r.prompt.resize(kContext, 5);
    BOOST_TEST(embed(r).size() == engine().model()->embedding_length);
    r.pooling = Pooling::mean;
    BOOST_TEST(embed(r).size() == engine().model()->embedding_length);
    r.prompt.push_back(5);
    BOOST_TEST((submit(r).code == ErrorCode::too_large));
    BOOST_TEST(submit(r).message == "the input has 513 tokens, the context holds 512");
    r.prompt = {4096};
    BOOST_TEST((submit(r).code == ErrorCode::invalid_argument));
    r.prompt.clear();
    BOOST_TEST((submit(r).code == ErrorCode::invalid_argument));
    r.prompt.resize(64, 5);
    r.prefix = PrefixOptions{.name = "both", .ttl = {}};
    BOOST_TEST((submit(r).code == ErrorCode::invalid_argument));
}

BOOST_AUTO_TEST_CASE(the_file_says_whether_an_embedding_is_a_mean) {
    BOOST_TEST((engine().model()->pooling == Pooling::last));
    for (const std::uint32_t type : {0U, 1U, 3U}) {
        const test::Vocabulary vocabulary;
        test::TinyModel tiny({.n_vocab = 256});
        tiny.set("llama.pooling_type", type);
        tiny.more_keys = [&](test::GgufBuilder& builder) { vocabulary.add_to(builder); };
        const test::ScratchFile file(tiny.file());
        EngineOptions o = options(32);
        o.model.path = file.path();
        o.model.device.validation = false;
        const auto info = Engine::create(o, {}).value()->model();
        BOOST_TEST((info->pooling == (type == 1 ? Pooling::mean : Pooling::last)));
        BOOST_TEST(info->embedding_length == 64U);
    }
}

BOOST_AUTO_TEST_SUITE_END()
