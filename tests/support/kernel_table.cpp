#include "tests/support/kernel_table.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

namespace braid::testing {

std::optional<std::vector<std::string>> committed_rows(const std::string& title) {
  std::ifstream file(std::filesystem::path(BRAID_SOURCE_DIR) / "bench/results/gpu_kernels.md");
  if (!file) {
    std::cout << "skipped: bench/results/gpu_kernels.md is not there; `make kernels` writes it\n";
    return std::nullopt;
  }
  std::vector<std::string> rows;
  bool is_within = false;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("## ", 0) == 0) is_within = line == "## " + title;
    if (is_within && line.rfind('|', 0) == 0) rows.push_back(line);
  }
  // The names of the columns and the line under them.
  if (rows.size() >= 2) rows.erase(rows.begin(), rows.begin() + 2);
  return rows;
}

std::vector<std::string> cells_of(const std::string& row) {
  std::vector<std::string> cells;
  std::istringstream text(row.substr(1));
  for (std::string cell; std::getline(text, cell, '|');) {
    const auto is_frame = [](char c) { return c == ' ' || c == '`'; };
    while (!cell.empty() && is_frame(cell.back())) cell.pop_back();
    const auto start = std::find_if_not(cell.begin(), cell.end(), is_frame);
    cells.emplace_back(start, cell.end());
  }
  return cells;
}

std::string table_row(const std::vector<std::string>& cells) {
  std::string row = "|";
  for (const std::string& cell : cells) row += " " + cell + " |";
  return row;
}

void write_section(const std::string& name, const std::vector<std::string>& columns,
                   const std::vector<std::string>& rows) {
  const char* const folder = std::getenv("BRAID_KERNEL_TABLES");
  if (folder == nullptr) return;
  std::ofstream file(std::filesystem::path(folder) / name);
  file << table_row(columns) << "\n|";
  for (std::size_t i = 0; i < columns.size(); ++i) file << "---|";
  file << "\n";
  for (const std::string& row : rows) file << row << "\n";
}

}  // namespace braid::testing
