#pragma once
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/support/catch.hpp"

namespace braid::testing {

// Standard output goes to a terminal of this many columns until the end; then what arrived there.
class Terminal {
 public:
  explicit Terminal(unsigned short columns) {
    std::fflush(stdout);
    screen_ = posix_openpt(O_RDWR | O_NOCTTY);
    REQUIRE((screen_ >= 0 && grantpt(screen_) == 0 && unlockpt(screen_) == 0));
    const int terminal = open(ptsname(screen_), O_RDWR | O_NOCTTY);
    const winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    REQUIRE(ioctl(terminal, TIOCSWINSZ, &size) == 0);
    before_ = dup(STDOUT_FILENO);
    dup2(terminal, STDOUT_FILENO);
    close(terminal);
  }
  ~Terminal() {
    restore();
    close(screen_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // All of it, however it was written: what is written from now on goes where it went before.
  std::string shown() {
    restore();
    std::string all;
    char text[4096];
    for (;;) {
      const ssize_t length = read(screen_, text, sizeof text);
      if (length <= 0) return all;  // nobody can write there any more
      all.append(text, static_cast<std::size_t>(length));
    }
  }

 private:
  void restore() {
    if (before_ < 0) return;
    std::fflush(stdout);
    dup2(before_, STDOUT_FILENO);
    close(before_);
    before_ = -1;
  }
  int screen_ = -1;
  int before_ = -1;
};

}  // namespace braid::testing
