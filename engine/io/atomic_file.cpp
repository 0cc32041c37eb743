#include "engine/io/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/core/error.hpp"

namespace braid {
namespace {

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw IoError(what + " \"" + path + "\": " + std::strerror(errno));
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }
  // A late error of a full disk may come with the closing.
  bool close() { return ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_;
};

void write_all(int file, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

}  // namespace

void write_atomically(const std::string& path,
                      const std::vector<std::span<const std::byte>>& pieces) {
  const std::filesystem::path target(path);
  const std::string folder = target.has_parent_path() ? target.parent_path().string() : ".";
  std::string temporary = path + ".XXXXXX";
  Descriptor file(::mkstemp(temporary.data()));
  if (file.get() < 0) fail("cannot write", path);
  try {
    // mkstemp keeps others out; a file that is written in the usual way does not.
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(file.get(), 0666 & ~mask) != 0) fail("cannot write", path);
    for (const auto& piece : pieces) write_all(file.get(), piece, path);
    if (::fsync(file.get()) != 0 || !file.close()) fail("cannot write", path);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail("cannot write", path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  // The rename itself should survive a power cut too; a folder that cannot be synced has still been
  // written.
  const Descriptor parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.get() >= 0) ::fsync(parent.get());
}

std::vector<std::byte> read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat facts {};
  if (file.get() < 0 || ::fstat(file.get(), &facts) != 0) fail("cannot read", path);
  if (S_ISDIR(facts.st_mode)) throw IoError("cannot read \"" + path + "\": it is a folder");
  std::vector<std::byte> content(static_cast<std::size_t>(facts.st_size));
  std::size_t filled = 0;
  while (filled < content.size()) {
    const ssize_t got = ::read(file.get(), content.data() + filled, content.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot read", path);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  content.resize(filled);
  return content;
}

}  // namespace braid
