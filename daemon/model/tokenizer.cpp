#include "daemon/model/tokenizer.hpp"

#include <utility>

#include "config/base/check.hpp"
#include "daemon/model/tokenizer_impl.hpp"
#include "daemon/model/utf8.hpp"

namespace kvasir {
namespace {

constexpr std::size_t kMaxPieceBytes = std::size_t{1} << 30;  // symbols are numbered with 32 bits

struct EncodeScratch {
    std::vector<std::string_view> pieces;
    std::vector<TokenId> symbols;
    BpeMerges::Scratch merging;
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, Special special) const {
    std::vector<TokenId> ids;
    EncodeScratch scratch;
    const auto encode_piece = [&](std::string_view piece) {
        if (const auto whole = impl_->whole_pieces.find(piece);
            whole != impl_->whole_pieces.end()) {
            ids.push_back(whole->second);
            return;
        }
        scratch.symbols.clear();
        for (const char byte : piece) {
            const auto& tokens = impl_->byte_tokens[static_cast<unsigned char>(byte)];
            scratch.symbols.insert(scratch.symbols.end(), tokens.begin(), tokens.end());
        }
        impl_->merges.apply(scratch.symbols, scratch.merging, ids);
    };
    const auto encode_plain = [&](std::string_view plain) {
        scratch.pieces.clear();
        impl_->pre_tokenizer.split(plain, scratch.pieces);
        for (std::string_view piece : scratch.pieces) {
            for (; piece.size() > kMaxPieceBytes; piece.remove_prefix(kMaxPieceBytes))
                encode_piece(piece.substr(0, kMaxPieceBytes));
            encode_piece(piece);
        }
    };
    std::size_t begin = 0;  // of the text since the last special token
    for (std::size_t at = 0; at < text.size();) {
        const auto match = impl_->specials.match(text.substr(at), special == Special::parse);
        if (!match) {
            ++at;
            continue;
        }
        encode_plain(text.substr(begin, at - begin));
        ids.push_back(match->id);
        at += match->n_bytes;
        begin = at;
    }
    encode_plain(text.substr(begin));
    return ids;
}

std::string Tokenizer::token_bytes(TokenId id, bool with_special) const {
    KVASIR_CHECK(id < impl_->n_vocab, "a token id is below n_vocab");
    if (impl_->is_control[id] && !with_special) return {};
    return std::string(impl_->bytes_of(id));
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool with_special) const {
    std::string text;
    for (const TokenId id : ids) {
        KVASIR_CHECK(id < impl_->n_vocab, "a token id is below n_vocab");
        if (!impl_->is_control[id] || with_special) text += impl_->bytes_of(id);
    }
    return text;
}

std::uint32_t Tokenizer::n_vocab() const {
    return impl_->n_vocab;
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

bool Tokenizer::is_end_of_generation(TokenId id) const {
    return id < impl_->n_vocab && impl_->is_end[id];
}

IncrementalDetokenizer::IncrementalDetokenizer(std::shared_ptr<const Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)) {}

std::string IncrementalDetokenizer::push(TokenId id) {
    pending_ += tokenizer_->token_bytes(id);
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
