#pragma once
#include <optional>
#include <string>
#include <vector>

// The table of bench/results that `make kernels` writes: what tests measure stands in sections of
// it, as tables of their own.
namespace braid::testing {

// The rows of the section with that title in the committed table, without its head; none if it has
// no such section. Absent, with a note, in a tree without the table.
std::optional<std::vector<std::string>> committed_rows(const std::string& title);

// Of a row, without quotes and blanks around them.
std::vector<std::string> cells_of(const std::string& row);
// "| a | b |" of the cells.
std::string table_row(const std::vector<std::string>& cells);
// Into a file of that name in the folder that BRAID_KERNEL_TABLES names, for `make kernels`.
void write_section(const std::string& name, const std::vector<std::string>& columns,
                   const std::vector<std::string>& rows);

}  // namespace braid::testing
