#pragma once
#include <functional>
#include <initializer_list>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "engine/graph/graph.hpp"
#include "engine/runtime/workspace.hpp"
#include "tests/support/array.hpp"

namespace braid::testing {

using Values = std::vector<Value>;

// Words, numbers and shapes, put together.
inline std::string word(const Shape& shape) { return to_string(shape); }
template <class Part>
const Part& word(const Part& part) {
  return part;
}
template <class... Parts>
std::string named(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << word(parts));
  return text.str();
}

// An operand of the ops under test, with its numbers.
struct OpInput {
  std::string name;
  Array array;
  DType dtype = DType::float32;
  bool batched = true;         // else a weight
  bool differentiable = true;  // its gradient is checked; floats only
  std::size_t known_from = 1;  // axes before this one are None while the graph is built

  // The number of steps, axis 1, comes with the batch; of values with `rank` axes or more.
  OpInput any_length(std::size_t rank = 2) && {
    if (array.shape.rank() >= rank) known_from = 2;
    return std::move(*this);
  }
};

OpInput batched(std::string name, Array array);
OpInput weight(std::string name, Array array);
// Numbers that get no gradient: targets, sample weights.
OpInput given(std::string name, Array array);
OpInput ids(std::string name, Array array);
OpInput mask(std::string name, Array array);

// One problem for one op (or a few): how they are put into a graph, and what must come out.
struct OpCheck {
  std::string name;
  std::vector<OpInput> inputs;
  // Builds the ops with the functions that layers use.
  std::function<Values(Graph&, const Values&)> build;
  // Plain loops in float64. Takes the arrays of the inputs, gives those of the outputs; must take
  // batches of any size.
  std::function<Arrays(const Arrays&)> reference;
  // Where central differences say something else than Keras, as at kinks: the gradients of the
  // differentiable inputs, from the inputs and the outputs' gradients.
  std::function<Arrays(const Arrays&, const Arrays&)> gradients = {};
  // Rows of batched outputs depend on the same rows of batched inputs, other outputs are sums over
  // the rows: then differences look at one row at a time.
  bool rows_stand_alone = true;
  double tolerance = 3e-6;      // of the largest number expected, or
  bool each_by_itself = false;  // of every number by itself
  double gradient_tolerance = 1e-5;
  double step = 1e-6;  // of the differences
  RunState state = {};
};

// Runs the ops through planner and workspace, alone and node by node: with every instruction set;
// alone, between other ops, on column slices, cut into slices and tiles; fused and not fused. Holds
// every output against the reference and every element of every gradient against central
// differences of sum <output, random gradient>. Memory is poisoned before each run; runs repeat bit
// for bit; rows have the same bits however the batch is cut.
void check(const OpCheck& problem);
void check(const std::vector<OpCheck>& problems);

// Kinds and classes of all ops that a check runs.
std::set<std::string> ops_of(const OpCheck& problem);

// Functions that make lists of checks, registered so that the completeness test can look at what
// they check.
class OpFamily {
 public:
  using Maker = std::vector<OpCheck> (*)();
  OpFamily(std::initializer_list<Maker> makers);
  static std::vector<Maker>& makers();
};

}  // namespace braid::testing
