#include "daemon/model/tokenizer.hpp"

#include <utility>

#include "config/base/check.hpp"
#include "daemon/model/tokenizer_impl.hpp"
#include "daemon/model/utf8.hpp"

namespace kvasir {
namespace {

bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, Special special) const {
    std::vector<TokenId> ids;
    std::size_t begin = 0;  // of the text since the last special token
    const auto encode_plain = [&](std::string_view plain) {
        if (plain.empty()) return;
        if (impl_->normalizer.empty()) {
            impl_->encoder->encode(plain, ids);
        } else {
            impl_->encoder->encode(impl_->normalizer.apply(plain, begin == 0), ids);
        }
    };
    for (std::size_t at = 0; at < text.size();) {
        const auto match = impl_->specials.match(text.substr(at), special == Special::parse);
        if (!match) {
            ++at;
            continue;
        }
        std::string_view plain = text.substr(begin, at - begin);
        while (match->strip.left && !plain.empty() && is_space(plain.back()))
            plain.remove_suffix(1);
        encode_plain(plain);
        ids.push_back(match->id);
        at += match->n_bytes;
        while (match->strip.right && at < text.size() && is_space(text[at])) ++at;
        begin = at;
    }
    encode_plain(text.substr(begin));
    return ids;
}

std::string Tokenizer::token_bytes(TokenId id, bool with_special) const {
    KVASIR_CHECK(id < n_vocab(), "a token id is below n_vocab");
    if (impl_->table.kind(id) == TokenKind::control && !with_special) return {};
    return std::string(impl_->table.bytes(id));
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool with_special) const {
    std::string text;
    bool follows_prefix = impl_->leading_space != LeadingSpace::none;
    for (const TokenId id : ids) {
        KVASIR_CHECK(id < n_vocab(), "a token id is below n_vocab");
        const TokenKind kind = impl_->table.kind(id);
        std::string_view bytes = impl_->table.bytes(id);
        if (kind == TokenKind::control || kind == TokenKind::written) {
            if (kind == TokenKind::written || with_special) text += bytes;
            if (impl_->leading_space == LeadingSpace::each) follows_prefix = true;
            continue;
        }
        if (follows_prefix && bytes.starts_with(' ')) bytes.remove_prefix(1);
        follows_prefix = false;
        text += bytes;
    }
    return text;
}

std::uint32_t Tokenizer::n_vocab() const {
    return impl_->table.size();
}

std::optional<TokenId> Tokenizer::find_special(std::string_view text) const {
    return impl_->specials.find(text);
}

std::optional<TokenId> Tokenizer::bos() const {
    return impl_->bos;
}

bool Tokenizer::add_bos() const {
    return impl_->add_bos;
}

std::optional<TokenId> Tokenizer::text_end() const {
    return impl_->text_end;
}

bool Tokenizer::is_end_of_generation(TokenId id) const {
    return id < n_vocab() && impl_->table.is_end(id);
}

IncrementalDetokenizer::IncrementalDetokenizer(std::shared_ptr<const Tokenizer> tokenizer,
                                               std::vector<TokenId> shown)
    : tokenizer_(std::move(tokenizer)), shown_(std::move(shown)) {}

std::string IncrementalDetokenizer::push(TokenId id) {
    const bool is_shown = std::find(shown_.begin(), shown_.end(), id) != shown_.end();
    pending_ += tokenizer_->token_bytes(id, is_shown);
    std::string text;
    std::string_view rest = pending_;
    while (!rest.empty()) {
        const Utf8Step step = utf8_step(rest);
        if (step.kind == Utf8Step::Kind::incomplete) break;
        text += step.kind == Utf8Step::Kind::character ? rest.substr(0, step.n_bytes)
                                                       : kReplacementCharacter;
        rest.remove_prefix(step.n_bytes);
    }
    pending_.erase(0, pending_.size() - rest.size());
    return text;
}

std::string IncrementalDetokenizer::finish() {
    if (std::exchange(pending_, {}).empty()) return {};
    return std::string(kReplacementCharacter);
}

}  // namespace kvasir
