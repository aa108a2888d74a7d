// kvasir-eval run as a user would: a program with arguments, an exit status, and what it printed.
#pragma once

#include <array>
#include <boost/json.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <span>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "config/base/check.hpp"
#include "tests/support/corrupt.hpp"

namespace kvasir::test {

struct Outcome {
    int status = -1;  // of exit; -1: died of a signal
    std::string out;
    std::string err;

    /// The last line of stdout as JSON. REQUIRES: the program has succeeded.
    boost::json::value json() const {
        BOOST_TEST_REQUIRE(status == 0, err);
        return boost::json::parse(out);
    }
};

inline std::string text_of(const std::filesystem::path& path) {
    const auto bytes = read_file(path);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline Outcome run_eval(std::vector<std::string> arguments) {
    const ScratchFile out(std::span<const std::byte>{});
    const ScratchFile err(std::span<const std::byte>{});
    const pid_t pid = ::fork();
    KVASIR_CHECK(pid >= 0, "the test can fork");
    if (pid == 0) {
        ::dup2(::open("/dev/null", O_RDONLY), 0);
        ::dup2(::open(out.path().c_str(), O_WRONLY), 1);
        ::dup2(::open(err.path().c_str(), O_WRONLY), 2);
        std::vector<char*> argv = {const_cast<char*>("kvasir-eval")};
        for (std::string& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);
        ::execv(KVASIR_BIN_DIR "/kvasir-eval", argv.data());
        ::_exit(99);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return {.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .out = text_of(out.path()),
            .err = text_of(err.path())};
}

/// A file of text, gone with the object.
class TextFile : public ScratchFile {
public:
    explicit TextFile(std::string_view text) : ScratchFile(std::as_bytes(std::span(text))) {}
    std::string name() const { return path().string(); }
};

inline std::string data_file(const std::string& name) {
    return std::string(KVASIR_TEST_DATA) + "/" + name;
}

/// Little-endian f32 on a little-endian machine.
inline std::vector<float> read_floats(const std::filesystem::path& path) {
    const auto bytes = read_file(path);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
}

}  // namespace kvasir::test
