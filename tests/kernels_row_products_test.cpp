// Products of dense layers as steps of row programs have the bits of launches of their own,
// whatever way they take there.
#include <string>
#include <vector>

#include "kernels/dense.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/row_program.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// Runs the kernel both ways; `into` gives it the results it writes.
template <class Arguments, class Into>
void check_both_ways(Backend backend, Arguments args, std::vector<GuardedMatrix<float>> alone,
                     const Into& into) {
  std::vector<GuardedMatrix<float>> as_step = alone;
  into(args, alone);
  run_alone(backend, args);
  into(args, as_step);
  run_as_step(backend, args);
  for (std::size_t i = 0; i < alone.size(); ++i) {
    CHECK(alone[i].elements() == as_step[i].elements());
    CHECK(as_step[i].guards_are_intact());
  }
}

using Results = std::vector<GuardedMatrix<float>>;

struct Layer {
  std::int64_t rows;
  std::int64_t inputs;
  std::int64_t units;
};
std::string described(Backend backend, const Layer& layer) {
  return std::string(kernels::name_of(backend)) + ", " + std::to_string(layer.rows) + " rows, " +
         std::to_string(layer.inputs) + " inputs, " + std::to_string(layer.units) + " units";
}

void check_forward(const Layer& layer, kernels::ActivationKind kind, std::int64_t gap = 0) {
  const auto& [rows, inputs, units] = layer;
  RandomNumbers random(61);
  GuardedMatrix<float> in(random.floats(rows * inputs, -1, 1), inputs, gap);
  GuardedMatrix<float> kernel(random.floats(inputs * units, -1, 1), units);
  GuardedMatrix<float> bias(random.floats(units, -1, 1), units);
  for (const Backend backend : tested_backends()) {
    INFO(described(backend, layer) << ", activation " << static_cast<int>(kind) << ", gap " << gap);
    const kernels::DenseForward args{.in = in.matrix(),
                                     .kernel = kernel.matrix(),
                                     .bias = bias.data(),
                                     .activation = {.kind = kind}};
    check_both_ways(backend, args, {GuardedMatrix<float>(rows, units, gap)},
                    [](kernels::DenseForward& taken, Results& to) { taken.out = to[0].matrix(); });
  }
}

void check_input_gradient(const Layer& layer, bool adds) {
  const auto& [rows, inputs, units] = layer;
  RandomNumbers random(62);
  GuardedMatrix<float> out_grad(random.floats(rows * units, -1, 1), units);
  GuardedMatrix<float> kernel(random.floats(inputs * units, -1, 1), units);
  const GuardedMatrix<float> before(random.floats(rows * inputs, -1, 1), inputs);
  for (const Backend backend : tested_backends()) {
    INFO(described(backend, layer) << (adds ? ", added" : ""));
    const kernels::DenseInputGradient args{
        .out_grad = out_grad.matrix(), .kernel = kernel.matrix(), .accumulate = adds};
    check_both_ways(backend, args, {before}, [](kernels::DenseInputGradient& taken, Results& to) {
      taken.in_grad = to[0].matrix();
    });
  }
}

void check_weight_gradient(const Layer& layer, bool adds, std::int64_t gap, bool with_bias) {
  const auto& [rows, inputs, units] = layer;
  RandomNumbers random(63);
  GuardedMatrix<float> in(random.floats(rows * inputs, -1, 1), inputs, gap);
  GuardedMatrix<float> out_grad(random.floats(rows * units, -1, 1), units, gap);
  const GuardedMatrix<float> kernel(random.floats(inputs * units, -1, 1), units, gap);
  const GuardedMatrix<float> bias(random.floats(units, -1, 1), units);
  for (const Backend backend : tested_backends()) {
    INFO(described(backend, layer) << (adds ? ", added" : "") << ", gap " << gap);
    const kernels::DenseWeightGradient args{
        .in = in.matrix(), .out_grad = out_grad.matrix(), .accumulate = adds};
    check_both_ways(backend, args, {kernel, bias},
                    [&](kernels::DenseWeightGradient& taken, Results& to) {
                      taken.kernel_grad = to[0].matrix();
                      taken.bias_grad = with_bias ? to[1].data() : nullptr;
                    });
  }
}

}  // namespace

TEST_CASE("row program: layers of few inputs have the bits of launches of their own") {
  using kernels::ActivationKind;
  for (const std::int64_t rows : {3, 9, 40, 100}) {
    for (const std::int64_t inputs : {1, 5, 8}) {
      for (const std::int64_t units : {7, 12}) {
        for (const ActivationKind kind : {ActivationKind::linear, ActivationKind::relu,
                                          ActivationKind::tanh, ActivationKind::gelu})
          check_forward({rows, inputs, units}, kind);
      }
    }
  }
}

TEST_CASE("row program: few rows of many inputs have the bits of launches of their own") {
  using kernels::ActivationKind;
  for (const std::int64_t rows : {1, 3, 4, 5, 8}) {
    for (const std::int64_t inputs : {33, 255, 256, 416, 1060}) {
      for (const std::int64_t units : {2, 12, 64, 70}) {
        check_forward({rows, inputs, units}, ActivationKind::relu);
        check_forward({rows, inputs, units}, ActivationKind::tanh, 3);
      }
    }
  }
}

TEST_CASE("row program: rows that shared memory holds have the bits of launches of their own") {
  using kernels::ActivationKind;
  // All of the depth, and parts of it; four rows a thread, and one; some columns beside fours.
  for (const Layer& layer : {Layer{9, 9, 2}, Layer{9, 33, 5}, Layer{37, 70, 12}, Layer{64, 64, 10},
                             Layer{64, 100, 64}, Layer{64, 301, 60}, Layer{33, 9, 130}}) {
    check_forward(layer, ActivationKind::relu);
    check_forward(layer, ActivationKind::tanh, 3);
  }
  for (const Layer& layer : {Layer{9, 2, 9}, Layer{37, 12, 70}, Layer{64, 64, 10},
                             Layer{64, 64, 300}, Layer{33, 130, 9}}) {
    for (const bool adds : {false, true}) check_input_gradient(layer, adds);
  }
  for (const Layer& layer : {Layer{9, 9, 2}, Layer{64, 96, 1}, Layer{64, 5, 32}, Layer{17, 33, 7},
                             Layer{64, 100, 64}, Layer{300, 60, 61}, Layer{33, 1, 130}}) {
    for (const std::int64_t gap : {0, 3, 4}) {
      check_weight_gradient(layer, gap == 3, gap, gap < 4);
    }
  }
}

TEST_CASE(
    "row program: rows that shared memory does not hold have the bits of their own launches") {
  // More columns than a block has threads; few rows, and more.
  for (const std::int64_t rows : {9, 16, 17, 40}) {
    for (const std::int64_t few : {9, 33}) {
      check_forward({rows, few, 257}, kernels::ActivationKind::relu);
      check_forward({rows, few, 300}, kernels::ActivationKind::tanh, 3);
      for (const bool adds : {false, true}) check_input_gradient({rows, 259, few}, adds);
    }
  }
}

TEST_CASE("row program: one column of several rows has the bits of launches of its own") {
  for (const std::int64_t rows : {1, 7, 8, 9, 33, 64}) {
    for (const std::int64_t inputs : {1, 4, 96, 131, 300})
      check_forward({rows, inputs, 1}, kernels::ActivationKind::sigmoid, rows % 2);
  }
}

TEST_CASE("row program: few rows' gradients of inputs have the bits of launches of their own") {
  for (const std::int64_t rows : {1, 4, 5, 8}) {
    for (const std::int64_t inputs : {1, 5, 64, 70}) {
      for (const std::int64_t units : {3, 63, 64, 161, 416}) {
        for (const bool adds : {false, true}) check_input_gradient({rows, inputs, units}, adds);
      }
    }
  }
}

TEST_CASE("row program: few rows' gradients of weights have the bits of launches of their own") {
  for (const std::int64_t rows : {1, 3, 4, 5, 8, 9}) {
    for (const std::int64_t inputs : {1, 5, 37, 64}) {
      for (const std::int64_t units : {4, 12, 64, 260, 7}) {
        for (const std::int64_t gap : {0, 3, 4})
          check_weight_gradient({rows, inputs, units}, gap == 3, gap, inputs != 5);
      }
    }
  }
  // More inputs than shared memory holds at once.
  for (const std::int64_t rows : {2, 7}) {
    for (const std::int64_t inputs : {1023, 1024, 1030, 2048, 2051})
      check_weight_gradient({rows, inputs, 8}, false, 0, true);
  }
}
