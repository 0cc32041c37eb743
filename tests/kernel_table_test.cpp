// The table of bench/results that `make kernels` writes, as far as it can be judged without a
// compiler for GPUs.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"

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

// The cells of each row of the table of kernels, without quotes and blanks around them.
std::vector<std::vector<std::string>> rows_of_table() {
  std::ifstream file(kTable);
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("| `", 0) != 0) continue;
    std::vector<std::string> cells;
    std::istringstream row(line.substr(1));
    for (std::string cell; std::getline(row, cell, '|');) {
      const auto is_frame = [](char c) { return c == ' ' || c == '`'; };
      while (!cell.empty() && is_frame(cell.back())) cell.pop_back();
      const auto start = std::find_if_not(cell.begin(), cell.end(), is_frame);
      cells.emplace_back(start, cell.end());
    }
    rows.push_back(cells);
  }
  return rows;
}

}  // namespace

TEST_CASE("kernel table: a function of a GPU is found where its source defines it") {
  CHECK(global_functions_in("template <int N>\n__global__ void copy_kernel(Copy args) {}\n"
                            "__global__ void __launch_bounds__(4 * kN, 128 / kN)\n"
                            "    fill_kernel(Fill args) {}\n"
                            "__device__ inline void help(int) {}\n// __global__ void old(\n") ==
        std::vector<std::string>{"copy_kernel", "fill_kernel"});
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
