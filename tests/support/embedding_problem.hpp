#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/embedding.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

// Ids of a batch for the kernels of embeddings, and their positions in order: as the kernel sorts
// them, and by going through all positions for each id.
namespace braid::testing::embedding {

struct Problem {
  std::int64_t rows = 1;        // B
  std::int64_t steps = 1;       // T
  std::int64_t vocabulary = 1;  // V
  std::int64_t width = 1;       // E
  Numbers ids;
  Numbers mask;  // [B, T], or empty
  std::int32_t padding = kernels::kNoId;

  std::int64_t positions() const { return rows * steps; }
  bool counts(std::int64_t n) const {
    const auto at = static_cast<std::size_t>(n);
    return (mask.empty() || mask[at] != 0) && ids[at] != padding;
  }
};

inline std::string described(const Problem& p) {
  return "B " + std::to_string(p.rows) + ", T " + std::to_string(p.steps) + ", V " +
         std::to_string(p.vocabulary) + ", E " + std::to_string(p.width) +
         (p.mask.empty() ? "" : ", masked");
}

inline std::vector<Problem> problems() {
  RandomNumbers random(131);
  std::vector<Problem> made;
  for (const Problem& size : {Problem{0, 3, 5, 4, {}, {}}, Problem{3, 0, 5, 4, {}, {}},
                              Problem{1, 1, 1, 1, {}, {}}, Problem{7, 1, 3, 12, {}, {}},
                              Problem{5, 13, 31, 17, {}, {}}, Problem{33, 19, 257, 67, {}, {}},
                              Problem{2, 3, 1000, 128, {}, {}}, Problem{4, 50, 2, 33, {}, {}}}) {
    for (const bool masked : {false, true}) {
      Problem problem = size;
      for (std::int64_t n = 0; n < size.positions(); ++n) {
        problem.ids.push_back(static_cast<double>(random.below(size.vocabulary)));
        if (masked) problem.mask.push_back(static_cast<double>(random.below(3)));
      }
      made.push_back(problem);
      if (size.rows != 33 && size.rows != 5) continue;
      problem.padding = size.rows == 5 ? 0 : 3;
      made.push_back(problem);
    }
  }
  return made;
}

// order and segments, as EmbeddingSort leaves them.
struct Sorted {
  GuardedMatrix<std::int32_t> order;
  GuardedMatrix<std::int32_t> segments;
};

inline Sorted sorted(Backend backend, const Problem& p, std::int64_t gap) {
  GuardedMatrix<std::int32_t> ids(p.rows, p.steps, gap);
  ids.fill(p.ids);
  GuardedMatrix<std::uint8_t> mask(p.rows, p.steps, gap + 1);
  if (!p.mask.empty()) mask.fill(p.mask);
  Sorted result{{1, p.positions()}, {1, p.vocabulary + 1}};
  const std::int64_t numbers = kernels::embedding_sort_scratch(p.positions(), p.vocabulary);
  GuardedScratch scratch(4 * numbers);
  launch_on(backend,
            kernels::EmbeddingSort{
                .ids = ids.matrix(),
                .mask = p.mask.empty() ? Matrix<std::uint8_t>{} : mask.matrix(),
                .padding = p.padding,
                .order = result.order.data(),
                .segments = result.segments.data(),
                .vocabulary = p.vocabulary,
                .scratch = numbers > 0 ? static_cast<std::int32_t*>(scratch.data()) : nullptr});
  CHECK(result.order.guards_are_intact());
  CHECK(result.segments.guards_are_intact());
  CHECK(scratch.guards_are_intact());
  return result;
}

// By going through all positions for each id.
struct ExpectedSort {
  std::vector<std::int32_t> order;
  std::vector<std::int32_t> segments;
};

inline ExpectedSort expected_sort(const Problem& p) {
  ExpectedSort expected;
  for (std::int64_t v = 0; v <= p.vocabulary; ++v) {
    expected.segments.push_back(static_cast<std::int32_t>(expected.order.size()));
    for (std::int64_t n = 0; n < p.positions(); ++n) {
      if (p.counts(n) && p.ids[static_cast<std::size_t>(n)] == static_cast<double>(v))
        expected.order.push_back(static_cast<std::int32_t>(n));
    }
  }
  return expected;
}

}  // namespace braid::testing::embedding
