#include "quant/gguf.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "config/base/bytes.hpp"

namespace kvasir {
namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint32_t kDefaultAlignment = 32;
constexpr std::uint32_t kMaxAlignment = 1U << 20;
constexpr std::uint32_t kMaxDims = 4;
constexpr std::uint64_t kMaxKeyBytes = 65535;      // the specification's limit
constexpr std::uint64_t kMaxTensorNameBytes = 64;  // the specification's limit
constexpr std::uint64_t kMaxKeys = 1U << 16;       // ours
constexpr std::uint64_t kMaxTensors = 1U << 18;  // ours: unfused experts of large models stay below
constexpr std::uint64_t kMaxArrayElements =
    1U << 24;  // ours, all arrays together: one byte may widen to eight
constexpr int kMaxArrayDepth = 4;

constexpr std::uint64_t kStringMinBytes = 8;                  // the length
constexpr std::uint64_t kArrayMinBytes = 4 + 8;               // element type, count
constexpr std::uint64_t kKeyMinBytes = 8 + 4 + 1;             // name, type, value
constexpr std::uint64_t kTensorMinBytes = 8 + 4 + 8 + 4 + 8;  // name, dims, one dim, type, offset

// Source: gguf_metadata_value_type, ggml/docs/gguf.md.
enum class ValueType : std::uint32_t {
    u8 = 0,
    i8 = 1,
    u16 = 2,
    i16 = 3,
    u32 = 4,
    i32 = 5,
    f32 = 6,
    boolean = 7,
    string = 8,
    array = 9,
    u64 = 10,
    i64 = 11,
    f64 = 12,
};

class Parser {
public:
    Parser(std::span<const std::byte> bytes, std::string subject)
        : bytes_(bytes), subject_(std::move(subject)), reader_(bytes, subject_) {}

    Result<> parse();

    std::map<std::string, GgufValue, std::less<>> metadata;
    std::vector<TensorInfo> tensors;
    std::map<std::string_view, std::size_t> tensor_index;

private:
    Error corrupt(const std::string& what) const {
        return {ErrorCode::corrupt, subject_ + ": " + what};
    }
    Error too_large(const std::string& what) const {
        return {ErrorCode::too_large, subject_ + ": " + what};
    }

    Result<std::uint64_t> read_count(const char* what, std::uint64_t min_bytes,
                                     std::uint64_t limit);
    Result<std::string_view> read_string(const char* what);
    Result<> read_metadata(std::uint64_t n_keys);
    Result<GgufValue> read_scalar(ValueType type, std::string_view key);
    Result<std::optional<GgufArray>> read_array(std::string_view key, int depth);
    Result<GgufArray> read_elements(ValueType type, std::uint64_t n, std::string_view key);
    template <class T, class Wide>
    Result<GgufArray> read_numbers(std::uint64_t n, std::string_view key);
    Result<std::uint64_t> read_alignment();
    Result<> read_directory(std::uint64_t n_tensors);
    Result<TensorInfo> read_tensor(std::string_view name);
    Result<> place_tensors(std::uint64_t alignment);
    Result<> check_overlap() const;

    std::span<const std::byte> bytes_;
    std::string subject_;
    ByteReader reader_;
    std::uint64_t n_array_elements_ = 0;
    std::vector<std::uint64_t> offsets_;  // (tensors) from the data section's start
};

/// A count of things that take at least min_bytes each; never more than the rest of the file can
/// hold.
Result<std::uint64_t> Parser::read_count(const char* what, std::uint64_t min_bytes,
                                         std::uint64_t limit) {
    const std::size_t at = reader_.offset();
    KVASIR_TRY(const auto n, reader_.read<std::uint64_t>(what));
    if (n > reader_.remaining() / min_bytes) {
        return corrupt(std::string(what) + " at byte " + std::to_string(at) + ": " +
                       std::to_string(n) + ", expected at most " +
                       std::to_string(reader_.remaining() / min_bytes) + " in the " +
                       std::to_string(reader_.remaining()) + " bytes left");
    }
    if (n > limit) {
        return too_large(std::string(what) + " at byte " + std::to_string(at) + ": " +
                         std::to_string(n) + ", limit " + std::to_string(limit));
    }
    return n;
}

Result<std::string_view> Parser::read_string(const char* what) {
    KVASIR_TRY(const auto n, reader_.read<std::uint64_t>(what));
    KVASIR_TRY(const auto view, reader_.read_bytes(n, what));
    return std::string_view(reinterpret_cast<const char*>(view.data()), view.size());
}

Result<> Parser::parse() {
    KVASIR_TRY(const auto magic, reader_.read<std::uint32_t>("magic"));
    if (magic != kMagic) return corrupt("not a GGUF file: the first four bytes are not \"GGUF\"");
    KVASIR_TRY(const auto version, reader_.read<std::uint32_t>("version"));
    if (version != 2 && version != 3) {
        const bool swapped = version != 0 && (version & 0xffffU) == 0;
        return Error{ErrorCode::unsupported, subject_ + ": GGUF version " +
                                                 std::to_string(version) + ", expected 2 or 3" +
                                                 (swapped ? " (a big-endian file?)" : "")};
    }
    KVASIR_TRY(const auto n_tensors, read_count("tensor count", kTensorMinBytes, kMaxTensors));
    KVASIR_TRY(const auto n_keys, read_count("key count", kKeyMinBytes, kMaxKeys));
    KVASIR_TRY_VOID(read_metadata(n_keys));
    KVASIR_TRY(const auto alignment, read_alignment());
    KVASIR_TRY_VOID(read_directory(n_tensors));
    return place_tensors(alignment);
}

Result<> Parser::read_metadata(std::uint64_t n_keys) {
    std::set<std::string, std::less<>> dropped;
    for (std::uint64_t i = 0; i < n_keys; ++i) {
        KVASIR_TRY(const auto key, read_string("key"));
        if (key.empty() || key.size() > kMaxKeyBytes) {
            return corrupt("key " + std::to_string(i) + ": " + std::to_string(key.size()) +
                           " bytes, expected 1 to " + std::to_string(kMaxKeyBytes));
        }
        if (metadata.contains(key) || dropped.contains(key))
            return corrupt(printable(key) + ": present twice, expected once");
        KVASIR_TRY(const auto raw_type, reader_.read<std::uint32_t>("value type"));
        const auto type = static_cast<ValueType>(raw_type);
        if (type == ValueType::array) {
            KVASIR_TRY(auto array, read_array(key, 1));
            if (array) {
                metadata.emplace(key, std::move(*array));
            } else {
                dropped.emplace(key);
            }
        } else {
            KVASIR_TRY(auto value, read_scalar(type, key));
            metadata.emplace(key, value);
        }
    }
    return {};
}

template <class T, class Wide>
Result<GgufValue> read_as(ByteReader& reader) {
    KVASIR_TRY(const auto value, reader.read<T>("value"));
    return GgufValue(static_cast<Wide>(value));
}

Result<GgufValue> Parser::read_scalar(ValueType type, std::string_view key) {
    switch (type) {
        case ValueType::u8: return read_as<std::uint8_t, std::uint64_t>(reader_);
        case ValueType::u16: return read_as<std::uint16_t, std::uint64_t>(reader_);
        case ValueType::u32: return read_as<std::uint32_t, std::uint64_t>(reader_);
        case ValueType::u64: return read_as<std::uint64_t, std::uint64_t>(reader_);
        case ValueType::i8: return read_as<std::int8_t, std::int64_t>(reader_);
        case ValueType::i16: return read_as<std::int16_t, std::int64_t>(reader_);
        case ValueType::i32: return read_as<std::int32_t, std::int64_t>(reader_);
        case ValueType::i64: return read_as<std::int64_t, std::int64_t>(reader_);
        case ValueType::f32: return read_as<float, double>(reader_);
        case ValueType::f64: return read_as<double, double>(reader_);
        case ValueType::boolean: {
            KVASIR_TRY(const auto value, reader_.read<std::uint8_t>("value"));
            if (value > 1) {
                return corrupt(printable(key) + ": bool " + std::to_string(value) +
                               ", expected 0 or 1");
            }
            return GgufValue(value == 1);
        }
        case ValueType::string: {
            KVASIR_TRY(const auto value, read_string("value"));
            return GgufValue(value);
        }
        case ValueType::array: break;
    }
    return corrupt(printable(key) + ": value type " +
                   std::to_string(static_cast<std::uint32_t>(type)) + ", expected 0 to 12");
}

/// nullopt: an array of arrays, walked and checked but not kept.
Result<std::optional<GgufArray>> Parser::read_array(std::string_view key, int depth) {
    KVASIR_TRY(const auto raw_type, reader_.read<std::uint32_t>("array element type"));
    const auto type = static_cast<ValueType>(raw_type);
    const bool nested = type == ValueType::array;
    const std::uint64_t min_bytes = nested                      ? kArrayMinBytes
                                    : type == ValueType::string ? kStringMinBytes
                                                                : 1;
    KVASIR_TRY(const auto n, read_count("array length", min_bytes, kMaxArrayElements));
    n_array_elements_ += n;  // both below 2^25: no overflow
    if (n_array_elements_ > kMaxArrayElements) {
        return too_large(printable(key) + ": more than " + std::to_string(kMaxArrayElements) +
                         " array elements in the file's metadata");
    }
    if (!nested) {
        KVASIR_TRY(auto array, read_elements(type, n, key));
        return std::optional<GgufArray>(std::move(array));
    }
    if (depth == kMaxArrayDepth) {
        return corrupt(printable(key) + ": arrays nested deeper than " +
                       std::to_string(kMaxArrayDepth));
    }
    for (std::uint64_t i = 0; i < n; ++i) {
        KVASIR_TRY(const auto inner, read_array(key, depth + 1));
        (void)inner;
    }
    return std::optional<GgufArray>();
}

Result<GgufArray> Parser::read_elements(ValueType type, std::uint64_t n, std::string_view key) {
    switch (type) {
        case ValueType::u8: return read_numbers<std::uint8_t, std::int64_t>(n, key);
        case ValueType::i8: return read_numbers<std::int8_t, std::int64_t>(n, key);
        case ValueType::u16: return read_numbers<std::uint16_t, std::int64_t>(n, key);
        case ValueType::i16: return read_numbers<std::int16_t, std::int64_t>(n, key);
        case ValueType::u32: return read_numbers<std::uint32_t, std::int64_t>(n, key);
        case ValueType::i32: return read_numbers<std::int32_t, std::int64_t>(n, key);
        case ValueType::u64: return read_numbers<std::uint64_t, std::int64_t>(n, key);
        case ValueType::i64: return read_numbers<std::int64_t, std::int64_t>(n, key);
        case ValueType::f32: return read_numbers<float, double>(n, key);
        case ValueType::f64: return read_numbers<double, double>(n, key);
        case ValueType::boolean: {
            KVASIR_TRY(auto values, (read_numbers<std::uint8_t, std::int64_t>(n, key)));
            for (const std::int64_t value : std::get<std::vector<std::int64_t>>(values)) {
                if (value > 1) {
                    return corrupt(printable(key) + ": bool " + std::to_string(value) +
                                   ", expected 0 or 1");
                }
            }
            return values;
        }
        case ValueType::string: {
            std::vector<std::string_view> strings;
            strings.reserve(static_cast<std::size_t>(n));
            for (std::uint64_t i = 0; i < n; ++i) {
                KVASIR_TRY(const auto value, read_string("array string"));
                strings.push_back(value);
            }
            return GgufArray(std::move(strings));
        }
        case ValueType::array: break;
    }
    return corrupt(printable(key) + ": array element type " +
                   std::to_string(static_cast<std::uint32_t>(type)) + ", expected 0 to 12");
}

template <class T, class Wide>
Result<GgufArray> Parser::read_numbers(std::uint64_t n, std::string_view key) {
    // n is at most 2^24: the product cannot overflow.
    KVASIR_TRY(const auto view, reader_.read_bytes(n * sizeof(T), "array"));
    std::vector<Wide> values(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < values.size(); ++i) {
        T value{};
        std::memcpy(&value, view.data() + i * sizeof(T), sizeof(T));
        if constexpr (std::is_same_v<T, std::uint64_t>) {
            if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
                return corrupt(printable(key) + ": element " + std::to_string(value) +
                               ", expected below 2^63");
            }
        }
        values[i] =
            static_cast<Wide>(value);  // NOLINT(bugprone-signed-char-misuse): i8 is a number
    }
    return GgufArray(std::move(values));
}

Result<std::uint64_t> Parser::read_alignment() {
    const auto found = metadata.find("general.alignment");
    if (found == metadata.end()) return std::uint64_t{kDefaultAlignment};
    const auto* value = std::get_if<std::uint64_t>(&found->second);
    if (value == nullptr || !std::has_single_bit(*value) || *value > kMaxAlignment) {
        return corrupt(
            "general.alignment: " +
            (value == nullptr ? std::string("not an unsigned integer") : std::to_string(*value)) +
            ", expected a power of two up to " + std::to_string(kMaxAlignment));
    }
    return *value;
}

Result<> Parser::read_directory(std::uint64_t n_tensors) {
    tensors.reserve(static_cast<std::size_t>(n_tensors));
    offsets_.reserve(static_cast<std::size_t>(n_tensors));
    for (std::uint64_t i = 0; i < n_tensors; ++i) {
        KVASIR_TRY(const auto name, read_string("tensor name"));
        if (name.empty() || name.size() > kMaxTensorNameBytes) {
            return corrupt("tensor " + std::to_string(i) + ": a name of " +
                           std::to_string(name.size()) + " bytes, expected 1 to " +
                           std::to_string(kMaxTensorNameBytes));
        }
        if (!tensor_index.emplace(name, tensors.size()).second)
            return corrupt(printable(name) + ": present twice, expected once");
        KVASIR_TRY(auto tensor, read_tensor(name));
        tensors.push_back(std::move(tensor));
    }
    return {};
}

Result<TensorInfo> Parser::read_tensor(std::string_view name) {
    KVASIR_TRY(const auto n_dims, reader_.read<std::uint32_t>("dimension count"));
    if (n_dims == 0 || n_dims > kMaxDims) {
        return corrupt(printable(name) + ": " + std::to_string(n_dims) +
                       " dimensions, expected 1 to " + std::to_string(kMaxDims));
    }
    TensorInfo tensor{std::string(name), 0, std::vector<std::uint64_t>(n_dims), {}, nullptr};
    std::uint64_t n_elements = 1;
    for (std::uint32_t d = 0; d < n_dims; ++d) {
        KVASIR_TRY(const auto extent, reader_.read<std::uint64_t>("dimension"));
        if (extent == 0 || __builtin_mul_overflow(n_elements, extent, &n_elements) ||
            n_elements > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
            return corrupt(printable(name) + ": dimension " + std::to_string(d) + " is " +
                           std::to_string(extent) + ", expected 1 to 2^63 elements in all");
        }
        tensor.shape[n_dims - 1 - d] = extent;
    }
    KVASIR_TRY(tensor.type, reader_.read<std::uint32_t>("tensor type"));
    tensor.format = find_format(FormatId{tensor.type});
    KVASIR_TRY(const auto offset, reader_.read<std::uint64_t>("tensor offset"));
    offsets_.push_back(offset);
    return tensor;
}

/// Points every tensor at its bytes.
Result<> Parser::place_tensors(std::uint64_t alignment) {
    if (tensors.empty()) return {};
    const std::uint64_t header_bytes = reader_.offset();
    // No overflow: a mapped file is far below 2^63 bytes, the alignment at most 2^20.
    const std::uint64_t data_begin = (header_bytes + alignment - 1) / alignment * alignment;
    if (data_begin > bytes_.size()) {
        return corrupt("tensor data at byte " + std::to_string(data_begin) + ", file of " +
                       std::to_string(bytes_.size()) + " bytes");
    }
    const auto data = bytes_.subspan(static_cast<std::size_t>(data_begin));
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        TensorInfo& tensor = tensors[i];
        if (offsets_[i] % alignment != 0 || offsets_[i] > data.size()) {
            return corrupt(printable(tensor.name) + ": data offset " + std::to_string(offsets_[i]) +
                           ", expected a multiple of " + std::to_string(alignment) + " within " +
                           std::to_string(data.size()) + " bytes");
        }
        if (tensor.format == nullptr) continue;
        const FormatInfo& format = *tensor.format;
        if (tensor.shape.back() % format.block_elements != 0) {
            return corrupt(
                printable(tensor.name) + ": rows of " + std::to_string(tensor.shape.back()) +
                " elements, expected a multiple of " + std::to_string(format.block_elements) +
                " for " + std::string(format.name));
        }
        std::uint64_t n_bytes = tensor.n_elements() / format.block_elements;
        const std::uint64_t left = data.size() - offsets_[i];
        if (__builtin_mul_overflow(n_bytes, std::uint64_t{format.block_bytes}, &n_bytes) ||
            n_bytes > left) {
            return corrupt(printable(tensor.name) + ": " + std::to_string(tensor.n_elements()) +
                           " elements of " + std::string(format.name) + ", but only " +
                           std::to_string(left) + " bytes of the file are left for them");
        }
        tensor.data =
            data.subspan(static_cast<std::size_t>(offsets_[i]), static_cast<std::size_t>(n_bytes));
    }
    return check_overlap();
}

/// Two tensors over the same bytes: at least one of their offsets is wrong.
Result<> Parser::check_overlap() const {
    std::vector<const TensorInfo*> known;
    for (const TensorInfo& tensor : tensors)
        if (tensor.format != nullptr) known.push_back(&tensor);
    std::sort(known.begin(), known.end(),
              [](const auto* a, const auto* b) { return a->data.data() < b->data.data(); });
    for (std::size_t i = 1; i < known.size(); ++i) {
        const auto& before = known[i - 1]->data;
        if (before.data() + before.size() > known[i]->data.data()) {
            return corrupt(printable(known[i - 1]->name) + " and " + printable(known[i]->name) +
                           ": their data overlap");
        }
    }
    return {};
}

}  // namespace

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
    KVASIR_TRY(auto mapped, MappedFile::open(path));
    GgufFile file(path, std::move(mapped));
    Parser parser(file.file_.bytes(), path.string());
    KVASIR_TRY_VOID(parser.parse());
    file.metadata_ = std::move(parser.metadata);
    file.tensors_ = std::move(parser.tensors);
    file.tensor_index_ = std::move(parser.tensor_index);
    return file;
}

const TensorInfo* GgufFile::find_tensor(std::string_view name) const {
    const auto found = tensor_index_.find(name);
    return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

const GgufValue* GgufFile::find(std::string_view key) const {
    const auto found = metadata_.find(key);
    return found == metadata_.end() ? nullptr : &found->second;
}

}  // namespace kvasir
