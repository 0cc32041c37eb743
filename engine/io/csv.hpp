#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace braid {

struct CsvOptions {
  std::vector<std::string> columns = {};  // those to keep, in this order; empty: all
  char delimiter = ',';
};

// Columns of text under the names of the first line.
struct CsvTable {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> columns;
  std::vector<std::size_t> lines;  // of the file, counted from 1, on which the rows begin

  std::size_t rows() const { return columns.empty() ? 0 : columns.front().size(); }
};

// Reads a CSV file after RFC 4180, gzipped or not: quoted fields may hold delimiters, line ends and
// doubled quotes; lines end in LF or CRLF; a byte order mark in front and blank lines behind are
// passed over. The first line names the columns. IoError; FormatError with the line for a row of
// another width or a quote that is not closed; NameError for an unknown column.
CsvTable read_csv(const std::string& path, const CsvOptions& options = {});

}  // namespace braid
