#pragma once
#include <braid/vectorizer.hpp>
#include <string>
#include <vector>

// How often each text uses each of the `words` most frequent words of the vectorizer's vocabulary:
// float32 [texts, words].
inline braid::Tensor word_counts(const braid::text::Vectorizer& vectorizer,
                                 const std::vector<std::string>& texts, int words) {
  constexpr std::int32_t kFirstWord = 2;  // behind padding and unknown
  const auto rows = static_cast<std::int64_t>(texts.size());
  auto counts = braid::Tensor::zeros({rows, words});
  const auto ids = vectorizer(texts);
  const auto* id = ids.values().data<std::int32_t>();
  for (std::int64_t row = 0; row < rows; ++row) {
    float* of_row = counts.data<float>() + row * words;
    const auto last = ids.row_splits()[static_cast<std::size_t>(row) + 1];
    for (auto step = ids.row_splits()[static_cast<std::size_t>(row)]; step < last; ++step) {
      if (id[step] >= kFirstWord && id[step] < kFirstWord + words) ++of_row[id[step] - kFirstWord];
    }
  }
  return counts;
}
