#include "daemon/http/prompt_limit.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <mutex>

#include "daemon/model/tokenizer.hpp"

namespace kvasir {

namespace {

std::size_t longest_token_bytes(const ModelInfo& model) {
    static std::mutex mutex;
    static std::weak_ptr<const Tokenizer> measured;
    static std::size_t longest = 0;
    const std::lock_guard lock(mutex);
    if (measured.lock() == model.tokenizer) return longest;
    longest = 1;
    for (TokenId id = 0; id < model.tokenizer->n_vocab(); ++id)
        longest = std::max(longest, model.tokenizer->token_bytes(id, true).size());
    measured = model.tokenizer;
    return longest;
}

}  // namespace

ApiResult<void> check_prompt_bytes(const ModelInfo& model, std::size_t n_bytes, const char* param) {
    if (n_bytes <= model.context_length) return {};
    const std::size_t longest = longest_token_bytes(model);
    if (n_bytes / longest <= model.context_length) return {};
    return ApiError{
        ErrorKind::context_length_exceeded,
        fmt::format("{}: {} bytes are more than {} tokens, expected at most the context "
                    "of {} tokens",
                    param, n_bytes, n_bytes / longest, model.context_length),
        param};
}

}  // namespace kvasir
