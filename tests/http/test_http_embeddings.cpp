// The routes for embeddings over a socket: shapes, many inputs, errors.
#include <algorithm>
#include <atomic>
#include <boost/json/serialize.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <unistd.h>

#include "daemon/http/embedding_writer.hpp"
#include "tests/http/http_fixture.hpp"

namespace json = boost::json;
using namespace kvasir;
using namespace kvasir::testing;

namespace {

struct EmbeddingsFixture : HttpFixture {
    RawResponse post(const char* path, const json::value& body) {
        return client().post(path, json::serialize(body));
    }
    RawResponse embed(const json::value& body) { return post("/v1/embeddings", body); }

    static std::vector<float> numbers(const json::value& array) {
        std::vector<float> values;
        for (const json::value& one : array.as_array()) values.push_back(one.to_number<float>());
        return values;
    }
    /// What the answer must hold for the engine's i-th request.
    std::vector<float> expected(std::size_t i, std::size_t n_values = 8) const {
        return normalized(FakeEngine::embedding_of(engine->requests().at(i), 8), n_values);
    }
    static json::array texts(std::size_t n) {
        json::array all;
        for (std::size_t i = 0; i < n; ++i) all.emplace_back("text " + std::to_string(i));
        return all;
    }
    static json::array ids(std::size_t n) {
        json::array all;
        for (std::size_t i = 0; i < n; ++i) all.emplace_back(i % 97);
        return all;
    }
};

std::vector<float> from_base64(std::string_view text) {
    const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    std::uint32_t bits = 0;
    int n_bits = 0;
    for (const char c : text) {
        if (c == '=') break;
        bits = bits << 6U | static_cast<std::uint32_t>(digits.find(c));
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        bytes += static_cast<char>(bits >> n_bits & 0xffU);
    }
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(http_embeddings, EmbeddingsFixture)

BOOST_AUTO_TEST_CASE(an_answer_has_openais_shape) {
    engine->set_cached_tokens(2);
    const RawResponse response =
        embed({{"model", "any"}, {"input", {"Once upon", "a time there was"}}, {"user", "u"}});
    BOOST_TEST(response.status == 200);
    BOOST_TEST(response.headers.at("content-type") == "application/json");
    const json::value body = parsed(response);
    BOOST_TEST(body.at("object").as_string() == "list");
    BOOST_TEST(body.at("model").as_string() == "tales-5m");
    const json::array& data = body.at("data").as_array();
    BOOST_REQUIRE(data.size() == 2U);
    const auto requests = engine->requests();
    BOOST_REQUIRE(requests.size() == 2U);
    for (std::size_t i = 0; i < 2; ++i) {
        BOOST_TEST(data[i].at("object").as_string() == "embedding");
        BOOST_TEST(data[i].at("index").as_int64() == static_cast<std::int64_t>(i));
        BOOST_TEST(numbers(data[i].at("embedding")) == expected(i),
                   boost::test_tools::per_element());
        BOOST_TEST((requests[i].pooling == Pooling::last));
        BOOST_TEST(requests[i].domain == ::getuid());
        BOOST_TEST(!requests[i].request_id.empty());
    }
    const auto n_tokens =
        static_cast<std::int64_t>(requests[0].prompt.size() + requests[1].prompt.size());
    BOOST_TEST(body.at("usage").at("prompt_tokens").as_int64() == n_tokens);
    BOOST_TEST(body.at("usage").at("total_tokens").as_int64() == n_tokens);
    BOOST_TEST(!body.at("usage").as_object().contains("completion_tokens"));
    BOOST_TEST(body.at("usage").at("prompt_tokens_details").at("cached_tokens").as_int64() == 4);
}

BOOST_AUTO_TEST_CASE(base64_holds_the_same_floats) {
    for (const json::value& dimensions : {json::value(nullptr), json::value(5)}) {
        json::object body{{"input", "Once upon"}, {"dimensions", dimensions}};
        const json::value plain = parsed(embed(body));
        body["encoding_format"] = "base64";
        const json::value coded = parsed(embed(body));
        const std::vector<float> values = numbers(plain.at("data").at(0).at("embedding"));
        BOOST_TEST(values.size() == (dimensions.is_null() ? 8U : 5U));
        BOOST_TEST(from_base64(coded.at("data").at(0).at("embedding").as_string()) == values,
                   boost::test_tools::per_element());
        BOOST_TEST(values == expected(0, values.size()), boost::test_tools::per_element());
        double squares = 0;
        for (const float value : values) squares += double{value} * double{value};
        BOOST_TEST(std::abs(squares - 1) < 1e-6);
    }
}

BOOST_AUTO_TEST_CASE(inputs_are_texts_or_tokens_and_names_reach_the_engine) {
    embed({{"input", ids(5)}, {"pooling", "mean"}, {"session_id", "s"}, {"context", "c"}});
    embed({{"input", {ids(3), ids(4)}}, {"cache_salt", "salt"}});
    RawClient with_header = client();
    with_header.send(post_request("/v1/embeddings", R"({"input":"a"})", "X-Session-Id: h\r\n"));
    BOOST_TEST(with_header.read_response().status == 200);
    const auto requests = engine->requests();
    BOOST_REQUIRE(requests.size() == 4U);
    BOOST_TEST(requests[0].prompt == (std::vector<TokenId>{0, 1, 2, 3, 4}),
               boost::test_tools::per_element());
    BOOST_TEST((requests[0].pooling == Pooling::mean));
    BOOST_TEST(requests[0].session == "s");
    BOOST_TEST(requests[0].context == "c");
    BOOST_TEST(requests[0].page_domain == requests[0].domain);
    BOOST_TEST(requests[2].prompt.size() == 4U);
    BOOST_TEST(requests[2].page_domain != requests[2].domain);
    BOOST_TEST(requests[3].session == "h");
    BOOST_TEST(requests[3].prompt == tales_tokenizer()->encode("a", Tokenizer::Special::parse),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(many_inputs_are_with_the_engine_a_few_at_a_time_and_come_in_order) {
    constexpr std::size_t kInputs = 300;
    engine->set_pace(std::chrono::microseconds(200));
    std::atomic<std::size_t> n_most{0};
    engine->set_on_submit([&](const GenerationRequest&) -> std::optional<Error> {
        n_most = std::max(n_most.load(), engine->n_running() + 1);
        return std::nullopt;
    });
    const json::value body = parsed(embed({{"input", texts(kInputs)}}));
    const json::array& data = body.at("data").as_array();
    BOOST_REQUIRE(data.size() == kInputs);
    for (std::size_t i = 0; i < kInputs; ++i) {
        GenerationRequest alone;
        alone.prompt =
            tales_tokenizer()->encode("text " + std::to_string(i), Tokenizer::Special::parse);
        alone.pooling = Pooling::last;
        BOOST_TEST_REQUIRE(data[i].at("index").as_int64() == static_cast<std::int64_t>(i));
        BOOST_TEST_REQUIRE(
            numbers(data[i].at("embedding")) == normalized(FakeEngine::embedding_of(alone, 8), 8),
            boost::test_tools::per_element());
    }
    BOOST_TEST(n_most <= options.limits.n_inputs_at_once);
    BOOST_TEST(n_most > 1U);
}

BOOST_AUTO_TEST_CASE(a_queue_full_in_between_is_waited_for) {
    std::atomic<std::size_t> n_asked{0};
    std::atomic<std::size_t> n_refused{0};
    engine->set_pace(std::chrono::microseconds(200));
    engine->set_on_submit([&](const GenerationRequest&) -> std::optional<Error> {
        // Not of the first ones, and only while others of this request run.
        if (++n_asked <= 16 || n_asked % 3 != 0 || engine->n_running() < 2) return std::nullopt;
        ++n_refused;
        return Error{ErrorCode::exhausted, "queue: full"};
    });
    const RawResponse response = embed({{"input", texts(60)}});
    BOOST_TEST(response.status == 200);
    BOOST_TEST(parsed(response).at("data").as_array().size() == 60U);
    BOOST_TEST(n_refused > 0U);
}

BOOST_AUTO_TEST_CASE(a_refusal_in_between_ends_the_request_and_what_runs_of_it) {
    std::atomic<std::size_t> n_asked{0};
    engine->set_on_submit([&](const GenerationRequest&) -> std::optional<Error> {
        if (++n_asked <= 20) return std::nullopt;
        return Error{ErrorCode::device_lost, "the device is gone"};
    });
    const RawResponse response = embed({{"input", texts(60)}});
    BOOST_TEST(response.status == 503);
    BOOST_TEST(error_field(response, "code") == "device_lost");
    BOOST_TEST(eventually([&] { return engine->n_running() == 0U; }));
    BOOST_TEST(engine->requests().size() == 20U);
}

BOOST_AUTO_TEST_CASE(errors_of_the_engine_have_their_status) {
    engine->fail_after(1, {ErrorCode::corrupt, "not finite"});
    BOOST_TEST(embed({{"input", "a"}}).status == 500);
    engine->fail_after(0, {ErrorCode::corrupt, "none"});
    engine->set_on_submit([](const GenerationRequest&) -> std::optional<Error> {
        return Error{ErrorCode::exhausted, "queue: full"};
    });
    const RawResponse full = embed({{"input", texts(3)}});
    BOOST_TEST(full.status == 429);
    BOOST_TEST(full.headers.count("retry-after") == 1U);
    engine->set_on_submit(
        [](const GenerationRequest&) -> std::optional<Error> { throw std::bad_alloc(); });
    BOOST_TEST(embed({{"input", texts(3)}}).status == 503);
}

BOOST_AUTO_TEST_CASE(a_client_that_leaves_cancels_what_runs_and_the_rest_is_never_submitted) {
    engine->set_pace(std::chrono::milliseconds(20));
    {
        RawClient leaver = client();
        leaver.send(
            post_request("/v1/embeddings", json::serialize(json::value{{"input", texts(500)}})));
        BOOST_TEST(eventually([&] { return engine->requests().size() >= 16U; }));
    }
    BOOST_TEST(eventually([&] { return engine->n_running() == 0U; }));
    const std::size_t n = engine->requests().size();
    BOOST_TEST(n < 500U);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    BOOST_TEST(engine->requests().size() == n);
}

BOOST_AUTO_TEST_CASE(an_input_over_the_context_is_named_and_an_empty_one_too) {
    const auto check = [&](const json::value& input, const char* param, const char* code) {
        const RawResponse response = embed({{"input", input}});
        BOOST_TEST(response.status == 400);
        BOOST_TEST(error_field(response, "param") == param);
        BOOST_TEST(error_field(response, "code") == code);
        BOOST_TEST(error_field(response, "type") == "invalid_request_error");
    };
    check(ids(513), "input", "context_length_exceeded");
    check({ids(1), ids(513)}, "input[1]", "context_length_exceeded");
    check(json::string(1 << 20, 'a'), "input", "context_length_exceeded");
    check({"a", json::string(1 << 20, 'a')}, "input[1]", "context_length_exceeded");
    check("", "input", "null");
    check(json::array{}, "input", "null");
    check({"a", ""}, "input[1]", "null");
    check(json::array{ids(1), json::array{}}, "input[1]", "null");
    BOOST_TEST(engine->requests().empty());
    BOOST_TEST(embed({{"input", ids(512)}}).status == 200);
}

BOOST_AUTO_TEST_CASE(ollamas_routes_have_ollamas_shapes) {
    const json::value several =
        parsed(post("/api/embed", {{"model", "any"}, {"input", {"Once", "upon a time"}}}));
    BOOST_TEST(several.at("model").as_string() == "tales-5m");
    BOOST_REQUIRE(several.at("embeddings").as_array().size() == 2U);
    for (std::size_t i = 0; i < 2; ++i)
        BOOST_TEST(numbers(several.at("embeddings").at(i)) == expected(i),
                   boost::test_tools::per_element());
    BOOST_TEST(several.at("prompt_eval_count").as_int64() ==
               static_cast<std::int64_t>(engine->requests()[0].prompt.size() +
                                         engine->requests()[1].prompt.size()));
    BOOST_TEST(several.at("total_duration").as_int64() > 0);
    BOOST_TEST(several.at("load_duration").as_int64() == 0);

    const json::value cut =
        parsed(post("/api/embed", {{"input", "Once"}, {"dimensions", 3}, {"pooling", "mean"}}));
    BOOST_TEST(numbers(cut.at("embeddings").at(0)) == expected(2, 3),
               boost::test_tools::per_element());
    BOOST_TEST((engine->requests()[2].pooling == Pooling::mean));

    const json::value single = parsed(post("/api/embeddings", {{"prompt", "Once"}}));
    BOOST_TEST(single.as_object().size() == 1U);
    BOOST_TEST(numbers(single.at("embedding")) == expected(3), boost::test_tools::per_element());

    // Ollama loads the model and has no vectors.
    BOOST_TEST(parsed(post("/api/embed", {{"model", "any"}})).at("embeddings").as_array().empty());
    BOOST_TEST(
        parsed(post("/api/embeddings", {{"prompt", ""}})).at("embedding").as_array().empty());
    BOOST_TEST(engine->requests().size() == 4U);
}

BOOST_AUTO_TEST_CASE(ollamas_inputs_are_cut_at_the_context_unless_told_otherwise) {
    std::string longer;
    while (longer.size() < 8000) longer += "once upon a time ";
    const std::vector<TokenId> all = tales_tokenizer()->encode(longer, Tokenizer::Special::parse);
    BOOST_REQUIRE(all.size() > 512U);
    BOOST_TEST(post("/api/embed", {{"input", longer}}).status == 200);
    BOOST_TEST(
        engine->requests().at(0).prompt == std::vector<TokenId>(all.begin(), all.begin() + 512),
        boost::test_tools::per_element());
    for (const RawResponse& refused : {post("/api/embed", {{"input", longer}, {"truncate", false}}),
                                       post("/api/embeddings", {{"prompt", longer}})}) {
        BOOST_TEST(refused.status == 400);
        BOOST_TEST(parsed(refused).at("error").is_string());
    }
    BOOST_TEST(post("/api/embeddings", {{"prompt", longer}, {"truncate", true}}).status == 200);
    const RawResponse empty = post("/api/embed", {{"input", {"a", ""}}});
    BOOST_TEST(empty.status == 400);
    BOOST_TEST(parsed(empty).at("error").as_string().starts_with("input[1]: "));
}

BOOST_AUTO_TEST_CASE(other_methods_and_a_model_that_loads_are_refused) {
    const RawResponse get = client().get("/v1/embeddings");
    BOOST_TEST(get.status == 405);
    BOOST_TEST(get.headers.at("allow") == "POST");
    engine->set_state({.phase = EngineState::Phase::loading, .progress = 0.5, .error = {}});
    for (const char* path : {"/v1/embeddings", "/api/embed", "/api/embeddings"})
        BOOST_TEST(post(path, {{"input", "a"}}).status == 503);
}

BOOST_AUTO_TEST_SUITE_END()
