// Any bytes as a tokenizer.json: refused with a reason, or a tokenizer that keeps its promises.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "config/base/check.hpp"
#include "daemon/model/tokenizer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto made = kvasir::Tokenizer::create_from_json(bytes, {});
    if (made.has_error()) {
        KVASIR_CHECK(!made.error().message.empty(), "an error says what is wrong");
        return 0;
    }
    const kvasir::Tokenizer& tokenizer = **made;
    // The file's own bytes are the text most likely to meet its tokens.
    const std::string_view text(reinterpret_cast<const char*>(data), size < 512 ? size : 512);
    for (const auto special :
         {kvasir::Tokenizer::Special::ignore, kvasir::Tokenizer::Special::parse}) {
        const auto ids = tokenizer.encode(text, special);
        for (const auto id : ids) KVASIR_CHECK(id < tokenizer.n_vocab(), "ids are tokens");
        (void)tokenizer.decode(ids, true);
        kvasir::IncrementalDetokenizer detokenizer(*made);
        for (const auto id : ids) (void)detokenizer.push(id);
        (void)detokenizer.finish();
    }
    return 0;
}
