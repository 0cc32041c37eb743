#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <braid/tensor.hpp>

namespace braid {

// What the fields of a CSV column become.
enum class ColumnType {
  automatic,  // int32 if every field is an integer, float32 if every field is a number or empty
              // (NaN), else text
  text,
  float32,  // empty: NaN
  int32,
};

struct CsvDatasetOptions {
  std::vector<std::string> columns = {};  // those to keep, in this order; empty: all
  std::map<std::string, ColumnType> types = {};
  char delimiter = ',';
};

// Rows of named columns: tensors (dense or ragged) and text. Some columns may be targets; the
// others are inputs. Every operation gives a new Dataset; tensors are shared where rows need not be
// copied.
class Dataset {
 public:
  using Text = std::vector<std::string>;

  Dataset() = default;
  static Dataset from(const TensorDict& x, const TensorDict& y = {});
  // The columns of a CSV file (see read_csv); all are inputs until targets() says otherwise.
  // What read_csv throws; RangeError, with the line of the file on which the row begins, for a
  // field that is not of the type given for its column.
  static Dataset csv(const std::string& path, const CsvDatasetOptions& options = {});
  // A pair of IDX files as the columns "image" and, a target, "label".
  static Dataset idx(const std::string& images, const std::string& labels);
  // The arrays of an .npz file; all are inputs until targets() says otherwise.
  static Dataset npz(const std::string& path);

  std::int64_t rows() const { return rows_; }
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const;
  bool is_text(const std::string& name) const;

  // NameError for an unknown column, DTypeError for one of the other sort.
  const Tensor& tensor(const std::string& name) const;
  const Tensor& operator[](const std::string& name) const { return tensor(name); }
  const Text& text(const std::string& name) const;

  // Input and target columns that are tensors, as fit() takes them. A column that is still text is
  // left out.
  TensorDict x() const;
  TensorDict y() const;

  // Adds a column, or replaces the one of that name in its place. ShapeError if the rows do not
  // agree.
  Dataset with(const std::string& name, Tensor column) const;
  Dataset with(const std::string& name, Text column) const;
  Dataset without(const std::vector<std::string>& names) const;
  // With exactly these columns as targets.
  Dataset targets(const std::vector<std::string>& names) const;

  // The column made anew, by a function of the whole column; of a text column (a vectorizer) or of
  // a tensor.
  Dataset map(const std::string& name, const std::function<Tensor(const Text&)>& change) const;
  Dataset map(const std::string& name, const std::function<Tensor(const Tensor&)>& change) const;

  // Rows begin .. end - 1. RangeError outside 0 .. rows().
  Dataset slice(std::int64_t begin, std::int64_t end) const;
  // Rows in the order of `indices`.
  Dataset gather(std::span<const std::int64_t> indices) const;
  // The rows for which `keep` says so.
  Dataset filter(const std::function<bool(std::int64_t row)>& keep) const;
  // All rows in a random order, the same for the same seed.
  Dataset shuffled(std::uint64_t seed) const;
  // Rows drawn at random (the same for the same seed): the second dataset holds floor(fraction *
  // rows) of them, the first the rest, both in their old order. RangeError unless 0 <= fraction
  // <= 1.
  std::pair<Dataset, Dataset> split(double fraction, std::uint64_t seed) const;

 private:
  struct Column {
    std::string name;
    std::variant<Tensor, Text> content;
    bool target = false;
  };

  const Column& column(const std::string& name) const;
  void put(const std::string& name, std::variant<Tensor, Text> content, bool target);
  TensorDict tensors(bool targets) const;

  std::vector<Column> columns_;
  std::int64_t rows_ = 0;
};

}  // namespace braid
