#pragma once
#include <algorithm>
#include <braid/tensor.hpp>
#include <set>
#include <string>
#include <vector>

// Names as class numbers, 0 for the first in the alphabet.
class Classes {
 public:
  explicit Classes(const std::vector<std::string>& column) {
    const std::set<std::string> different(column.begin(), column.end());
    names_.assign(different.begin(), different.end());
  }
  std::int64_t count() const { return static_cast<std::int64_t>(names_.size()); }
  const char* name(int number) const { return names_[static_cast<std::size_t>(number)].c_str(); }

  // The numbers of a column of these names: int32 [rows].
  braid::Tensor operator()(const std::vector<std::string>& column) const {
    std::vector<std::int32_t> numbers;
    for (const std::string& name : column) {
      const auto place = std::lower_bound(names_.begin(), names_.end(), name);
      numbers.push_back(static_cast<std::int32_t>(place - names_.begin()));
    }
    return braid::Tensor::from(numbers, {static_cast<braid::Dim>(numbers.size())});
  }

 private:
  std::vector<std::string> names_;
};
