// The engine with the bundled model: what requests are promised, whatever else runs.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <future>
#include <thread>

#include "daemon/engine/engine.hpp"
#include "tests/support/collector.hpp"

using namespace kvasir;
using kvasir::test::Collector;

namespace {

EngineOptions options() {
    EngineOptions o;
    o.model.path = KVASIR_TEST_DATA "/tales-5m-q8_0.gguf";
    o.model.device.validation = true;
    o.model.kv = {shared::kKvInt8, shared::kKvInt8};
    o.model.max_sequences = 4;
    o.model.step_tokens = 96;
    return o;
}

/// One engine for all cases: loading compiles every kernel under the validation layer.
Engine& engine() {
    static const std::unique_ptr<Engine> instance = Engine::create(options(), {}).value();
    return *instance;
}

GenerationRequest story(std::string_view opening, std::uint32_t max_tokens, std::uint64_t seed) {
    GenerationRequest r;
    r.prompt = engine().model()->tokenizer->encode(opening, Tokenizer::Special::ignore);
    r.max_tokens = max_tokens;
    r.ignore_eos = true;
    r.sampling.seed = seed;
    return r;
}

std::shared_ptr<Collector> run(GenerationRequest request) {
    auto sink = std::make_shared<Collector>();
    engine().submit(std::move(request), sink).value();
    sink->wait();
    return sink;
}

constexpr std::string_view kOpening =
    "Once upon a time there was a king who had three daughters, and the youngest was so fair that "
    "the sun himself, who has seen "
    "so much, wondered each time he shone over her.";

}  // namespace

BOOST_AUTO_TEST_SUITE(engine_requests)

BOOST_AUTO_TEST_CASE(openings_that_arrive_together_are_computed_once) {
    constexpr int kCopies = 4;
    const GenerationRequest request =
        story("Seven ravens flew over the glass hill. " + std::string(kOpening) + " And they " +
                  std::string(kOpening),
              4, 1);
    std::promise<void> all_sent;
    engine().post([sent = all_sent.get_future().share()](CacheControl&) { sent.wait(); }).value();
    std::vector<std::shared_ptr<Collector>> sinks;
    for (int i = 0; i < kCopies; ++i) {
        sinks.push_back(std::make_shared<Collector>());
        engine().submit(request, sinks.back()).value();
    }
    all_sent.set_value();
    std::size_t n_found = 0;
    for (const auto& sink : sinks) {
        sink->wait();
        BOOST_TEST(sink->text == sinks[0]->text);
        n_found += sink->end.n_cached_tokens;
    }
    const std::size_t n_shared = (request.prompt.size() - 1) / 32 * 32;
    BOOST_REQUIRE(n_shared >= 64);
    BOOST_TEST(n_found == (kCopies - 1) * n_shared);
}

BOOST_AUTO_TEST_CASE(a_seed_gives_the_same_text_alone_in_company_and_on_cached_pages) {
    const auto alone = run(story(kOpening, 40, 11));
    BOOST_TEST(alone->end.n_generated_tokens == 40);
    BOOST_TEST((alone->end.reason == FinishReason::length));
    std::vector<std::shared_ptr<Collector>> sinks;
    for (std::uint64_t i = 0; i < 9; ++i) {
        sinks.push_back(std::make_shared<Collector>());
        engine()
            .submit(story(i == 5 ? kOpening : kOpening.substr(0, 20 + 9 * i), 40, i == 5 ? 11 : i),
                    sinks.back())
            .value();
    }
    for (const auto& sink : sinks) sink->wait();
    BOOST_TEST(sinks[5]->text == alone->text);
    BOOST_TEST(sinks[5]->end.n_cached_tokens == 32);
    BOOST_TEST(sinks[4]->text != alone->text);
}

BOOST_AUTO_TEST_CASE(another_domain_finds_nothing) {
    (void)run(story(kOpening, 2, 1));
    GenerationRequest other = story(kOpening, 2, 1);
    other.domain = 77;
    other.page_domain = 77;
    BOOST_TEST(run(std::move(other))->end.n_cached_tokens == 0);
    // Its own finds all but the last token: the open page stayed, too.
    const auto again = run(story(kOpening, 2, 1));
    BOOST_TEST(again->end.n_cached_tokens == again->end.n_prompt_tokens - 1);
}

BOOST_AUTO_TEST_CASE(cancel_ends_once_and_gives_the_pages_back) {
    auto sink = std::make_shared<Collector>();
    const RequestId id = engine().submit(story(kOpening, 400, 3), sink).value();
    sink->wait_for_tokens(3);
    engine().cancel(id);
    engine().cancel(id);
    sink->wait();
    BOOST_TEST((sink->end.reason == FinishReason::cancelled));
    BOOST_TEST(sink->end.n_generated_tokens < 400);
    (void)run(story("The end", 1, 1));
    BOOST_TEST(sink->n_ends == 1);
    while (engine().metrics().n_requests_running > 0) std::this_thread::yield();
    BOOST_TEST(engine().metrics().n_pages_leased == 0);
}

BOOST_AUTO_TEST_CASE(a_stop_string_ends_the_text_before_it) {
    const auto whole = run(story(kOpening, 40, 11));
    GenerationRequest r = story(kOpening, 40, 11);
    const std::string stop = whole->text.substr(whole->text.size() / 2, 4);
    r.stop = {stop};
    const auto cut = run(std::move(r));
    BOOST_TEST((cut->end.reason == FinishReason::stop));
    BOOST_TEST(cut->text == whole->text.substr(0, whole->text.find(stop)));
}

BOOST_AUTO_TEST_CASE(logprobs_name_the_drawn_token_and_the_best_ones) {
    GenerationRequest r = story(kOpening, 5, 1);
    r.sampling.temperature = 0;
    r.logprobs = true;
    r.n_top_logprobs = 3;
    const auto sink = run(std::move(r));
    BOOST_REQUIRE_EQUAL(sink->tokens.size(), 5);
    for (const GeneratedToken& token : sink->tokens) {
        BOOST_REQUIRE_EQUAL(token.top.size(), 3);
        BOOST_TEST(token.top[0].id == token.id);
        BOOST_TEST(token.logprob == token.top[0].logprob);
        BOOST_TEST(token.top[0].logprob >= token.top[1].logprob);
        BOOST_TEST(token.logprob < 0);
    }
}

BOOST_AUTO_TEST_CASE(the_background_makes_room_and_goes_on_with_the_same_text) {
    const auto background = [](std::uint64_t seed) {
        GenerationRequest r = story(kOpening, 150, seed);
        r.priority = Priority::background;
        if (seed == 21) r.session = "paused";
        return r;
    };
    std::vector<std::shared_ptr<Collector>> sinks;
    for (std::uint64_t seed = 20; seed < 24; ++seed) {  // every place
        sinks.push_back(std::make_shared<Collector>());
        engine().submit(background(seed), sinks.back()).value();
    }
    for (const auto& sink : sinks) sink->wait_for_tokens(5);
    const std::uint64_t n_before = engine().metrics().n_requests_paused_total;
    std::vector<std::shared_ptr<Collector>> urgent;
    for (std::uint64_t seed = 30; seed < 33; ++seed) {
        urgent.push_back(std::make_shared<Collector>());
        engine().submit(story(kOpening, 20, seed), urgent.back()).value();
    }
    for (const auto& sink : urgent) sink->wait();
    for (const auto& sink : sinks) BOOST_TEST(sink->n_ends == 0);
    BOOST_TEST(engine().metrics().n_requests_paused_total - n_before == 3);
    for (std::uint64_t i = 0; i < 4; ++i) {
        sinks[i]->wait();
        BOOST_TEST(sinks[i]->end.n_generated_tokens == 150);
        GenerationRequest alone = background(20 + i);
        alone.priority = Priority::interactive;
        alone.session.clear();
        alone.domain = alone.page_domain = 90;  // computed anew
        BOOST_TEST(run(std::move(alone))->text == sinks[i]->text);
    }
    BOOST_TEST(engine().metrics().n_requests_paused == 0);
}

BOOST_AUTO_TEST_CASE(what_has_paused_ends_when_it_is_told_to) {
    std::vector<std::pair<RequestId, std::shared_ptr<Collector>>> paused;
    const auto submit = [&](std::uint64_t seed, std::uint32_t n_tokens, const char* session) {
        GenerationRequest r = story(kOpening, n_tokens, seed);
        r.priority = *session == '-' ? Priority::interactive : Priority::background;
        if (*session == 's') r.session = session;
        auto sink = std::make_shared<Collector>();
        const RequestId id = engine().submit(std::move(r), sink).value();
        return std::pair(id, sink);
    };
    for (const char* session : {"", "s-cancelled", "s-ended", ""})
        paused.push_back(submit(40, 300, session));
    for (const auto& [id, sink] : paused) sink->wait_for_tokens(2);
    std::vector<std::pair<RequestId, std::shared_ptr<Collector>>> urgent;
    for (std::uint64_t i = 0; i < 3; ++i) urgent.push_back(submit(50 + i, 100, "-"));
    while (engine().metrics().n_requests_paused < 3) std::this_thread::yield();
    engine().cancel(paused[1].first);
    engine()
        .post([](CacheControl& cache) { (void)cache.end_session({}, "s-ended").value(); })
        .value();
    for (const std::size_t i : {1, 2}) {
        paused[i].second->wait();
        BOOST_TEST((paused[i].second->end.reason == FinishReason::cancelled));
        BOOST_TEST(paused[i].second->end.n_generated_tokens >= 2);
    }
    for (const auto& [id, sink] : urgent) {
        sink->wait();
        BOOST_TEST(sink->end.n_generated_tokens == 100);
    }
    for (const std::size_t i : {0, 3}) {
        paused[i].second->wait();
        BOOST_TEST(paused[i].second->end.n_generated_tokens == 300);
    }
    engine().post([](CacheControl& cache) { (void)cache.end_session({}, "s-cancelled"); }).value();
    while (engine().metrics().n_requests_running > 0) std::this_thread::yield();
    BOOST_TEST(engine().metrics().n_pages_leased == 0);
}

BOOST_AUTO_TEST_CASE(the_background_goes_on_though_others_always_wait) {
    std::vector<std::shared_ptr<Collector>> urgent;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        urgent.push_back(std::make_shared<Collector>());
        engine().submit(story(kOpening, 80, seed), urgent.back()).value();
    }
    GenerationRequest r = story(kOpening, 200, 70);
    r.priority = Priority::background;
    const auto background = std::make_shared<Collector>();
    const RequestId id = engine().submit(std::move(r), background).value();
    urgent[7]->wait();
    engine().cancel(id);
    background->wait();
    BOOST_TEST(background->end.n_generated_tokens > 0);
    BOOST_TEST(background->end.n_generated_tokens < 40);
    for (const auto& sink : urgent) sink->wait();
}

BOOST_AUTO_TEST_CASE(the_background_gives_up_pages_that_others_need) {
    EngineOptions small = options();
    // About as many pages as one longest sequence takes, beside the open ones.
    small.model.kv_budget_bytes = engine().metrics().kv_bytes_per_token * 32 * 27;
    const std::unique_ptr<Engine> full = Engine::create(small, {}).value();
    BOOST_REQUIRE(full->metrics().n_pages_total >= 14);
    BOOST_REQUIRE(full->metrics().n_pages_total < 20);
    GenerationRequest r = story(kOpening, 400, 60);
    r.priority = Priority::background;
    auto background = std::make_shared<Collector>();
    full->submit(r, background).value();
    background->wait_for_tokens(100);
    auto urgent = std::make_shared<Collector>();
    full->submit(story("A fox came to the river.", 300, 61), urgent).value();
    urgent->wait();
    BOOST_TEST(urgent->end.n_generated_tokens == 300);
    BOOST_TEST(background->n_ends == 0);
    BOOST_TEST(full->metrics().n_requests_paused_total == 1);
    background->wait();
    BOOST_TEST(background->end.n_generated_tokens == 400);
    r.priority = Priority::interactive;
    BOOST_TEST(run(std::move(r))->text == background->text);
}

BOOST_AUTO_TEST_CASE(generation_ends_with_the_context) {
    const auto sink = run(story(kOpening, 100'000, 5));
    BOOST_TEST((sink->end.reason == FinishReason::length));
    BOOST_TEST(sink->end.n_prompt_tokens + sink->end.n_generated_tokens == 512);
}

BOOST_AUTO_TEST_CASE(requests_that_cannot_run_are_refused_by_name) {
    const auto refused = [](GenerationRequest r) {
        return engine().submit(std::move(r), std::make_shared<Collector>()).error();
    };
    GenerationRequest empty = story(kOpening, 1, 1);
    empty.prompt.clear();
    BOOST_TEST((refused(empty).code == ErrorCode::invalid_argument));
    GenerationRequest none = story(kOpening, 1, 1);
    none.max_tokens = 0;
    BOOST_TEST((refused(none).code == ErrorCode::invalid_argument));
    GenerationRequest foreign = story(kOpening, 1, 1);
    foreign.prompt.push_back(4096);
    BOOST_TEST(refused(foreign).message == "prompt: token 4096, the vocabulary has 4096");
    GenerationRequest biased = story(kOpening, 1, 1);
    biased.sampling.logit_bias = {{5000, 1.0F}};
    BOOST_TEST((refused(biased).code == ErrorCode::invalid_argument));
    GenerationRequest longer = story(kOpening, 1, 1);
    longer.prompt.resize(512, 5);
    const Error error = refused(longer);
    BOOST_TEST((error.code == ErrorCode::too_large));
    BOOST_TEST(error.message.find("512") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_background_leaves_half_of_the_queue_to_others) {
    EngineOptions small = options();
    small.max_queue = 4;
    small.model.max_sequences = 1;
    small.model.device.validation = false;
    const auto busy = Engine::create(small, {}).value();
    std::promise<void> all_sent;  // until then nothing is taken from the queue
    busy->post([sent = all_sent.get_future().share()](CacheControl&) { sent.wait(); }).value();
    std::vector<std::shared_ptr<Collector>> sinks;
    const auto submit = [&](Priority priority) {
        GenerationRequest r = story(kOpening, 3, sinks.size());
        r.priority = priority;
        const auto sink = std::make_shared<Collector>();
        const bool is_taken = busy->submit(std::move(r), sink).has_value();
        if (is_taken) sinks.push_back(sink);
        return is_taken;
    };
    for (const bool is_taken : {true, true, false})
        BOOST_TEST(submit(Priority::background) == is_taken);
    for (const bool is_taken : {true, true, false})
        BOOST_TEST(submit(Priority::interactive) == is_taken);
    all_sent.set_value();
    for (const auto& sink : sinks) {
        sink->wait();
        BOOST_TEST(sink->end.n_generated_tokens == 3);
    }
    while (busy->metrics().n_requests_waiting > 0) std::this_thread::yield();
    BOOST_TEST(submit(Priority::background));
    sinks.back()->wait();
}

BOOST_AUTO_TEST_CASE(the_queue_has_an_end_and_stopping_ends_every_request) {
    EngineOptions small = options();
    small.max_queue = 2;
    small.model.max_sequences = 1;
    small.model.device.validation = false;
    std::vector<std::shared_ptr<Collector>> sinks;
    int n_refused = 0;
    {
        const auto busy = Engine::create(small, {}).value();
        for (int i = 0; i < 8; ++i) {
            sinks.push_back(std::make_shared<Collector>());
            const auto submitted = busy->submit(story(kOpening, 450, 1), sinks.back());
            if (submitted.has_error()) {
                BOOST_TEST((submitted.error().code == ErrorCode::exhausted));
                sinks.pop_back();
                ++n_refused;
            }
        }
    }
    BOOST_TEST(n_refused >= 5);
    BOOST_TEST(sinks.size() >= 2);
    for (const auto& sink : sinks) {
        BOOST_TEST(sink->n_ends == 1);
        BOOST_TEST((sink->end.reason == FinishReason::cancelled));
    }
}

BOOST_AUTO_TEST_SUITE_END()
