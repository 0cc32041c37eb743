// The gradient of an embedding's table against plain loops, bit for bit.
#include <algorithm>
#include <vector>

#include "kernels/embedding.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/embedding_problem.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;
using namespace braid::testing::embedding;

namespace {

// Of the ids first .. last - 1 alone. A GPU's pieces of the sorted positions begin with the first
// of them; what a piece has of an id is summed, and then the pieces' sums are.
std::vector<float> expected_table_grad(const Problem& p, const Numbers& arriving,
                                       std::int64_t first, std::int64_t last, bool in_pieces) {
  std::vector<float> expected(static_cast<std::size_t>(p.vocabulary * p.width), 0.0F);
  const ExpectedSort sort = expected_sort(p);
  const auto begin = sort.segments[static_cast<std::size_t>(first)];
  const auto piece = static_cast<std::int32_t>(kernels::embedding_piece(p.positions()));
  for (std::int64_t v = first; v < last; ++v) {
    const auto from = sort.segments[static_cast<std::size_t>(v)];
    const auto to = sort.segments[static_cast<std::size_t>(v) + 1];
    for (std::int64_t e = 0; e < p.width; ++e) {
      float sum = 0;
      float of_piece = 0;
      for (std::int32_t i = from; i < to; ++i) {
        const std::int64_t n = sort.order[static_cast<std::size_t>(i)];
        of_piece += static_cast<float>(arriving[static_cast<std::size_t>(n * p.width + e)]);
        const bool is_cut = in_pieces && (i + 1 - begin) % piece == 0;
        if (!is_cut && i + 1 < to) continue;
        sum += of_piece;
        of_piece = 0;
      }
      expected[static_cast<std::size_t>(v * p.width + e)] = sum;
    }
  }
  return expected;
}

// In three parts, which may be given to different threads.
void check_table_grad(const Problem& p, std::int64_t gap, RandomNumbers& random) {
  const Numbers arriving = random.floats(p.positions() * p.width, -1, 1);
  GuardedMatrix<float> out_grad(p.positions(), p.width, gap);
  out_grad.fill(arriving);
  GuardedMatrix<std::int32_t> ids(p.rows, p.steps, gap);
  ids.fill(p.ids);
  for (const Backend backend : tested_backends()) {
    INFO(described(p) << " on " << kernels::name_of(backend));
    Sorted order = sorted(backend, p, 0);
    GuardedMatrix<float> table_grad(p.vocabulary, p.width, gap);
    std::vector<float> expected(static_cast<std::size_t>(p.vocabulary * p.width), 0.0F);
    const std::int64_t third = (p.vocabulary + 2) / 3;
    for (const std::int64_t begin : {2 * third, std::int64_t{0}, third}) {
      const std::int64_t first = std::min(begin, p.vocabulary);
      const std::int64_t last = std::min(first + third, p.vocabulary);
      GuardedScratch scratch(4 * kernels::embedding_sums_scratch(p.positions(), p.width));
      launch_on(backend,
                kernels::EmbeddingBackward{.ids = ids.matrix(),
                                           .order = order.order.data(),
                                           .segments = order.segments.data(),
                                           .out_grad = out_grad.matrix(),
                                           .table_grad = table_grad.matrix(),
                                           .first = first,
                                           .last = last,
                                           .scratch = static_cast<float*>(scratch.data())});
      CHECK(scratch.guards_are_intact());
      const std::vector<float> part =
          expected_table_grad(p, arriving, first, last, runs_on_device(backend));
      std::copy(part.begin() + first * p.width, part.begin() + last * p.width,
                expected.begin() + first * p.width);
    }
    CHECK(table_grad.elements() == expected);
    CHECK(table_grad.guards_are_intact());
  }
}

}  // namespace

TEST_CASE("embedding: the table's gradient is summed in the order of the batch, bit for bit") {
  RandomNumbers random(133);
  for (const Problem& p : problems()) {
    for (const std::int64_t gap : {0, 3}) check_table_grad(p, gap, random);
  }
}

TEST_CASE("embedding: ids that come often are summed piece by piece, those between them at once") {
  RandomNumbers random(141);
  // Ids in turn so often: pieces of 32 begin and end within an id, at its ends, or hold many.
  for (const std::vector<std::int64_t>& counts :
       {std::vector<std::int64_t>{31, 1, 32, 33, 0, 64, 31, 0, 0, 97},
        {1, 300, 2, 0, 600, 5, 1, 31},
        {5, 0, 0, 0, 1000}}) {
    for (const std::int64_t width : {1, 4, 33, 132}) {
      Problem p{1, 0, static_cast<std::int64_t>(counts.size()), width, {}, {}};
      for (std::size_t id = 0; id < counts.size(); ++id)
        p.ids.insert(p.ids.end(), static_cast<std::size_t>(counts[id]), static_cast<double>(id));
      // Positions in any order.
      for (std::size_t n = p.ids.size(); n > 1; --n)
        std::swap(p.ids[n - 1],
                  p.ids[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(n)))]);
      p.steps = static_cast<std::int64_t>(p.ids.size());
      check_table_grad(p, 0, random);
    }
  }
}

TEST_CASE("embedding: pieces are longer where there are many positions") {
  CHECK(kernels::embedding_piece(0) == 32);
  CHECK(kernels::embedding_piece(4096 * 64 - 1) == 32);
  CHECK(kernels::embedding_piece(4096 * 64) == 64);
  CHECK(kernels::embedding_piece(std::int64_t{1} << 30) == 256);
  CHECK(kernels::embedding_sums_scratch(97, 5) == 4 * 2 * 5);
#if !defined(BRAID_SIMT_RACES)  // whose notes on as many threads fill the memory
  RandomNumbers random(142);
  Problem p{4096, 64, 7, 1, {}, {}};
  for (std::int64_t n = 0; n < p.positions(); ++n)
    p.ids.push_back(static_cast<double>(random.below(p.vocabulary)));
  check_table_grad(p, 0, random);
#endif
}

TEST_CASE("embedding: a part of the gradient leaves the rows of other parts as they are") {
  const Problem p{1, 4, 6, 2, {1, 3, 3, 5}, {}};
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    Sorted order = sorted(backend, p, 0);
    GuardedMatrix<float> out_grad(Numbers{1, 2, 3, 4, 5, 6, 7, 8}, 2);
    GuardedMatrix<float> table_grad(Numbers(12, 9), 2);
    GuardedMatrix<std::int32_t> ids(p.ids, 4);
    GuardedScratch scratch(4 * kernels::embedding_sums_scratch(4, 2));
    launch_on(backend, kernels::EmbeddingBackward{.ids = ids.matrix(),
                                                  .order = order.order.data(),
                                                  .segments = order.segments.data(),
                                                  .out_grad = out_grad.matrix(),
                                                  .table_grad = table_grad.matrix(),
                                                  .first = 2,
                                                  .last = 4,
                                                  .scratch = static_cast<float*>(scratch.data())});
    CHECK(table_grad.values() == Numbers{9, 9, 9, 9, 0, 0, 8, 10, 9, 9, 9, 9});
  }
}
