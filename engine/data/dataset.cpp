#include "engine/data/dataset.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/core/error.hpp"
#include "engine/core/random.hpp"
#include "engine/io/csv.hpp"
#include "engine/io/idx.hpp"
#include "engine/io/npz.hpp"

namespace braid {
namespace {

using Text = Dataset::Text;

template <class Number>
bool parse(const std::string& field, Number& number) {
  const char* first = field.data();
  const char* last = first + field.size();
  while (first < last && *first == ' ') ++first;
  while (last > first && last[-1] == ' ') --last;
  if (first < last && *first == '+') ++first;
  const auto [end, failed] = std::from_chars(first, last, number);
  return failed == std::errc() && end == last;
}

bool is_blank(const std::string& field) {
  return std::all_of(field.begin(), field.end(), [](char c) { return c == ' '; });
}

ColumnType type_of(const Text& fields) {
  std::int32_t integer = 0;
  if (!fields.empty() &&
      std::all_of(fields.begin(), fields.end(), [&](const auto& f) { return parse(f, integer); })) {
    return ColumnType::int32;
  }
  double number = 0;
  const bool numbers = std::all_of(fields.begin(), fields.end(),
                                   [&](const auto& f) { return is_blank(f) || parse(f, number); });
  const bool any =
      std::any_of(fields.begin(), fields.end(), [](const auto& f) { return !is_blank(f); });
  return numbers && any ? ColumnType::float32 : ColumnType::text;
}

// A column of a CSV file, and what is said of fields that are not of its type.
struct CsvColumn {
  const std::string& path;
  const std::string& name;
  const Text& fields;
  const std::vector<std::size_t>& lines;

  [[noreturn]] void refuse(std::size_t row, const char* wanted) const {
    throw RangeError("\"" + path + "\": line " + std::to_string(lines[row]) + ", column \"" + name +
                     "\": \"" + fields[row] + "\" is no " + wanted);
  }
};

Tensor as_floats(const CsvColumn& column) {
  const Text& fields = column.fields;
  Tensor tensor = Tensor::uninitialized({static_cast<Dim>(fields.size())}, DType::float32);
  for (std::size_t row = 0; row < fields.size(); ++row) {
    double number = std::numeric_limits<double>::quiet_NaN();
    if (!is_blank(fields[row]) && !parse(fields[row], number)) column.refuse(row, "number");
    tensor.data<float>()[row] = static_cast<float>(number);
  }
  return tensor;
}

Tensor as_integers(const CsvColumn& column) {
  const Text& fields = column.fields;
  Tensor tensor = Tensor::uninitialized({static_cast<Dim>(fields.size())}, DType::int32);
  for (std::size_t row = 0; row < fields.size(); ++row) {
    std::int32_t number = 0;
    if (!parse(fields[row], number)) column.refuse(row, "int32");
    tensor.data<std::int32_t>()[row] = number;
  }
  return tensor;
}

std::vector<std::int64_t> random_order(std::int64_t rows, std::uint64_t seed) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(rows));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  Random random(seed, 0);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace

Dataset Dataset::from(const TensorDict& x, const TensorDict& y) {
  Dataset data;
  for (const auto& [name, tensor] : x) data.put(name, tensor, false);
  for (const auto& [name, tensor] : y) data.put(name, tensor, true);
  return data;
}

Dataset Dataset::csv(const std::string& path, const CsvDatasetOptions& options) {
  CsvTable table = read_csv(path, {.columns = options.columns, .delimiter = options.delimiter});
  if (const std::string* unknown = first_unknown(options.types, table.names)) {
    throw NameError("\"" + path + "\": a type is given for the unknown column \"" + *unknown +
                    "\"." + suggestion(*unknown, table.names));
  }
  Dataset data;
  for (std::size_t i = 0; i < table.names.size(); ++i) {
    const std::string& name = table.names[i];
    Text& fields = table.columns[i];
    const auto given = options.types.find(name);
    ColumnType type = given == options.types.end() ? ColumnType::automatic : given->second;
    if (type == ColumnType::automatic) type = type_of(fields);
    if (type == ColumnType::text) {
      data.put(name, std::move(fields), false);
    } else {
      const CsvColumn column{path, name, fields, table.lines};
      data.put(name, type == ColumnType::int32 ? as_integers(column) : as_floats(column), false);
    }
  }
  return data;
}

Dataset Dataset::idx(const std::string& images, const std::string& labels) {
  return from({{"image", read_idx(images)}}, {{"label", read_idx(labels)}});
}

Dataset Dataset::npz(const std::string& path) { return from(read_npz(path)); }

std::vector<std::string> Dataset::names() const {
  std::vector<std::string> names;
  for (const Column& column : columns_) names.push_back(column.name);
  return names;
}

bool Dataset::contains(const std::string& name) const {
  return std::any_of(columns_.begin(), columns_.end(),
                     [&](const Column& column) { return column.name == name; });
}

const Dataset::Column& Dataset::column(const std::string& name) const {
  for (const Column& column : columns_) {
    if (column.name == name) return column;
  }
  throw NameError("the dataset has no column \"" + name + "\"; its columns are " +
                  quoted_list(names()) + "." + suggestion(name, names()));
}

bool Dataset::is_text(const std::string& name) const {
  return std::holds_alternative<Text>(column(name).content);
}

const Tensor& Dataset::tensor(const std::string& name) const {
  const auto* found = std::get_if<Tensor>(&column(name).content);
  if (found == nullptr)
    throw DTypeError("the column \"" + name + "\" is text; map it to a tensor first");
  return *found;
}

const Text& Dataset::text(const std::string& name) const {
  const auto* found = std::get_if<Text>(&column(name).content);
  if (found == nullptr) {
    throw DTypeError("the column \"" + name + "\" is no text but " +
                     describe(std::get<Tensor>(column(name).content)));
  }
  return *found;
}

TensorDict Dataset::tensors(bool targets) const {
  TensorDict found;
  for (const Column& column : columns_) {
    const auto* tensor = std::get_if<Tensor>(&column.content);
    if (tensor != nullptr && column.target == targets) found.set(column.name, *tensor);
  }
  return found;
}

TensorDict Dataset::x() const { return tensors(false); }
TensorDict Dataset::y() const { return tensors(true); }

void Dataset::put(const std::string& name, std::variant<Tensor, Text> content, bool target) {
  const auto* tensor = std::get_if<Tensor>(&content);
  const std::int64_t rows = tensor != nullptr
                                ? tensor->rows()
                                : static_cast<std::int64_t>(std::get<Text>(content).size());
  const auto same = [&](const Column& column) {
    return column.name == name && column.target == target;
  };
  const auto found = std::find_if(columns_.begin(), columns_.end(), same);
  const bool only = columns_.empty() || (columns_.size() == 1 && found != columns_.end());
  if (!only && rows != rows_) {
    throw ShapeError("the column \"" + name + "\" has " + std::to_string(rows) +
                     " rows, the dataset has " + std::to_string(rows_));
  }
  rows_ = rows;
  if (found != columns_.end()) {
    found->content = std::move(content);
  } else {
    columns_.push_back({name, std::move(content), target});
  }
}

Dataset Dataset::with(const std::string& name, Tensor column) const {
  Dataset data = *this;
  data.put(name, std::move(column), contains(name) && this->column(name).target);
  return data;
}

Dataset Dataset::with(const std::string& name, Text column) const {
  Dataset data = *this;
  data.put(name, std::move(column), contains(name) && this->column(name).target);
  return data;
}

Dataset Dataset::without(const std::vector<std::string>& names) const {
  for (const std::string& name : names) column(name);
  Dataset data = *this;
  std::erase_if(data.columns_, [&](const Column& column) {
    return std::find(names.begin(), names.end(), column.name) != names.end();
  });
  return data;
}

Dataset Dataset::targets(const std::vector<std::string>& names) const {
  for (const std::string& name : names) column(name);
  Dataset data = *this;
  for (Column& column : data.columns_) {
    column.target = std::find(names.begin(), names.end(), column.name) != names.end();
  }
  return data;
}

Dataset Dataset::map(const std::string& name,
                     const std::function<Tensor(const Text&)>& change) const {
  return with(name, change(text(name)));
}

Dataset Dataset::map(const std::string& name,
                     const std::function<Tensor(const Tensor&)>& change) const {
  return with(name, change(tensor(name)));
}

Dataset Dataset::slice(std::int64_t begin, std::int64_t end) const {
  if (begin < 0 || end < begin || end > rows_) {
    throw RangeError("rows " + std::to_string(begin) + " .. " + std::to_string(end) +
                     " are not within 0 .. " + std::to_string(rows_));
  }
  Dataset data = *this;
  data.rows_ = end - begin;
  for (Column& column : data.columns_) {
    if (auto* tensor = std::get_if<Tensor>(&column.content)) {
      *tensor = tensor->slice(begin, end);
    } else {
      const Text& all = std::get<Text>(column.content);
      column.content = Text(all.begin() + begin, all.begin() + end);
    }
  }
  return data;
}

Dataset Dataset::gather(std::span<const std::int64_t> indices) const {
  for (std::int64_t row : indices) {
    if (row >= 0 && row < rows_) continue;
    throw RangeError("row " + std::to_string(row) + " is not within 0 .. " +
                     std::to_string(rows_ - 1));
  }
  Dataset data;
  data.rows_ = static_cast<std::int64_t>(indices.size());
  for (const Column& column : columns_) {
    Column part{column.name, {}, column.target};
    if (const auto* tensor = std::get_if<Tensor>(&column.content)) {
      part.content = tensor->gather(indices);
    } else {
      Text rows;
      rows.reserve(indices.size());
      for (std::int64_t row : indices)
        rows.push_back(std::get<Text>(column.content)[static_cast<std::size_t>(row)]);
      part.content = std::move(rows);
    }
    data.columns_.push_back(std::move(part));
  }
  return data;
}

Dataset Dataset::filter(const std::function<bool(std::int64_t row)>& keep) const {
  std::vector<std::int64_t> kept;
  for (std::int64_t row = 0; row < rows_; ++row) {
    if (keep(row)) kept.push_back(row);
  }
  return gather(kept);
}

Dataset Dataset::shuffled(std::uint64_t seed) const { return gather(random_order(rows_, seed)); }

std::pair<Dataset, Dataset> Dataset::split(double fraction, std::uint64_t seed) const {
  if (!(fraction >= 0 && fraction <= 1)) {
    throw RangeError("a split needs a fraction in 0 .. 1, not " + std::to_string(fraction));
  }
  std::vector<std::int64_t> order = random_order(rows_, seed);
  const auto held_out =
      static_cast<std::ptrdiff_t>(std::floor(fraction * static_cast<double>(rows_)));
  const auto cut = order.begin() + held_out;
  std::sort(order.begin(), cut);
  std::sort(cut, order.end());
  return {gather({cut, order.end()}), gather({order.begin(), cut})};
}

}  // namespace braid
