#pragma once
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include <braid/error.hpp>

#include "tests/support/catch.hpp"

namespace braid::testing {

// A folder of a test's own that goes with it.
class ScratchFolder {
 public:
  ScratchFolder() {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("braid_" + std::to_string(getpid()) + "_" + std::to_string(++count));
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }
  // Writes the content and returns the path.
  std::string file(const std::string& name, const std::string& content) const {
    std::ofstream(file(name), std::ios::binary) << content;
    return file(name);
  }

 private:
  std::filesystem::path path_;
};

inline std::string content_of(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Reads every cut and many alterations of a file: each may load or throw an error of ours, nothing
// else. Returns how many were refused.
template <class Read>
int read_damaged(const std::string& whole, const Read& read) {
  const ScratchFolder folder;
  int refused = 0;
  const auto attempt = [&](const std::string& content) {
    const std::string path = folder.file("damaged", content);
    try {
      read(path);
    } catch (const Error&) {
      ++refused;
    }
  };
  const std::size_t step = whole.size() / 400 + 1;
  for (std::size_t length = 0; length < whole.size(); length += step)
    attempt(whole.substr(0, length));
  for (std::size_t place = 0; place < whole.size(); place += step) {
    for (const char mask : {'\x01', '\x15', '\x80', '\xff'}) {
      std::string changed = whole;
      changed[place] = static_cast<char>(changed[place] ^ mask);
      attempt(changed);
    }
  }
  return refused;
}

}  // namespace braid::testing
