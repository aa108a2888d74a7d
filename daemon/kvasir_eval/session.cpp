#include "daemon/kvasir_eval/session.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <iostream>

#include "cache/snapshot_store.hpp"
#include "daemon/engine/numerics.hpp"
#include "daemon/engine/snapshot_pages.hpp"

namespace kvasir::eval {

options::options_description common_options() {
    options::options_description known("options");
    known.add_options()("model", options::value<std::string>()->required(),
                        "model file or directory")(
        "kv", options::value<std::string>()->default_value("f16"),
        "KEYS[:VALUES]: f16, int8, int4; f32 for reference")(
        "device", options::value<std::string>()->default_value(""), "device name or index")(
        "sinks", options::value<std::uint32_t>()->default_value(0),
        "attention sees so many first tokens, and")(
        "recent", options::value<std::uint32_t>()->default_value(0),
        "so many last ones; 0: all tokens")(
        "validation", options::bool_switch(),
        "run under the Vulkan validation layer; any message fails");
    return known;
}

Result<options::variables_map> parse(const options::options_description& known,
                                     const Arguments& arguments) {
    options::variables_map given;
    try {
        options::store(options::command_line_parser(arguments)
                           .options(known)
                           .style(options::command_line_style::default_style &
                                  ~options::command_line_style::allow_guessing)
                           .run(),
                       given);
        options::notify(given);
    } catch (const options::error& e) {
        return Error{ErrorCode::invalid_argument, e.what()};
    }
    return given;
}

Result<std::string> read_text_file(const std::string& path) {
    constexpr std::size_t kMostBytes = 256U << 20U;
    std::ifstream file(path, std::ios::binary);
    if (!file) return Error{ErrorCode::io, fmt::format("{}: cannot be opened", path)};
    std::string text;
    std::array<char, 1 << 16> piece{};
    while (file.read(piece.data(), piece.size()), file.gcount() > 0) {
        text.append(piece.data(), static_cast<std::size_t>(file.gcount()));
        if (text.size() > kMostBytes)
            return Error{ErrorCode::too_large,
                         fmt::format("{}: more than {} bytes", path, kMostBytes)};
    }
    if (file.bad()) return Error{ErrorCode::io, fmt::format("{}: cannot be read", path)};
    return text;
}

Result<std::vector<TokenId>> read_tokens(const std::string& path) {
    KVASIR_TRY(const std::string text, read_text_file(path));
    boost::system::error_code failed;
    boost::json::value value = boost::json::parse(text, failed);
    if (failed)
        return Error{ErrorCode::corrupt, fmt::format("{}: not JSON: {}", path, failed.message())};
    if (value.is_object() && value.as_object().contains("tokens")) {
        boost::json::value inner = value.as_object()["tokens"];
        value = std::move(inner);
    }
    if (!value.is_array() || value.as_array().empty()) {
        return Error{
            ErrorCode::corrupt,
            fmt::format(
                "{}: expected an array of token ids, or an object with one under \"tokens\"",
                path)};
    }
    std::vector<TokenId> tokens;
    for (const boost::json::value& id : value.as_array()) {
        boost::system::error_code wrong;
        const auto number = id.to_number<std::uint32_t>(wrong);
        if (wrong)
            return Error{ErrorCode::corrupt,
                         fmt::format("{}: element {} is no token id", path, tokens.size())};
        tokens.push_back(number);
    }
    return tokens;
}

Result<std::vector<std::uint32_t>> parse_numbers(const std::string& text, const char* option) {
    if (text.empty())
        return Error{ErrorCode::invalid_argument,
                     fmt::format("--{}: expected numbers separated by commas", option)};
    std::vector<std::uint32_t> numbers;
    const char* at = text.data();
    const char* end = text.data() + text.size();
    while (at < end) {
        std::uint32_t number = 0;
        const auto [next, failed] = std::from_chars(at, end, number);
        if (failed != std::errc{} || (next < end && *next != ',')) {
            return Error{
                ErrorCode::invalid_argument,
                fmt::format("--{} {}: expected numbers separated by commas", option, text)};
        }
        numbers.push_back(number);
        at = next < end ? next + 1 : next;
    }
    return numbers;
}

Result<std::unique_ptr<Session>> Session::open(const options::variables_map& given,
                                               const Needs& needs) {
    const std::string kv = needs.kv.empty() ? given["kv"].as<std::string>() : needs.kv;
    ModelOptions model{.path = given["model"].as<std::string>(),
                       .device = {.name = given["device"].as<std::string>(),
                                  .validation = given["validation"].as<bool>(),
                                  .pipeline_cache_dir = {}},
                       .kv = {},
                       .context = needs.context,
                       .sinks = given["sinks"].as<std::uint32_t>(),
                       .recent = given["recent"].as<std::uint32_t>(),
                       .max_sequences = needs.max_sequences,
                       .step_tokens = needs.step_tokens,
                       .max_logit_rows = needs.max_logit_rows};
    if (const char* dir = std::getenv("KVASIR_DEVICE_PIPELINE_CACHE_DIR"))
        model.device.pipeline_cache_dir = dir;
    if (model.sinks > 0 && model.recent == 0) {
        return Error{ErrorCode::invalid_argument,
                     "--sinks: given without --recent, expected both or neither"};
    }
    KVASIR_TRY(model.kv, parse_kv_formats(kv));
    auto session = std::make_unique<Session>();
    session->model_path_ = model.path;
    KVASIR_TRY(session->model_, Model::load(model, {}));
    session->slots_ = std::make_unique<OpenSlots>(session->model_->n_open_slots());
    KvCache::Options cache{.n_pages = session->model_->n_pages()};
    cache.open_slots = session->slots_.get();
    roll_pages(cache, *session->model_);
    if (needs.host_tier) {
        session->host_pages_ = std::make_unique<HostPages>(
            *session->model_, cache.n_pages * session->model_->kv().shape().page_bytes());
        cache.n_host_slots = session->host_pages_->n_slots();
        cache.mover = session->host_pages_.get();
    }
    session->cache_ = std::make_unique<KvCache>(cache);
    return session;
}

Result<SequenceState> Session::begin(std::span<const TokenId> tokens, std::uint32_t max_tokens,
                                     KvCache::Lookup lookup) {
    KVASIR_TRY_VOID(check_tokens(tokens));
    if (max_tokens > model_->context_length()) {
        return Error{ErrorCode::too_large, fmt::format("{} tokens, the context holds {}",
                                                       max_tokens, model_->context_length())};
    }
    return SequenceState::begin(owner(), DomainId{0}, tokens, max_tokens, 0, lookup);
}

namespace {

/// No time passes for snapshots of a measurement.
constexpr std::uint64_t kNowMs = 1;
constexpr std::uint64_t kStoreBytes = std::uint64_t{1} << 40U;
const SnapshotKey kKey{.domain = "kvasir-eval", .kind = HolderKind::session, .name = "tokens"};

}  // namespace

Result<> Session::save(const std::filesystem::path& dir, std::span<const TokenId> tokens) {
    KVASIR_TRY(const auto store,
               SnapshotStore::open({.dir = dir, .budget_bytes = kStoreBytes}, kNowMs));
    const std::vector<NodeId> path = cache_->tree().match(DomainId{0}, tokens);
    const PlannedBranch branch{.tip = path.empty() ? kNoNode : path.back(), .context = {}};
    SnapshotPlan plan = plan_snapshot(cache_->tree(), {&branch, 1});
    plan.head.domain = store->domain_fingerprint(kKey.domain);
    plan.head.name = kKey.name;
    plan.head.page_bytes = model_->kv().shape().page_bytes();
    KVASIR_TRY(plan.head.numerics, numerics_fingerprint(*model_, model_path_));
    KVASIR_TRY(SnapshotWriter writer, store->create(kKey));
    std::vector<std::byte> bytes(plan.head.page_bytes);
    for (const NodeId node : plan.nodes) {
        if (cache_->tree().is_hollow(node)) {
            KVASIR_TRY_VOID(writer.add_absent_page());
            continue;
        }
        KVASIR_TRY_VOID(read_cached_page(*model_, host_pages_.get(), cache_->tree(), node, bytes));
        KVASIR_TRY_VOID(writer.add_page(bytes));
    }
    KVASIR_TRY_VOID(writer.finish(plan.head));
    return store->publish(writer, kNowMs);
}

Result<> Session::restore(const std::filesystem::path& dir) {
    KVASIR_TRY(const auto store,
               SnapshotStore::open({.dir = dir, .budget_bytes = kStoreBytes}, kNowMs));
    KVASIR_TRY(const Fingerprint numerics, numerics_fingerprint(*model_, model_path_));
    KVASIR_TRY(SnapshotReader reader, store->read(kKey, numerics, kNowMs));
    std::vector<std::byte> bytes(reader.head().page_bytes);
    SnapshotRestore restored(*model_, *cache_, DomainId{0}, reader.head());
    while (!restored.is_whole()) {
        KVASIR_TRY_VOID(reader.read_page(restored.next(), bytes));
        KVASIR_TRY_VOID(restored.take(bytes, 0));
    }
    branch_ = cache_->open_branch();
    for (const NodeId tip : restored.tips()) cache_->move_branch(branch_, tip);
    return {};
}

Result<> Session::check_tokens(std::span<const TokenId> tokens) const {
    for (const TokenId id : tokens) {
        if (id >= model_->shape().n_vocab) {
            return Error{ErrorCode::invalid_argument, fmt::format("token {}: the vocabulary has {}",
                                                                  id, model_->shape().n_vocab)};
        }
    }
    return {};
}

TokenId argmax(std::span<const float> logits) {
    return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace kvasir::eval
