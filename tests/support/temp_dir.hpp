// TempDir: a directory for one test, gone with all it holds.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "config/base/check.hpp"

namespace kvasir::test {

class TempDir {
public:
    TempDir() {
        std::string name = (std::filesystem::temp_directory_path() / "kvasir-test-XXXXXX").string();
        KVASIR_CHECK(::mkdtemp(name.data()) != nullptr, "the temporary directory takes another");
        path_ = name;
    }
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::string file(const char* name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

}  // namespace kvasir::test
