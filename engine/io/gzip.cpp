#include "engine/io/gzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "engine/core/error.hpp"
#include "engine/io/atomic_file.hpp"

namespace braid {
namespace {

class Inflater {
 public:
  Inflater(const std::string& path, std::vector<std::byte>& packed) : path_(path) {
    stream_.next_in = reinterpret_cast<Bytef*>(packed.data());
    left_ = packed.size();
    constexpr int kGzipWindow = 15 + 16;
    if (inflateInit2(&stream_, kGzipWindow) != Z_OK)
      throw OutOfMemory("no memory to unpack \"" + path + "\"");
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }

  std::vector<std::byte> unpack() {
    std::vector<std::byte> content;
    std::vector<std::byte> piece(1 << 18);
    while (true) {
      feed();
      stream_.next_out = reinterpret_cast<Bytef*>(piece.data());
      stream_.avail_out = static_cast<uInt>(piece.size());
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
        throw FormatError("\"" + path_ + "\": damaged gzip data" +
                          (stream_.msg == nullptr ? "" : std::string(" (") + stream_.msg + ")"));
      }
      const std::size_t got = piece.size() - stream_.avail_out;
      content.insert(content.end(), piece.begin(),
                     piece.begin() + static_cast<std::ptrdiff_t>(got));
      if (status == Z_STREAM_END) {
        if (stream_.avail_in == 0 && left_ == 0) return content;
        inflateReset(&stream_);
      } else if (got == 0 && stream_.avail_in == 0 && left_ == 0) {
        throw FormatError("\"" + path_ + "\": the gzip data end too early");
      }
    }
  }

 private:
  void feed() {
    if (stream_.avail_in > 0) return;
    const std::size_t count = std::min<std::size_t>(left_, std::numeric_limits<uInt>::max());
    stream_.avail_in = static_cast<uInt>(count);
    left_ -= count;
  }

  const std::string& path_;
  z_stream stream_{};
  std::size_t left_ = 0;
};

}  // namespace

std::vector<std::byte> read_unpacked(const std::string& path) {
  std::vector<std::byte> content = read_file(path);
  constexpr std::byte kMagic[] = {std::byte{0x1f}, std::byte{0x8b}};
  // A file that was cut behind its first byte still begins as a packed one does.
  const std::size_t known = std::min(content.size(), std::size(kMagic));
  const bool packed = known > 0 && std::equal(kMagic, kMagic + known, content.begin());
  if (packed) return Inflater(path, content).unpack();
  if (path.ends_with(".gz"))
    throw FormatError("\"" + path + "\": the name ends with .gz, but it is no gzip file");
  return content;
}

}  // namespace braid
