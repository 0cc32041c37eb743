// The table of bench/results that `make kernels` writes, as far as it can be judged without a
// compiler for GPUs.
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/kernel_launch.hpp"
#include "tests/support/kernel_table.hpp"
#include "tests/support/replayed_step.hpp"

using namespace braid::testing;

namespace {

const std::filesystem::path kTable =
    std::filesystem::path(BRAID_SOURCE_DIR) / "bench/results/gpu_kernels.md";

// A tree whose kernels no compiler for GPUs has seen has no table.
bool has_table() {
  if (std::filesystem::exists(kTable)) return true;
  std::cout << "skipped: bench/results/gpu_kernels.md is not there; `make kernels` writes it\n";
  return false;
}

// The cells of each row of the table of kernels.
std::vector<std::vector<std::string>> rows_of_table() {
  std::ifstream file(kTable);
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("| `", 0) != 0) continue;
    rows.push_back(cells_of(line));
  }
  return rows;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The sources, and headers in the same folder that they include.
std::set<std::filesystem::path> files_of_kernels(const std::filesystem::path& folder) {
  std::set<std::filesystem::path> found;
  std::vector<std::filesystem::path> next;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".cu") next.push_back(entry.path());
  }
  const std::regex include("#include \"kernels/(\\w+\\.hpp)\".*");
  while (!next.empty()) {
    const std::filesystem::path path = next.back();
    next.pop_back();
    if (!found.insert(path).second) continue;
    std::ifstream file(path);
    std::smatch match;
    for (std::string line; std::getline(file, line);) {
      if (std::regex_match(line, match, include)) next.push_back(folder / match[1].str());
    }
  }
  return found;
}

// As tests/kernel_table.py works it out: FNV-1a over code without comments and spaces.
std::string digest_of_kernels() {
  const std::filesystem::path folder = std::filesystem::path(BRAID_SOURCE_DIR) / "kernels";
  const std::set<std::filesystem::path> files = files_of_kernels(folder);
  std::vector<std::filesystem::path> paths(files.begin(), files.end());
  for (const char* name : {"device.hpp", "elements.hpp", "rows.hpp"})
    paths.push_back(folder / "simt" / name);
  std::uint64_t digest = 0xCBF29CE484222325U;
  for (const auto& path : paths) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      for (const char sign : line.substr(0, line.find("//"))) {
        if (std::isspace(static_cast<unsigned char>(sign)) == 0)
          digest = (digest ^ static_cast<unsigned char>(sign)) * 0x100000001B3U;
      }
    }
  }
  char words[17];
  std::snprintf(words, sizeof words, "%016llx", static_cast<unsigned long long>(digest));
  return words;
}

// "fill_kernel<4>: 2", ...
std::vector<std::string> launches_of(const ReplayedStep& step) {
  std::vector<std::string> launches;
  for (const auto& [kernel, of_step] : step)
    launches.push_back(kernel + ": " + std::to_string(of_step.launches));
  return launches;
}

}  // namespace

TEST_CASE("kernel table: a function of a GPU is found where its source defines it") {
  CHECK(global_functions_in("template <int N>\n__global__ void copy_kernel(Copy args) {}\n"
                            "__global__ void __launch_bounds__(4 * kN, 128 / kN)\n"
                            "    fill_kernel(Fill args) {}\n"
                            "__global__ void __launch_bounds__(kThreads, HELD(Tile::kBlocks))\n"
                            "    sum_kernel(Sum args) {}\n"
                            "__device__ inline void help(int) {}\n// __global__ void old(\n") ==
        std::vector<std::string>{"copy_kernel", "fill_kernel", "sum_kernel"});
}

TEST_CASE("kernel table: it has every function of a GPU in the tree, and none that is gone") {
  if (!has_table()) return;
  std::set<std::string> listed;
  for (const auto& cells : rows_of_table())
    listed.insert(cells.front().substr(0, cells.front().find('<')));
  const std::vector<std::string> functions = global_functions_of_tree();
  CHECK(functions.size() > 50);
  INFO("`make kernels` writes the table anew");
  CHECK(listed == std::set<std::string>(functions.begin(), functions.end()));
}

TEST_CASE(
    "kernel table: registers, shared memory and spills are those of the kernels as they are") {
  const EmulatedGpuScope gpu(kH100);
  if (!has_table()) return;
  INFO("`make kernels` writes the table anew");
  CHECK_THAT(text_of(kTable),
             ContainsSubstring("Digest of the kernels' code: `" + digest_of_kernels() + "`"));
}

TEST_CASE("kernel table: the compiler spilled no registers of the LSTM's and Dense's kernels") {
  if (!has_table()) return;
  int judged = 0;
  for (const auto& cells : rows_of_table()) {
    REQUIRE(cells.size() >= 4);
    if (cells[0].rfind("lstm_", 0) != 0 && cells[0].rfind("dense_", 0) != 0) continue;
    INFO(cells[0]);
    ++judged;
    CHECK(cells[3] == "0");
  }
  CHECK(judged > 20);
}

// The emulated device does not know what a kernel was compiled for.
TEST_CASE("kernel table: a GPU launches every block that a test launches") {
  if (!has_table()) return;
  static const std::regex threads_of_most("(\\d+) of (\\d+)");
  for (const auto& cells : rows_of_table()) {
    INFO(cells[0]);
    REQUIRE(cells.size() >= 6);
    std::smatch threads;
    REQUIRE(std::regex_match(cells[1], threads, threads_of_most));
    CHECK(std::stoi(threads[1]) <= std::stoi(threads[2]));
    // Tests ask for the shared memory of an H100, which the first of the GPUs does not have.
    CHECK(std::regex_match(cells[5], std::regex("\\d+ / [1-9]\\d* / [1-9]\\d*")));
  }
}

// The race flavour compares the bytes themselves (kernels_moved_bytes_test.cpp).
TEST_CASE("kernel table: bytes are told of the kernels that a step launches, and add up") {
  const auto rows = committed_rows("Bytes that a training step moves");
  if (!rows) return;
  struct Listed {
    ReplayedStep kernels;
    KernelOfStep all;
    std::int64_t least = 0;
  };
  std::map<std::string, Listed> models{{"m1", {}}, {"m2", {}}, {"m3", {}}};
  for (const std::string& row : *rows) {
    INFO(row);
    const std::vector<std::string> cells = cells_of(row);
    REQUIRE(cells.size() == 6);
    REQUIRE(models.contains(cells[0]));
    Listed& listed = models[cells[0]];
    if (cells[1] == "at least") {
      listed.least = std::stoll(cells[5]);
      continue;
    }
    const KernelOfStep kernel{std::stoll(cells[2]), std::stoll(cells[3]), std::stoll(cells[4])};
    CHECK(kernel.bytes_read + kernel.bytes_written == std::stoll(cells[5]));
    (cells[1] == "all" ? listed.all : listed.kernels[cells[1]]) = kernel;
  }
  for (const auto& [name, listed] : models) {
    INFO(name << "; `make kernels` writes the table anew");
    // As often for few rows as for the table's.
    CHECK(launches_of(listed.kernels) == launches_of(replayed_step(name, 4)));
    const KernelOfStep sums = total_of(listed.kernels);
    CHECK(listed.all.launches == sums.launches);
    CHECK(listed.all.bytes_read == sums.bytes_read);
    CHECK(listed.all.bytes_written == sums.bytes_written);
    CHECK(listed.least == least_bytes_of_step(name, kRowsOfTable));
    // What moves less has lost something.
    CHECK(sums.bytes_read + sums.bytes_written >= listed.least);
  }
}
