#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "tests/support/scratch_folder.hpp"

namespace braid::testing {

// What is written to a stream of the process (STDOUT_FILENO, STDERR_FILENO) while this lives goes
// into a file instead.
class Captured {
 public:
  explicit Captured(int stream) : stream_(stream) {
    std::fflush(nullptr);
    kept_ = dup(stream);
    const int file = open(path().c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, stream);
    close(file);
  }
  ~Captured() { restore(); }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  // Ends the capture.
  std::string text() {
    restore();
    return content_of(path());
  }

 private:
  std::string path() const { return folder_.file("captured"); }
  void restore() {
    if (kept_ < 0) return;
    std::fflush(nullptr);
    dup2(kept_, stream_);
    close(kept_);
    kept_ = -1;
  }

  ScratchFolder folder_;
  int stream_;
  int kept_ = -1;
};

}  // namespace braid::testing
