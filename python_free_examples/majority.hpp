#pragma once
#include <algorithm>
#include <braid/tensor.hpp>
#include <map>

// The accuracy of always answering the most frequent class of these labels [rows] or [rows, 1].
inline double majority_share(const braid::Tensor& labels) {
  std::map<std::int32_t, std::int64_t> counts;
  std::int64_t largest = 0;
  for (std::int32_t label : labels.to_vector<std::int32_t>())
    largest = std::max(largest, ++counts[label]);
  return labels.rows() == 0 ? 0 : static_cast<double>(largest) / static_cast<double>(labels.rows());
}

// The class of the largest of `count` scores.
inline int best_class(const float* scores, int count) {
  return static_cast<int>(std::max_element(scores, scores + count) - scores);
}
