#include "daemon/http/constraint.hpp"

#include <mutex>
#include <utility>

#include "daemon/model/tokenizer.hpp"

namespace kvasir {

std::shared_ptr<const grammar::TokenTrie> make_trie(const Tokenizer& tokenizer) {
    std::vector<std::string> bytes;
    std::vector<TokenId> ends;
    for (TokenId id = 0; id < tokenizer.n_vocab(); ++id) {
        bytes.push_back(tokenizer.token_bytes(id));
        if (tokenizer.is_end_of_generation(id)) ends.push_back(id);
    }
    return grammar::TokenTrie::create(std::move(bytes), std::move(ends));
}

namespace {

std::shared_ptr<const grammar::TokenTrie> find_trie(const ModelInfo& model) {
    static std::mutex mutex;
    static std::weak_ptr<const Tokenizer> owner;
    static std::shared_ptr<const grammar::TokenTrie> trie;
    const std::lock_guard lock(mutex);
    if (trie == nullptr || owner.lock() != model.tokenizer) {
        trie = make_trie(*model.tokenizer);
        owner = model.tokenizer;
    }
    return trie;
}

}  // namespace

std::shared_ptr<const grammar::Constraint> find_constraint(
    const ModelInfo& model, const std::shared_ptr<const grammar::Grammar>& grammar) {
    if (grammar == nullptr) return nullptr;
    return std::make_shared<const grammar::Constraint>(
        grammar::Constraint{grammar, find_trie(model)});
}

}  // namespace kvasir
