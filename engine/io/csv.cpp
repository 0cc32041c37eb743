#include "engine/io/csv.hpp"

#include <algorithm>
#include <string_view>

#include "engine/core/error.hpp"
#include "engine/io/gzip.hpp"

namespace braid {
namespace {

// Cuts a text into fields, keeping count of lines.
class FieldReader {
 public:
  FieldReader(const std::string& path, std::string_view text, char delimiter)
      : path_(path), text_(text), delimiter_(delimiter) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  bool done() const { return at_ == text_.size(); }
  std::size_t line() const { return line_; }

  // The fields of the next record.
  void read(std::vector<std::string>& fields) {
    fields.clear();
    do {
      fields.push_back(field());
    } while (!ends_record());
  }

  [[noreturn]] void refuse(std::size_t line, const std::string& why) const {
    throw FormatError("\"" + path_ + "\": line " + std::to_string(line) + " " + why);
  }

 private:
  std::string field() {
    if (done() || text_[at_] != '"') {
      const std::size_t end = plain_end();
      std::string content(text_.substr(at_, end - at_));
      at_ = end;
      return content;
    }
    const std::size_t opened = line_;
    std::string content;
    for (++at_;; ++at_) {
      if (done()) refuse(opened, "opens a quote that is never closed");
      if (text_[at_] == '"') {
        if (at_ + 1 == text_.size() || text_[at_ + 1] != '"') break;
        ++at_;
      }
      if (text_[at_] == '\n') ++line_;
      content += text_[at_];
    }
    ++at_;
    if (plain_end() != at_)
      refuse(line_, "has characters between a closing quote and the end of its field");
    return content;
  }

  // Where a field without quotes ends: at a delimiter, a line end, or the end.
  std::size_t plain_end() const {
    std::size_t end = at_;
    while (end < text_.size() && text_[end] != delimiter_ && text_[end] != '\n' &&
           !(text_[end] == '\r' && (end + 1 == text_.size() || text_[end + 1] == '\n'))) {
      ++end;
    }
    return end;
  }

  // Steps over what stands behind a field; true at the end of the record.
  bool ends_record() {
    if (done()) return true;
    if (text_[at_] == delimiter_) {
      ++at_;
      return false;
    }
    if (text_[at_] == '\r') ++at_;
    if (!done()) ++at_;
    ++line_;
    return true;
  }

  const std::string& path_;
  std::string_view text_;
  char delimiter_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

std::size_t place_of(const std::string& path, const std::vector<std::string>& header,
                     const std::string& wanted) {
  const auto found = std::find(header.begin(), header.end(), wanted);
  if (found == header.end()) {
    throw NameError("\"" + path + "\" has no column \"" + wanted + "\"; its columns are " +
                    quoted_list(header) + "." + suggestion(wanted, header));
  }
  return static_cast<std::size_t>(found - header.begin());
}

}  // namespace

CsvTable read_csv(const std::string& path, const CsvOptions& options) {
  const std::vector<std::byte> content = read_unpacked(path);
  FieldReader reader(path, {reinterpret_cast<const char*>(content.data()), content.size()},
                     options.delimiter);
  if (reader.done())
    throw FormatError("\"" + path + "\": the file is empty, so it has no line of column names");
  std::vector<std::string> header;
  reader.read(header);

  CsvTable table;
  std::vector<std::size_t> places;
  if (options.columns.empty()) {
    table.names = header;
    for (std::size_t i = 0; i < header.size(); ++i) places.push_back(i);
  }
  for (const std::string& wanted : options.columns) {
    table.names.push_back(wanted);
    places.push_back(place_of(path, header, wanted));
  }
  table.columns.resize(places.size());
  std::vector<std::string> fields;
  while (!reader.done()) {
    const std::size_t line = reader.line();
    reader.read(fields);
    const bool blank = fields.size() == 1 && fields.front().empty() && header.size() > 1;
    if (blank) continue;
    if (fields.size() != header.size()) {
      reader.refuse(line, "has " + std::to_string(fields.size()) + " fields, the header has " +
                              std::to_string(header.size()));
    }
    table.lines.push_back(line);
    for (std::size_t i = 0; i < places.size(); ++i) {
      // A column may be wanted twice.
      table.columns[i].push_back(fields[places[i]]);
    }
  }
  return table;
}

}  // namespace braid
