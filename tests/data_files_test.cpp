// CSV, IDX and numpy files: what they hold, and what is said of damaged ones.
#include <zlib.h>

#include <cmath>

#include <braid/csv.hpp>
#include <braid/idx.hpp>
#include <braid/npz.hpp>

#include "tests/support/scratch_folder.hpp"

namespace {

using namespace braid;
using braid::testing::content_of;
using braid::testing::read_damaged;
using braid::testing::ScratchFolder;
using Columns = std::vector<std::vector<std::string>>;

std::string gzipped(const ScratchFolder& folder, const std::string& content) {
  const std::string path = folder.file("packed.gz");
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  gzclose(file);
  return content_of(path);
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

// As numpy.save writes it: the header of 128 bytes, then the data.
std::string npy(const std::string& dict, const std::string& data_in_hex) {
  std::string header = dict;
  header.resize(117, ' ');
  return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + "\n" + from_hex(data_in_hex);
}

std::string idx(char type, const std::vector<unsigned char>& dims, const std::string& data) {
  std::string bytes{'\0', '\0', type, static_cast<char>(dims.size())};
  for (unsigned char dim : dims) bytes += std::string(3, '\0') + static_cast<char>(dim);
  return bytes + data;
}

// numpy.savez_compressed(x = [0, 1, 2] int32, y = [[0.5]] float32).
const std::string kNpz = from_hex(
    "504b03042d00000008000000210002ecbda9ffffffffffffffff05001400782e6e7079010010008c00000000000000"
    "4c000000000000009bec17ea1b"
    "10c9c850c650ad9e925a9c5ca46ea5a06e9369a2aea3a09e965f54529498179f5f94920a12774bcc294e058a176724"
    "16a402f91ac63a9a3a0ab50a14"
    "002e062060046226200600504b03042d000000080000002100b7eb96d8ffffffffffffffff05001400792e6e707901"
    "00100084000000000000004a00"
    "0000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9366a2aea3a09e965f54529498179f5f94920a"
    "12774bcc294e058a17672416a4"
    "02f91a863a0a869a3a0ab50a64032e0606067b00504b01022d032d00000008000000210002ecbda94c0000008c0000"
    "00050000000000000000000000"
    "800100000000782e6e7079504b01022d032d000000080000002100b7eb96d84a000000840000000500000000000000"
    "00000000800183000000792e6e"
    "7079504b0506000000000200020066000000040100000000");

}  // namespace

TEST_CASE("a CSV file gives its columns, quoted fields and all") {
  const ScratchFolder folder;
  const std::string text =
      "\xEF\xBB\xBFid,text,\"a \"\"name\"\"\"\r\n"
      "1,\"two\r\nlines, one comma\",x\r\n"
      "2,,\"say \"\"hi\"\"\"\r\n"
      "\r\n"
      "3,plain \"inside\",";
  const CsvTable table = read_csv(folder.file("a.csv", text));
  CHECK(table.names == std::vector<std::string>{"id", "text", "a \"name\""});
  CHECK(table.columns == Columns{{"1", "2", "3"},
                                 {"two\r\nlines, one comma", "", "plain \"inside\""},
                                 {"x", "say \"hi\"", ""}});
  CHECK(table.lines == std::vector<std::size_t>{2, 4, 6});
  CHECK(read_csv(folder.file("a.csv.gz", gzipped(folder, text))).columns == table.columns);
}

TEST_CASE("a CSV file may be read by column, with another delimiter, or without rows") {
  const ScratchFolder folder;
  const std::string path = folder.file("a.csv", "a;b;c\n1;2;3\n4;5;6\n");
  const CsvTable table = read_csv(path, {.columns = {"c", "a"}, .delimiter = ';'});
  CHECK(table.names == std::vector<std::string>{"c", "a"});
  CHECK(table.columns == Columns{{"3", "6"}, {"1", "4"}});
  CHECK(read_csv(folder.file("b.csv", "a,b\n")).rows() == 0);
  CHECK(read_csv(folder.file("c.csv", "a\n\n1\n")).columns == Columns{{"", "1"}});
}

TEST_CASE("what is wrong with a CSV file is told with its line") {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& text, const std::string& message) {
    CHECK_THROWS_WITH(read_csv(folder.file("a.csv", text)), ContainsSubstring(message));
    CHECK_THROWS_AS(read_csv(folder.file("a.csv", text)), FormatError);
  };
  refused("", "the file is empty");
  refused("a,b\n1,2\n\"x\ny\",2\n3\n", "line 5 has 1 fields, the header has 2");
  refused("a,b\n1,2,3\n", "line 2 has 3 fields, the header has 2");
  refused("a,b\n1,\"2\n3", "line 2 opens a quote that is never closed");
  refused("a,b\n1,\"2\"3\n",
          "line 2 has characters between a closing quote and the end of its field");
  const std::string path = folder.file("a.csv", "title,age\n1,2\n");
  CHECK_THROWS_AS(read_csv(path, {.columns = {"titel"}}), NameError);
  CHECK_THROWS_WITH(read_csv(path, {.columns = {"titel"}}),
                    ContainsSubstring("Did you mean \"title\"?"));
  CHECK_THROWS_AS(read_csv(folder.file("missing.csv")), IoError);
  std::string long_name(5000, 'a');
  long_name += ",b\n1,2\n";
  const std::string packed = gzipped(folder, long_name);
  CHECK_THROWS_WITH(read_csv(folder.file("cut.gz", packed.substr(0, packed.size() - 9))),
                    ContainsSubstring("the gzip data end too early"));
}

TEST_CASE("damaged CSV and gzip files load or throw an error of ours") {
  const ScratchFolder folder;
  const std::string text = "a,b\n1,\"x,\"\"y\"\"\n\"\n2,z\n";
  CHECK(read_damaged(text, [](const std::string& path) { read_csv(path); }) > 10);
  CHECK(read_damaged(gzipped(folder, text), [](const std::string& path) { read_csv(path); }) > 50);
}

TEST_CASE("an IDX file gives a tensor of each element type") {
  const ScratchFolder folder;
  const auto read = [&](const std::string& bytes) { return read_idx(folder.file("a.idx", bytes)); };
  const Tensor images = read(idx(0x08, {2, 1, 3}, std::string("\x00\x01\x02\xff\x04\x05", 6)));
  CHECK(images.shape() == Shape{2, 1, 3});
  CHECK(images.to_vector<std::uint8_t>() == std::vector<std::uint8_t>{0, 1, 2, 255, 4, 5});
  CHECK(read(idx(0x09, {2}, "\xff\x02")).to_vector<std::int32_t>() ==
        std::vector<std::int32_t>{-1, 2});
  CHECK(read(idx(0x0B, {1}, "\xfe\xff")).to_vector<std::int32_t>() ==
        std::vector<std::int32_t>{-257});
  CHECK(read(idx(0x0C, {1}, std::string("\x00\x01\x00\x02", 4))).to_vector<std::int32_t>() ==
        std::vector<std::int32_t>{65538});
  CHECK(read(idx(0x0D, {1}, std::string("\x3f\x80\x00\x00", 4))).to_vector<float>() ==
        std::vector<float>{1});
  CHECK(
      read(idx(0x0E, {1}, std::string("\xc0\x04\x00\x00\x00\x00\x00\x00", 8))).to_vector<float>() ==
      std::vector<float>{-2.5});
  CHECK(read(gzipped(folder, idx(0x08, {2}, "ab"))).rows() == 2);
  CHECK(read(idx(0x08, {0, 4}, "")).shape() == Shape{0, 4});
}

TEST_CASE("an IDX file whose header and length disagree is refused with both") {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& bytes, const std::string& message) {
    CHECK_THROWS_WITH(read_idx(folder.file("a.idx", bytes)), ContainsSubstring(message));
    CHECK_THROWS_AS(read_idx(folder.file("a.idx", bytes)), FormatError);
  };
  refused("", "begins with two bytes of 0");
  refused("abcd", "begins with two bytes of 0");
  refused(idx(0x07, {1}, "a"), "element type 7 does not exist");
  refused(idx(0x08, {2, 3}, "abcde"), "asks for 6 bytes of data, 5 are there");
  refused(idx(0x08, {2}, "abc"), "asks for 2 bytes of data, 3 are there");
  refused(idx(0x08, {2}, "ab").substr(0, 6), "the header of 1 axes is cut short");
  refused(std::string("\0\0\x08\x03", 4) + std::string(12, '\xff'), "the axes are too large");
  CHECK(read_damaged(idx(0x0C, {1, 2}, "abcdefgh"),
                     [](const std::string& path) { read_idx(path); }) > 40);
}

TEST_CASE("numpy's arrays come as tensors whatever their element type and order") {
  const ScratchFolder folder;
  const auto read = [&](const std::string& bytes) { return read_npy(folder.file("a.npy", bytes)); };
  const Tensor fortran = read(npy("{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }",
                                  "00000000000000000000000000000840000000000000f03f0000000000001040"
                                  "00000000000000400000000000001440"));
  CHECK(fortran.shape() == Shape{2, 3});
  CHECK(fortran.to_vector<float>() == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(read(npy("{'descr': '>i2', 'fortran_order': False, 'shape': (3,), }", "0001fffe012c"))
            .to_vector<std::int32_t>() == std::vector<std::int32_t>{1, -2, 300});
  const auto halves = read(
      npy("{'descr': '<f2', 'fortran_order': False, 'shape': (5,), }", "003e00b4ff7b0100007c"));
  CHECK(halves.to_vector<float>() ==
        std::vector<float>{1.5F, -0.25F, 65504.0F, 0x1p-24F, INFINITY});
  CHECK(read(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (2, 1), }", "0100"))
            .to_vector<bool>() == std::vector<bool>{true, false});
  CHECK(read(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "00002040")).shape() ==
        Shape{});
  CHECK(read(npy("{'descr': '<i4', 'fortran_order': False, 'shape': (0, 3), }", "")).shape() ==
        Shape{0, 3});
}

TEST_CASE("a numpy array that no tensor holds, or that is damaged, is refused") {
  const ScratchFolder folder;
  const auto read = [&](const std::string& bytes) { return read_npy(folder.file("a.npy", bytes)); };
  CHECK_THROWS_AS(
      read(npy("{'descr': '<U2', 'fortran_order': False, 'shape': (1,), }", "6100000062000000")),
      DTypeError);
  CHECK_THROWS_WITH(read(npy("{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }", "")),
                    ContainsSubstring("numpy's type \"<c16\""));
  CHECK_THROWS_WITH(
      read(npy("{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }", "00000000")),
      ContainsSubstring("[3] asks for 12 bytes of data, 4 are there"));
  CHECK_THROWS_WITH(read(npy("{'descr': '<i4', 'shape': (3,), }", "")),
                    ContainsSubstring("must tell descr"));
  CHECK_THROWS_WITH(read(npy("{'descr': '<i4', 'fortran_order': 0, 'shape': (3,), }", "")),
                    ContainsSubstring("needs True or False"));
  CHECK_THROWS_AS(read("PK\x03\x04 no npy file"), FormatError);
  const std::string whole =
      npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 1), }", "0000000000000001");
  CHECK(read_damaged(whole, [](const std::string& path) { read_npy(path); }) > 200);
}

TEST_CASE("an npz file of numpy's gives its arrays by name") {
  const ScratchFolder folder;
  const TensorDict arrays = read_npz(folder.file("a.npz", kNpz));
  CHECK(arrays.names() == std::vector<std::string>{"x", "y"});
  CHECK(arrays["x"].to_vector<std::int32_t>() == std::vector<std::int32_t>{0, 1, 2});
  CHECK(arrays["y"].to_vector<float>() == std::vector<float>{0.5F});
  CHECK_THROWS_AS(read_npz(folder.file("b.npz", "no archive")), FormatError);
  CHECK(read_damaged(kNpz, [](const std::string& path) { read_npz(path); }) > 400);
}

TEST_CASE("npy and npz files that were written are read again as they were") {
  const ScratchFolder folder;
  const TensorDict tensors{{"floats", Tensor::from({1.5F, -2.0F, 0.0F}, {3})},
                           {"ids", Tensor::from(std::vector<std::int64_t>{1, 2, 3, 4}, {2, 2})},
                           {"mask", Tensor::from(std::vector<bool>{true, false}, {2, 1})},
                           {"scalar", Tensor::from({7}, {})},
                           {"none", Tensor::zeros({0, 5})}};
  write_npz(folder.file("a.npz"), tensors);
  const TensorDict again = read_npz(folder.file("a.npz"));
  CHECK(again.names() == tensors.names());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    CHECK(again[name].shape() == tensor.shape());
    CHECK(again[name].dtype() == tensor.dtype());
    CHECK(std::equal(tensor.raw(), tensor.raw() + tensor.bytes(), again[name].raw()));
    write_npy(folder.file("b.npy"), tensor);
    CHECK(read_npy(folder.file("b.npy")).shape() == tensor.shape());
  }
  CHECK_THROWS_AS(
      write_npy(folder.file("c.npy"), Tensor::ragged(std::vector<std::int32_t>{1}, {0, 1})),
      ShapeError);
  CHECK_THROWS_AS(write_npz("/no/such/folder/a.npz", tensors), IoError);
}
