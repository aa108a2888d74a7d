#include "cache/trace.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>

namespace kvasir {
namespace {

constexpr int kMaxNesting = 16;  // of values that are skipped

/// Reads one line of JSON, as much of the language as it takes to find two keys and step over the
/// rest. Every member returns false where the text is not what it expects, and sets expected.
class LineScanner {
public:
    explicit LineScanner(std::string_view text) : text_(text) {}

    std::size_t offset() const { return offset_; }
    std::string_view expected() const { return expected_; }

    bool request(TraceRequest& request) {
        if (!take('{')) return fail("an object");
        bool has_pages = false;
        for (bool first = true; !take('}'); first = false) {
            if (!first && !take(',')) return fail("',' or '}'");
            std::string_view key;
            if (!string(key) || !take(':')) return fail("a key and ':'");
            if (key == "timestamp") {
                if (!number(request.timestamp_ms)) return false;
            } else if (key == "hash_ids") {
                if (!pages(request.pages)) return false;
                has_pages = true;
            } else if (!skip_value(0)) {
                return false;
            }
        }
        skip_space();
        if (offset_ != text_.size()) return fail("nothing after the object");
        return has_pages || fail("hash_ids");
    }

private:
    bool fail(std::string_view expected) {
        expected_ = expected;
        return false;
    }
    void skip_space() {
        offset_ = std::min(text_.find_first_not_of(" \t\r", offset_), text_.size());
    }
    bool take(char wanted) {
        skip_space();
        if (offset_ == text_.size() || text_[offset_] != wanted) return false;
        ++offset_;
        return true;
    }
    bool number(std::uint64_t& value) {
        skip_space();
        const char* begin = text_.data() + offset_;
        const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
        if (error != std::errc()) return fail("an integer of 64 bits");
        offset_ += static_cast<std::size_t>(end - begin);
        return true;
    }
    bool string(std::string_view& value) {
        if (!take('"')) return fail("a string");
        const std::size_t begin = offset_;
        while (offset_ < text_.size() && text_[offset_] != '"')
            offset_ += text_[offset_] == '\\' ? 2 : 1;
        if (offset_ >= text_.size()) return fail("the string's end");
        value = text_.substr(begin, offset_++ - begin);
        return true;
    }
    bool pages(std::vector<std::uint64_t>& pages) {
        pages.clear();
        if (!take('[')) return fail("an array");
        if (take(']')) return true;
        do {
            pages.emplace_back();
            if (!number(pages.back())) return false;
        } while (take(','));
        return take(']') || fail("',' or ']'");
    }
    bool skip_value(int depth) {
        if (depth > kMaxNesting) return fail("less nesting");
        skip_space();
        if (offset_ == text_.size()) return fail("a value");
        std::string_view ignored;
        if (text_[offset_] == '"') return string(ignored);
        if (take('[')) return skip_members(']', false, depth);
        if (take('{')) return skip_members('}', true, depth);
        const std::size_t begin = offset_;
        offset_ = std::min(text_.find_first_of(",]} \t\r", offset_), text_.size());
        return offset_ > begin || fail("a value");
    }
    bool skip_members(char close, bool keyed, int depth) {
        for (bool first = true; !take(close); first = false) {
            if (!first && !take(',')) return fail("',' or the end of a list");
            std::string_view key;
            if (keyed && (!string(key) || !take(':'))) return fail("a key and ':'");
            if (!skip_value(depth + 1)) return false;
        }
        return true;
    }

    std::string_view text_;
    std::size_t offset_ = 0;
    std::string_view expected_;
};

}  // namespace

Result<std::vector<TraceRequest>> parse_trace(std::string_view text) {
    std::vector<TraceRequest> trace;
    for (std::size_t n_line = 1; !text.empty(); ++n_line) {
        const std::size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        TraceRequest request;
        LineScanner scanner(line);
        if (!scanner.request(request)) {
            return Error{ErrorCode::corrupt, "trace, line " + std::to_string(n_line) + ", byte " +
                                                 std::to_string(scanner.offset()) + ": expected " +
                                                 std::string(scanner.expected())};
        }
        trace.push_back(std::move(request));
    }
    return trace;
}

Result<std::vector<TraceRequest>> read_trace(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return Error{ErrorCode::io, path.string() + ": cannot be opened"};
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (file.bad()) return Error{ErrorCode::io, path.string() + ": cannot be read"};
    return parse_trace(text);
}

}  // namespace kvasir
