#pragma once
#include <algorithm>
#include <braid/dataset.hpp>
#include <braid/history.hpp>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

// The class of the largest score in a row of class scores [rows, classes].
inline int best_class(const braid::Tensor& scores, std::int64_t row) {
  const std::int64_t classes = scores.elements() / scores.rows();
  const float* first = scores.data<float>() + row * classes;
  return static_cast<int>(std::max_element(first, first + classes) - first);
}

// The accuracy of always answering the most frequent of these labels.
inline double majority_share(const braid::Tensor& labels) {
  std::map<std::int32_t, std::int64_t> counts;
  std::int64_t largest = 0;
  for (std::int32_t label : labels.to_vector<std::int32_t>())
    largest = std::max(largest, ++counts[label]);
  return static_cast<double>(largest) / static_cast<double>(std::max<braid::Dim>(1, labels.rows()));
}

// What evaluate() found on the test rows, beside the majority's share for each output; then the
// same as one line for programs: RESULT loss=... accuracy=... majority=...
inline void print_results(const braid::Logs& logs, const braid::Dataset& test) {
  const auto outputs = test.y().names();
  char figures[128];
  std::snprintf(figures, sizeof figures, "RESULT loss=%.4f", logs["loss"]);
  std::string result = figures;
  std::printf("\n%-16s %14s %20s   (%lld rows)\n", "output", "test accuracy", "always the majority",
              static_cast<long long>(test.rows()));
  for (const std::string& output : outputs) {
    const std::string prefix = outputs.size() == 1 ? "" : output + "_";
    const double accuracy = logs[prefix + "accuracy"];
    const double majority = majority_share(test[output]);
    std::printf("%-16s %12.2f %% %18.2f %%\n", output.c_str(), 100 * accuracy, 100 * majority);
    std::snprintf(figures, sizeof figures, "accuracy=%.4f %smajority=%.4f", accuracy,
                  prefix.c_str(), majority);
    result += " " + prefix + figures;
  }
  std::printf("%s\n", result.c_str());
}
