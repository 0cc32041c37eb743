#include "engine/io/safetensors.hpp"

#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine/core/error.hpp"
#include "engine/io/atomic_file.hpp"
#include "tests/support/catch.hpp"

using namespace braid;

namespace {

// A folder of the test's own, removed at the end.
struct Folder {
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "braid_test_XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string file(const std::string& name) const { return (path / name).string(); }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path), {}));
  }
  std::filesystem::path path;
};

void put(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string with_header(const std::string& header, const std::string& data) {
  std::string content(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(content.data(), &length, 8);
  return content + header + data;
}

TensorDict sample() {
  return {{"dense/kernel", Tensor::from(std::vector<float>{1.5F, -2, 3, 4, 5, 6}, {2, 3})},
          {"größe", Tensor::from(std::vector<std::int64_t>{7}, Shape{})},
          {"flags", Tensor::from(std::vector<bool>{true, false, true}, {3})},
          {"empty", Tensor::zeros({0, 4})},
          {"bytes", Tensor::from(std::vector<std::uint8_t>{1, 2, 255}, {3})}};
}

}  // namespace

TEST_CASE("tensors of every dtype come back from a safetensors file as they were") {
  const Folder folder;
  const std::string path = folder.file("a.safetensors");
  write_safetensors(path, sample(), {{"format", "test"}});
  const SafetensorsFile file(path);
  CHECK(file.metadata().at("format") == "test");
  const TensorDict read = file.tensors();
  CHECK(read.size() == 5);
  for (const auto& [name, tensor] : sample()) {
    const Tensor& came = read.at(name);
    CHECK(came.shape() == tensor.shape());
    CHECK(came.dtype() == tensor.dtype());
    CHECK((tensor.bytes() == 0 || std::memcmp(came.raw(), tensor.raw(), tensor.bytes()) == 0));
  }
  std::uint64_t header = 0;
  std::memcpy(&header, read_file(path).data(), 8);
  CHECK(header % 8 == 0);
  CHECK(folder.files() == 1);
}

TEST_CASE("a safetensors file that was cut or altered anywhere loads or throws an error of ours") {
  const Folder folder;
  const std::string path = folder.file("whole");
  const std::string altered = folder.file("altered");
  write_safetensors(path, sample());
  const auto bytes = read_file(path);
  const std::string content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (std::size_t length = 0; length < content.size(); ++length) {
    put(altered, content.substr(0, length));
    CHECK_THROWS_AS(SafetensorsFile(altered), FormatError);
  }
  put(altered, content + "x");
  CHECK_THROWS_WITH(SafetensorsFile(altered),
                    ContainsSubstring("1 bytes behind the last tensor belong to none"));
  int refused = 0;
  for (std::size_t place = 0; place < content.size(); ++place) {
    std::string changed = content;
    changed[place] = static_cast<char>(changed[place] ^ 0x15);
    put(altered, changed);
    try {
      SafetensorsFile(altered).tensors();
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(refused > 100);
}

TEST_CASE("a safetensors header that lies is refused with the key") {
  const Folder folder;
  const std::string path = folder.file("liar");
  const auto refused = [&](const std::string& header, const std::string& data,
                           const std::string& message) {
    put(path, with_header(header, data));
    CHECK_THROWS_WITH(SafetensorsFile(path), ContainsSubstring(message));
  };
  const std::string four(4, '\0');
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", four,
          "key \"a\": data_offsets 0 .. 8 leave the 4 bytes");
  refused(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,4]}})", four,
          "4 bytes of data for a shape that takes 0");
  refused(R"({"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})", four,
          "unknown dtype \"F99\"");
  refused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", four,
          "an axis is no count");
  refused(R"({"a":{"dtype":"U8","shape":[9223372036854775807,9],"data_offsets":[0,4]}})", four,
          "more elements than the file");
  refused(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})", four, "leave a hole");
  refused(
      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
      four, "the key \"a\" stands twice");
  refused("[1]", "", "no JSON object");
  refused("{", "", "no JSON");
}

TEST_CASE("a write that fails leaves the old file and no temporary") {
  const Folder folder;
  const std::string path = folder.file("kept");
  put(path, "old");
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 16;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  CHECK_THROWS_AS(write_safetensors(path, {{"a", Tensor::zeros({1000})}}), IoError);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(read_file(path).size() == 3);
  CHECK(folder.files() == 1);
  CHECK_THROWS_WITH(read_file(folder.file("none")), ContainsSubstring("No such file"));
  CHECK_THROWS_AS(write_safetensors(folder.file("no/folder"), sample()), IoError);
}
