// What of a Hugging Face directory's text files reaches the model; files cut and flipped.
#include <boost/test/unit_test.hpp>

#include "daemon/model/hf/hf_directory.hpp"
#include "daemon/model/open_model.hpp"
#include "tests/support/model_run.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/tiny_hf.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;
namespace json = boost::json;
using Path = std::filesystem::path;

}  // namespace

BOOST_AUTO_TEST_SUITE(hf_directory)

BOOST_AUTO_TEST_CASE(text_files_reach_the_model) {
    const TempDir dir;
    HfBuilder directory = tiny_directory();
    directory.config["bos_token_id"] = 0;
    directory.config["eos_token_id"] = json::array{257, 65};
    directory.tokenizer_config = {{"bos_token", "<s>"},
                                  {"eos_token", {{"content", "<|im_end|>"}, {"lstrip", false}}},
                                  {"add_bos_token", true},
                                  {"chat_template",
                                   {{{"name", "rag"}, {"template", "no"}},
                                    {{"name", "tool_use"}, {"template", "{{ tools }}"}},
                                    {{"name", "default"}, {"template", "{{ bos_token }}"}}}}};
    directory.write(dir.path());
    write_text(dir.path() / "generation_config.json", R"({"eos_token_id": 66})");
    const auto model = load_model(dir.path()).value();
    const Tokenizer& tokenizer = *model->tokenizer();
    BOOST_TEST(model->chat_template() == "{{ bos_token }}");
    BOOST_TEST(model->tool_template() == "{{ tools }}");
    BOOST_TEST(model->bos_text() == "<s>");
    BOOST_TEST(model->eos_text() == "<|im_end|>");
    BOOST_TEST((tokenizer.bos() == TokenId{256}));
    BOOST_TEST(tokenizer.add_bos());
    for (const TokenId end : {257U, 258U, 65U, 66U})
        BOOST_TEST(tokenizer.is_end_of_generation(end), "token " << end << " ends");
    BOOST_TEST(!tokenizer.is_end_of_generation(67));
    BOOST_TEST(model->name() == dir.path().filename().string());

    write_text(dir.path() / "chat_template.jinja", "{{ messages }}");
    const auto again = open_model(dir.path()).value();
    BOOST_TEST(again.source->find_string("tokenizer.chat_template").value().value() ==
               "{{ messages }}");
    const char* const tool_key = "tokenizer.chat_template.tool_use";
    BOOST_TEST(!again.source->find_string(tool_key).value().has_value());
    std::filesystem::create_directory(dir.path() / "additional_chat_templates");
    write_text(dir.path() / "additional_chat_templates" / "tool_use.jinja", "{{ tools | tojson }}");
    const auto with_tools = open_model(dir.path()).value();
    BOOST_TEST(with_tools.source->find_string(tool_key).value().value() == "{{ tools | tojson }}");
    // A tokenizer alone needs no weights.
    std::filesystem::remove(dir.path() / "model.safetensors");
    BOOST_TEST(open_model(dir.path()).has_error());
    BOOST_TEST(open_tokenizer(dir.path()).value()->n_vocab() == 259U);
}

BOOST_AUTO_TEST_CASE(an_added_token_without_a_row_is_left_out_and_a_null_bos_is_none) {
    const TempDir dir;
    HfBuilder directory = tiny_directory();
    directory.tokenizer = byte_tokenizer({"<s>", "</s>", "<|im_end|>", "<a>", "<image>"});
    directory.tokenizer_config = {{"bos_token", nullptr}};
    directory.write(dir.path());
    const auto opened = open_model(dir.path()).value();
    BOOST_TEST(opened.tokenizer->n_vocab() == 260U);
    BOOST_TEST(!opened.tokenizer->find_special("<image>").has_value());
    BOOST_TEST(!opened.tokenizer->bos().has_value());
}

BOOST_AUTO_TEST_CASE(a_directory_without_a_tokenizer_is_a_model_without_one) {
    const TempDir dir;
    HfBuilder directory = tiny_directory();
    directory.tokenizer.clear();
    directory.write(dir.path());
    BOOST_TEST((load_model(dir.path()).value()->tokenizer() == nullptr));
    BOOST_TEST((open_tokenizer(dir.path()).error().code == ErrorCode::not_found));
}

BOOST_AUTO_TEST_CASE(the_files_that_decide_the_numbers_are_all_of_them) {
    const TempDir dir;
    tiny_directory().write(dir.path(), 3);
    const auto files = find_model_files(dir.path()).value();
    BOOST_TEST_REQUIRE(files.size() == 4U);
    BOOST_TEST(files[0].filename() == "config.json");
    BOOST_TEST(files[3].filename() == HfBuilder::shard_name(2, 3));
    BOOST_TEST(is_hf_directory(dir.path()));
}

/// config.json and the index, whatever their bytes: an error or a source, never a crash.
BOOST_AUTO_TEST_CASE(text_files_with_any_bit_flipped_or_cut_do_not_crash) {
    const TempDir dir;
    tiny_directory().write(dir.path(), 2);
    for (const char* name : {"config.json", "model.safetensors.index.json"}) {
        const Path path = dir.path() / name;
        const std::vector<std::byte> good = read_file(path);
        for (std::size_t at = 0; at < good.size(); at += 7) {
            std::vector<std::byte> bytes(good);
            bytes[at] ^= std::byte(1U << (at % 8));
            write_bytes(path, bytes);
            const auto flipped = open_model(dir.path());
            if (flipped.has_error()) BOOST_TEST_REQUIRE(!flipped.error().message.empty());
            write_bytes(path, std::span(good).first(at));
            BOOST_TEST_REQUIRE(open_model(dir.path()).has_error(), name << " cut to " << at);
        }
        write_bytes(path, good);
    }
    BOOST_TEST(open_model(dir.path()).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
