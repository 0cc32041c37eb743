// What a fit shows while it runs: a bar on a terminal, plain lines elsewhere.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "engine/train/progress.hpp"

namespace {

using braid::Logs;
using braid::Progress;

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
  ~Terminal() { restore(); }

  std::string shown() {
    std::fflush(stdout);
    char text[4096];
    const ssize_t length = read(screen_, text, sizeof text);
    restore();
    return {text, static_cast<std::size_t>(length > 0 ? length : 0)};
  }

 private:
  void restore() {
    if (before_ < 0) return;
    std::fflush(stdout);
    dup2(before_, STDOUT_FILENO);
    close(before_);
    close(screen_);
    before_ = -1;
  }
  int screen_ = -1;
  int before_ = -1;
};

Logs many_logs() {
  Logs logs;
  for (const char* name : {"department_accuracy", "department_loss", "loss", "rating_accuracy"})
    logs.set(name, 0.5);
  return logs;
}

}  // namespace

TEST_CASE("a progress line on a terminal never wraps, and the last one is whole") {
  Terminal terminal(40);
  Progress progress(1, 10);
  progress.begin("");
  progress.show(3, many_logs());
  progress.end(many_logs());
  const std::string shown = terminal.shown();
  const auto last = shown.rfind('\r', shown.find("10/10"));
  REQUIRE(last != std::string::npos);
  const std::string during = shown.substr(0, last);
  CHECK(during.rfind("\r3/10 [======", 0) == 0);
  CHECK(during.size() == 40);  // the carriage return and 39 columns
  CHECK_THAT(shown.substr(last), ContainsSubstring("rating_accuracy: 0.5000"));
}
