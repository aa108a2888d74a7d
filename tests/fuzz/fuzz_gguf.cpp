// Any bytes as a GGUF file: refused with a reason, or a shape, tensors and a tokenizer that keep
// their promises. No device: weights are looked at, not uploaded.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

#include "config/base/check.hpp"
#include "daemon/model/decoder.hpp"
#include "daemon/model/tokenizer.hpp"
#include "quant/gguf.hpp"

namespace {

/// The input as a file without a disk. Returns its path.
std::string put_into_memory_file(const std::uint8_t* data, std::size_t size) {
    static const int kFile = memfd_create("fuzz_gguf", MFD_CLOEXEC);
    KVASIR_CHECK(kFile >= 0 && ftruncate(kFile, static_cast<off_t>(size)) == 0 &&
                     pwrite(kFile, data, size, 0) == static_cast<ssize_t>(size),
                 "memory for the input");
    return "/proc/self/fd/" + std::to_string(kFile);
}

void check_error(const kvasir::Error& error) {
    KVASIR_CHECK(!error.message.empty(), "an error says what is wrong");
}

void read_tensors(const kvasir::GgufFile& file) {
    unsigned sum = 0;
    for (const kvasir::TensorInfo& tensor : file.tensors()) {
        KVASIR_CHECK(file.find_tensor(tensor.name) == &tensor, "a name finds its tensor");
        if (tensor.data.empty()) continue;
        KVASIR_CHECK(tensor.format != nullptr, "data has a format");
        sum += std::to_integer<unsigned>(tensor.data.front());
        sum += std::to_integer<unsigned>(tensor.data.back());
    }
    static volatile unsigned kept;
    kept = sum;
}

void read_shape(const kvasir::GgufFile& file) {
    const auto name = file.get_string("general.architecture");
    if (name.has_error()) return check_error(name.error());
    const auto architecture = kvasir::find_architecture(*name);
    if (architecture.has_error()) return check_error(architecture.error());
    const auto shape = (*architecture)->read_shape(file, *name, 0);
    if (shape.has_error()) return check_error(shape.error());
    KVASIR_CHECK(shape->n_layers > 0 && shape->context_length > 0, "a shape is not empty");
}

void read_tokenizer(const kvasir::GgufFile& file, std::string_view text) {
    const auto made = kvasir::Tokenizer::create(file);
    if (made.has_error()) return check_error(made.error());
    const kvasir::Tokenizer& tokenizer = **made;
    const auto ids = tokenizer.encode(text, kvasir::Tokenizer::Special::parse);
    for (const auto id : ids) KVASIR_CHECK(id < tokenizer.n_vocab(), "ids are tokens");
    (void)tokenizer.decode(ids, true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto file = kvasir::GgufFile::open(put_into_memory_file(data, size));
    if (file.has_error()) {
        check_error(file.error());
        return 0;
    }
    read_tensors(*file);
    read_shape(*file);
    // The file's own bytes are the text most likely to meet its tokens.
    const std::size_t from = size > 256 ? size - 256 : 0;
    read_tokenizer(*file, {reinterpret_cast<const char*>(data) + from, size - from});
    return 0;
}
