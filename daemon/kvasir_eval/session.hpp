// What every model command of kvasir-eval shares: options, a loaded model with its cache, and
// running sequences in it.
#pragma once

#include <boost/program_options.hpp>
#include <memory>
#include <string>
#include <vector>

#include "cache/kv_cache.hpp"
#include "daemon/engine/host_pages.hpp"
#include "daemon/engine/sequence_state.hpp"
#include "daemon/kvasir_eval/commands.hpp"
#include "daemon/model/model.hpp"

namespace kvasir::eval {

namespace options = boost::program_options;

/// --model, --kv, --device, --sinks, --recent, --validation and their variables. Commands add their
/// own.
options::options_description common_options();
/// Errors: invalid_argument, naming the option.
Result<options::variables_map> parse(const options::options_description& known,
                                     const Arguments& arguments);

/// A JSON array of token ids, or an object with one under "tokens". Errors: io, corrupt.
Result<std::vector<TokenId>> read_tokens(const std::string& path);
/// Errors: io, too_large (over 256 MiB).
Result<std::string> read_text_file(const std::string& path);
/// "0,1,95" -> ids. Errors: invalid_argument.
Result<std::vector<std::uint32_t>> parse_numbers(const std::string& text, const char* option);

/// A model, a cache over all its pages and the open slots; sequences run in it by hand, without the
/// engine's thread.
class Session {
public:
    struct Needs {
        std::uint32_t context = 0;        // longest sequence
        std::uint32_t max_sequences = 1;  // at once
        std::uint32_t step_tokens = 256;
        std::uint32_t max_logit_rows = 1;
        std::string kv;          // instead of --kv
        bool host_tier = false;  // with room for all the device holds
    };
    static Result<std::unique_ptr<Session>> open(const options::variables_map& given,
                                                 const Needs& needs);

    Model& model() { return *model_; }
    KvCache& cache() { return *cache_; }
    SequenceState::Owner owner() { return {*model_, *cache_, *slots_}; }
    Result<SequenceState> begin(std::span<const TokenId> tokens, std::uint32_t max_tokens,
                                KvCache::Lookup lookup = KvCache::Lookup::allowed);
    Result<> check_tokens(std::span<const TokenId> tokens) const;
    /// What is cached for these tokens, to a snapshot in a store under dir, and back from there.
    Result<> save(const std::filesystem::path& dir, std::span<const TokenId> tokens);
    Result<> restore(const std::filesystem::path& dir);

private:
    std::filesystem::path model_path_;
    std::unique_ptr<Model> model_;
    std::unique_ptr<HostPages> host_pages_;
    std::unique_ptr<OpenSlots> slots_;
    std::unique_ptr<KvCache> cache_;
    BranchId branch_ = kNoBranch;  // keeps what was restored
};

/// Index of the largest logit, the lowest among equals.
TokenId argmax(std::span<const float> logits);

}  // namespace kvasir::eval
