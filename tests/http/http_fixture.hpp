// HttpFixture: a server with a FakeEngine on a socket in its own directory.
#pragma once

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <functional>
#include <stdlib.h>
#include <string>

#include "daemon/http/http_server.hpp"
#include "quant/gguf.hpp"
#include "tests/http/raw_client.hpp"
#include "tests/support/fake_engine.hpp"
#include "tests/support/temp_dir.hpp"

namespace kvasir::testing {

using test::TempDir;

inline std::shared_ptr<const Tokenizer> tales_tokenizer() {
    static const std::shared_ptr<const Tokenizer> tokenizer = [] {
        const GgufFile file = GgufFile::open(KVASIR_TEST_DATA "/tales-5m-q8_0.gguf").value();
        return Tokenizer::create(file).value();
    }();
    return tokenizer;
}

inline std::shared_ptr<const ModelInfo> tales_model() {
    auto model = std::make_shared<ModelInfo>();
    model->id = "tales-5m";
    model->context_length = 512;
    model->tokenizer = tales_tokenizer();
    model->n_vocab = model->tokenizer->n_vocab();
    model->embedding_length = 8;
    model->n_parameters = 5'400'000;
    return model;
}

/// Polls, for what happens on other threads.
inline bool eventually(const std::function<bool()>& holds,
                       std::chrono::milliseconds timeout = std::chrono::milliseconds(10'000)) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

struct HttpFixture {
    HttpFixture() {
        options.socket_path = dir.file("kvasir.sock");
        options.timeouts.linger = std::chrono::milliseconds(300);
    }

    /// Change options before the first use.
    HttpServer& server() {
        if (!server_) server_ = HttpServer::start(options, engine, item_memory).value();
        return *server_;
    }
    void destroy_server() { server_.reset(); }
    RawClient client() {
        server();
        return RawClient::connect_unix(options.socket_path);
    }
    std::string metric(const std::string& name) {
        const std::string text = client().get("/metrics").body;
        const std::size_t at = text.find("\n" + name + " ");
        if (at == std::string::npos) return {};
        const std::size_t from = at + name.size() + 2;
        return text.substr(from, text.find('\n', from) - from);
    }

    TempDir dir;
    HttpOptions options;
    std::shared_ptr<ItemMemory> item_memory = std::make_shared<ItemMemory>();
    std::shared_ptr<FakeEngine> engine = std::make_shared<FakeEngine>(tales_model());

private:
    std::unique_ptr<HttpServer> server_;
};

inline boost::json::value parsed(const RawResponse& response) {
    boost::system::error_code ec;
    boost::json::value value = boost::json::parse(response.body, ec);
    BOOST_REQUIRE_MESSAGE(!ec, "not JSON: " << response.body);
    return value;
}

inline std::string error_field(const RawResponse& response, const char* field) {
    const boost::json::value body = parsed(response);
    const boost::json::value& value = body.at("error").at(field);
    return value.is_string() ? std::string(value.as_string()) : boost::json::serialize(value);
}

/// The data of each event, in order.
inline std::vector<std::string> events_of(const std::string& body) {
    std::vector<std::string> events;
    std::size_t from = 0;
    while (true) {
        const std::size_t end = body.find("\n\n", from);
        if (end == std::string::npos) return events;
        if (body.compare(from, 6, "data: ") == 0)
            events.push_back(body.substr(from + 6, end - from - 6));
        from = end + 2;
    }
}

}  // namespace kvasir::testing
