#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/graph/autograd.hpp"
#include "tests/support/op_check.hpp"

// The graphs that one OpCheck is run in, and what must come out of each.
namespace braid::testing {

// What surrounds the ops under test in the graph.
struct Surroundings {
  const char* name;
  bool gradients = true;
  bool between = false;  // values come from ops and go to ops, so that they live in tiles
  bool columns = false;  // operands are column slices, outputs are columns of a concatenation
  bool ballast = false;  // the batch is cut into as many slices and as small tiles as can be
  bool fused = false;
  GradientOf gradient_of = GradientOf::tiles;
};

// A value of a program and what it must be.
struct Wanted {
  Value value;
  std::string name;
  Array expected;
  double tolerance = 0;
  bool each_by_itself = false;
  double factor = 1;  // the value is so many times (a power of two) what the bare ops give
  bool comparable = true;
};

struct Plan {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  std::vector<OpInput> feeds;  // of the graph's inputs, in order
  std::vector<Wanted> wanted;
  Values outputs;
  std::set<int> unnamed;  // what only the ops' own gradients can see
};

// What the reference says.
struct Expected {
  Arrays outputs;
  std::vector<ValueInfo> infos;  // of the outputs, as the graph has them
  Arrays out_grads;              // empty where an output is no float
  Arrays gradients;              // one an input, empty where none is checked
};

// All but the gradients.
Expected expect_outputs(const OpCheck& problem);
Expected expect(const OpCheck& problem);

// The graph of one check in its surroundings; nothing if they change nothing.
std::optional<Plan> make_plan(const OpCheck& problem, const Expected& expected,
                              const Surroundings& around);

}  // namespace braid::testing
