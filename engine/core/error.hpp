#pragma once
#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace braid {

// What every error of the library derives from. The message names the layer or key, what was
// expected and what came.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Ranks, axes or row counts that do not fit.
class ShapeError : public Error {
 public:
  using Error::Error;
};

// An element type that may not enter here.
class DTypeError : public Error {
 public:
  using Error::Error;
};

// A key, layer, option or metric that is unknown, missing or given twice.
class NameError : public Error {
 public:
  using Error::Error;
};

// A value outside its limits: an embedding id, a label, an option.
class RangeError : public Error {
 public:
  using Error::Error;
};

// A file whose content is not what its format demands.
class FormatError : public Error {
 public:
  using Error::Error;
};

// A file that cannot be read or written.
class IoError : public Error {
 public:
  using Error::Error;
};

// Memory that could not be had while planning.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

// A device that is missing or has failed.
class DeviceError : public Error {
 public:
  using Error::Error;
};

// NaN or infinity where finite numbers are needed.
class NumericError : public Error {
 public:
  using Error::Error;
};

// The entry of `known` that differs from `name` by the fewest edits; empty if none is near enough
// to be meant.
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

// `"a", "b" and "c"`; `none` for an empty list.
std::string quoted_list(const std::vector<std::string>& names);

// The first name of named items that is not among `known`; null if all are.
template <class Items>
const std::string* first_unknown(const Items& items, const std::vector<std::string>& known) {
  for (const auto& item : items) {
    if (std::find(known.begin(), known.end(), item.first) == known.end()) return &item.first;
  }
  return nullptr;
}

// ` Did you mean "text"?` for a name near enough, else nothing.
std::string suggestion(std::string_view name, const std::vector<std::string>& known);

}  // namespace braid
