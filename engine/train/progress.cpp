#include "engine/train/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace braid {
namespace {

constexpr int kBar = 20;

std::string described(const Logs& logs) {
  std::string text;
  for (const auto& [name, value] : logs) {
    char number[32];
    std::snprintf(number, sizeof number, name == "learning_rate" ? "%.3g" : "%.4f", value);
    text += " - " + name + ": " + number;
  }
  return text;
}

std::string duration(double seconds) {
  char text[32];
  if (seconds < 9.95) {
    std::snprintf(text, sizeof text, "%.1fs", seconds);
  } else if (seconds < 60) {
    std::snprintf(text, sizeof text, "%.0fs", seconds);
  } else {
    std::snprintf(text, sizeof text, "%d:%02d", static_cast<int>(seconds) / 60,
                  static_cast<int>(seconds) % 60);
  }
  return text;
}

// Of the terminal; 80 where it does not say.
std::size_t columns() {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(int verbose, std::int64_t batches)
    : verbose_(verbose), batches_(batches), terminal_(isatty(STDOUT_FILENO) == 1) {}

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void Progress::begin(const std::string& title) {
  start_ = shown_ = Clock::now();
  width_ = 0;
  if (verbose_ == 0 || title.empty()) return;
  std::printf("%s%s", title.c_str(), verbose_ == 1 && terminal_ ? "\n" : " ");
  std::fflush(stdout);
}

bool Progress::due(std::int64_t batches_done) const {
  if (verbose_ != 1 || batches_done >= batches_) return false;
  const double waited = std::chrono::duration<double>(Clock::now() - shown_).count();
  return waited > (terminal_ ? 0.1 : 30.0);
}

void Progress::show(std::int64_t batches_done, const Logs& logs) {
  shown_ = Clock::now();
  const double left =
      seconds() / static_cast<double>(batches_done) * static_cast<double>(batches_ - batches_done);
  std::string line = std::to_string(batches_done) + "/" + std::to_string(batches_);
  if (terminal_) {
    const auto filled = static_cast<std::size_t>(kBar * batches_done / batches_);
    line = "\r" + line + " [" + std::string(filled, '=') + std::string(kBar - filled, '.') + "]";
  }
  line += " " + duration(left) + " left" + described(logs);
  // What a carriage return shall overwrite must not wrap into a second line.
  if (terminal_) line.resize(std::min(line.size(), columns()));
  const std::size_t width = line.size();
  if (terminal_ && width < width_) line += std::string(width_ - width, ' ');
  width_ = width;
  std::printf("%s%s", line.c_str(), terminal_ ? "" : "\n  ");
  std::fflush(stdout);
}

void Progress::end(const Logs& logs) {
  if (verbose_ == 0) return;
  std::string line = std::to_string(batches_) + "/" + std::to_string(batches_) + " " +
                     duration(seconds()) + described(logs);
  if (terminal_ && verbose_ == 1) {
    line = "\r" + line;
    if (line.size() < width_) line += std::string(width_ - line.size(), ' ');
  }
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

}  // namespace braid
