#include "daemon/model/hf/safetensors_header.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <unordered_set>
#include <utility>

#include "quant/model_source.hpp"

namespace kvasir {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxTensors = 1U << 18U;  // unfused experts of large models stay below
constexpr std::size_t kMaxNameBytes = 512;
constexpr std::size_t kMaxDims = 8;
constexpr std::string_view kMetadata = "__metadata__";  // strings about the file

/// What the parser calls. `{"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}`
class HeaderHandler {
public:
    // The parser's own limits; ours say which tensor it was.
    static constexpr std::size_t max_object_size = std::size_t(-1);
    static constexpr std::size_t max_array_size = std::size_t(-1);
    static constexpr std::size_t max_key_size = 1U << 16U;
    static constexpr std::size_t max_string_size = 1U << 24U;

    std::vector<SafetensorsHeaderEntry> entries;
    Error failure{ErrorCode::corrupt, ""};  // with a message: what stopped the parser

    bool on_document_begin(json::error_code&) { return true; }
    bool on_document_end(json::error_code&) { return true; }

    bool on_object_begin(json::error_code& ec) {
        if (in_list_ != nullptr || level_ == 2)
            return fail(ec, "an object inside a tensor's entry");
        ++level_;
        if (level_ == 2 && !in_metadata_) {
            entries.push_back({.name = key_, .dtype = {}, .shape = {}});
            seen_ = 0;
            offsets_.clear();
        }
        return true;
    }
    bool on_object_end(std::size_t, json::error_code& ec) {
        if (level_-- == 1) return true;
        if (std::exchange(in_metadata_, false)) return true;
        if (seen_ != kAll) return fail(ec, "expected dtype, shape and data_offsets");
        if (offsets_.size() != 2)
            return fail(
                ec, "data_offsets of " + std::to_string(offsets_.size()) + " numbers, expected 2");
        entries.back().begin = offsets_[0];
        entries.back().end = offsets_[1];
        return true;
    }
    bool on_array_begin(json::error_code& ec) {
        if (level_ != 2 || in_metadata_ || in_list_ != nullptr)
            return fail(ec, "a misplaced array");
        if (member_ == kShape) in_list_ = &entries.back().shape;
        if (member_ == kOffsets) in_list_ = &offsets_;
        return in_list_ != nullptr || fail(ec, "dtype is an array, expected a string");
    }
    bool on_array_end(std::size_t, json::error_code&) {
        in_list_ = nullptr;
        return true;
    }

    bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
        text_ += std::string_view(part);
        return true;
    }
    bool on_key(json::string_view part, std::size_t, json::error_code& ec) {
        text_ += std::string_view(part);
        const std::string key = std::exchange(text_, {});
        return level_ == 1 ? begin_tensor(key, ec) : in_metadata_ || begin_member(key, ec);
    }
    bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
        text_ += std::string_view(part);
        return true;
    }
    bool on_string(json::string_view part, std::size_t, json::error_code& ec) {
        text_ += std::string_view(part);
        std::string text = std::exchange(text_, {});
        if (in_metadata_ && level_ == 2) return true;
        if (level_ != 2 || in_list_ != nullptr || member_ != kDtype)
            return fail(ec, "a misplaced string");
        entries.back().dtype = std::move(text);
        return true;
    }
    bool on_number_part(json::string_view, json::error_code&) { return true; }
    bool on_int64(std::int64_t number, json::string_view, json::error_code& ec) {
        if (number < 0) return fail(ec, std::to_string(number) + ", expected no negative number");
        return on_uint64(static_cast<std::uint64_t>(number), {}, ec);
    }
    bool on_uint64(std::uint64_t number, json::string_view, json::error_code& ec) {
        if (in_list_ == nullptr) return fail(ec, "a misplaced number");
        if (in_list_->size() == kMaxDims)
            return fail(ec, "more than " + std::to_string(kMaxDims) + " dimensions");
        in_list_->push_back(number);
        return true;
    }
    bool on_double(double, json::string_view, json::error_code& ec) {
        return fail(ec, "a fraction, expected a whole number");
    }
    bool on_bool(bool, json::error_code& ec) { return fail(ec, "a misplaced true or false"); }
    bool on_null(json::error_code& ec) { return fail(ec, "a misplaced null"); }
    bool on_comment_part(json::string_view, json::error_code&) { return true; }
    bool on_comment(json::string_view, json::error_code&) { return true; }

private:
    enum Member : unsigned { kDtype = 1, kShape = 2, kOffsets = 4, kAll = 7 };

    bool fail(json::error_code& ec, const std::string& what) {
        ec = json::error::syntax;
        failure.message = key_.empty() ? what : printable(key_) + ": " + what;
        return false;
    }

    bool begin_tensor(const std::string& name, json::error_code& ec) {
        key_ = name;
        if (name.empty() || name.size() > kMaxNameBytes)
            return fail(ec, "a name of " + std::to_string(name.size()) + " bytes, expected 1 to " +
                                std::to_string(kMaxNameBytes));
        if (names_.size() == kMaxTensors) {
            failure.code = ErrorCode::too_large;
            return fail(ec, "more than " + std::to_string(kMaxTensors) + " tensors");
        }
        if (!names_.insert(name).second) return fail(ec, "present twice, expected once");
        in_metadata_ = name == kMetadata;
        return true;
    }

    bool begin_member(const std::string& name, json::error_code& ec) {
        if (name == "dtype") {
            member_ = kDtype;
        } else if (name == "shape") {
            member_ = kShape;
        } else if (name == "data_offsets") {
            member_ = kOffsets;
        } else {
            return fail(ec, "unknown member " + printable(name));
        }
        if ((seen_ & member_) != 0) return fail(ec, name + " twice, expected once");
        seen_ |= member_;
        return true;
    }

    int level_ = 0;  // objects open
    bool in_metadata_ = false;
    std::vector<std::uint64_t>* in_list_ = nullptr;  // the array open
    std::string key_;                                // of the tensor
    Member member_ = kDtype;
    unsigned seen_ = 0;
    std::vector<std::uint64_t> offsets_;
    std::string text_;  // a key or string so far
    std::unordered_set<std::string> names_;
};

}  // namespace

Result<std::vector<SafetensorsHeaderEntry>> parse_safetensors_header(std::string_view text) {
    if (!text.starts_with('{'))
        return Error{ErrorCode::corrupt, "header: expected to begin with `{`"};
    json::parse_options options;
    options.max_depth = 4;
    json::basic_parser<HeaderHandler> parser(options);
    json::error_code ec;
    const std::size_t n = parser.write_some(false, text.data(), text.size(), ec);
    HeaderHandler& handler = parser.handler();
    if (ec) {
        if (!handler.failure.message.empty()) return std::move(handler.failure);
        return Error{ErrorCode::corrupt,
                     "header byte " + std::to_string(n) + ": no JSON: " + ec.message()};
    }
    if (n < text.size()) {
        return Error{ErrorCode::corrupt, "header byte " + std::to_string(n) +
                                             ": more after the end of the JSON, expected spaces"};
    }
    return std::move(handler.entries);
}

}  // namespace kvasir
