// Rows of a table by ids, and the gradient of the table.
#include <tuple>

#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/embedding.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/op_check.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

Array rows_of(const Array& ids, const Array& table) {
  Array out(ids.shape.append(table.columns()));
  for (std::int64_t n = 0; n < ids.elements(); ++n) {
    for (std::int64_t e = 0; e < table.columns(); ++e)
      out(n, e) = table(static_cast<std::int64_t>(ids[n]), e);
  }
  return out;
}

OpCheck embedding_of(const Array& words, std::int64_t vocabulary, std::int64_t width,
                     RandomNumbers& random) {
  OpCheck check{.name = named("embedding of ", words.shape, " in ", vocabulary, " x ", width)};
  check.inputs = {ids("ids", words).any_length(),
                  weight("table", random_array({vocabulary, width}, random))};
  check.build = [](Graph& graph, const Values& in) -> Values {
    return {ops::embedding(graph, in[0], in[1])};
  };
  check.reference = [](const Arrays& in) -> Arrays { return {rows_of(in[0], in[1])}; };
  return check;
}

std::vector<OpCheck> lookups() {
  RandomNumbers random(1);
  std::vector<OpCheck> checks;
  for (const Shape& shape : {Shape{0, 3}, Shape{1, 1}, Shape{3, 0}, Shape{7, 3}, Shape{67, 2},
                             Shape{5}, Shape{3, 2, 2}}) {
    for (const auto& [vocabulary, width] :
         {std::pair{1, 3}, std::pair{2, 1}, std::pair{5, 4}, std::pair{31, 17}}) {
      checks.push_back(
          embedding_of(random_ids(shape, vocabulary, random), vocabulary, width, random));
    }
  }
  for (const Shape& shape : random_shapes(6, random)) {
    const std::int64_t vocabulary = 1 + random.below(40);
    checks.push_back(embedding_of(random_ids(shape, vocabulary, random), vocabulary,
                                  1 + random.below(20), random));
  }
  // One id everywhere, the first and the last row, and each id once.
  checks.push_back(embedding_of(Array(Shape{257, 3}, 1), 3, 2, random));
  checks.push_back(embedding_of(Array(Shape{9, 2}, 0), 4, 5, random));
  checks.push_back(embedding_of(Array(Shape{9, 2}, 3), 4, 5, random));
  Array each(Shape{13, 1});
  for (std::int64_t n = 0; n < 13; ++n) each[n] = static_cast<double>(12 - n);
  checks.push_back(embedding_of(each, 13, 3, random));
  return checks;
}

// A table whose gradient is computed in several parts; plain loops instead of differences.
std::vector<OpCheck> large_tables() {
  RandomNumbers random(2);
  std::vector<OpCheck> checks;
  // And more positions than are sorted in one go, an odd number of them, by two digits.
  for (const auto& [shape, vocabulary, width] :
       {std::tuple{Shape{1, 5}, 4099, 17}, {Shape{67, 5}, 4099, 17}, {Shape{131073, 1}, 1100, 1}}) {
    OpCheck check = embedding_of(random_ids(shape, vocabulary, random), vocabulary, width, random);
    check.gradients = [](const Arrays& in, const Arrays& out_grads) -> Arrays {
      Array slopes(in[1].shape);
      for (std::int64_t n = 0; n < in[0].elements(); ++n) {
        for (std::int64_t e = 0; e < slopes.columns(); ++e)
          slopes(static_cast<std::int64_t>(in[0][n]), e) += out_grads[0](n, e);
      }
      return {slopes};
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

// One table for two inputs: what both send back adds up.
std::vector<OpCheck> shared_tables() {
  RandomNumbers random(3);
  OpCheck check = embedding_of(random_ids({19, 3}, 7, random), 7, 3, random);
  check.name = "one table for two inputs";
  check.inputs.push_back(ids("other ids", random_ids({19, 2}, 7, random)));
  check.build = [](Graph& graph, const Values& in) -> Values {
    return {ops::embedding(graph, in[0], in[1]), ops::embedding(graph, in[2], in[1])};
  };
  check.reference = [](const Arrays& in) -> Arrays {
    return {rows_of(in[0], in[1]), rows_of(in[2], in[1])};
  };
  return {check};
}

const OpFamily family{lookups, large_tables, shared_tables};

}  // namespace

TEST_CASE("ops: embedding picks rows of its table and sums what they get back") {
  check(lookups());
  check(large_tables());
}

TEST_CASE("ops: embedding gradients of a table that is used twice add up") {
  check(shared_tables());
}
