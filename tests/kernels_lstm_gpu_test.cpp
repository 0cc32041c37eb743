// What the GPU's LSTM kernels do in more than one way: how many rows a block takes, how many units
// it can keep, how large the tiles of products are, how a batch is cut. Cut for few
// multiprocessors, small batches come to all of them.
#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "kernels/lstm_gpu.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/lstm_cut.hpp"
#include "tests/support/lstm_kernel.hpp"
#include "tests/support/schedules.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::Activation;
using kernels::ActivationKind;
using kernels::LstmShape;

namespace {

void check_close(const Numbers& got, const Numbers& expected, double tolerance) {
  CHECK(largest_error(got, expected) < tolerance);
}

void check_against_reference(const LstmProblem& problem, const LstmOutputGrads& grads) {
  INFO("B " << problem.rows << ", T " << problem.steps << ", E " << problem.features << ", H "
            << problem.units << ", cut for " << kernels::lstm_cut.multiprocessors);
  const LstmResults results = lstm_forward(problem);
  const LstmGrads expected = lstm_backward(problem, grads);
  LstmKernel kernel(gpu_backend(), problem);
  const LstmResults got = kernel.forward();
  check_close(got.sequence, results.sequence, 3e-6);
  check_close(got.last_h, results.last_h, 3e-6);
  check_close(got.last_c, results.last_c, 3e-6);
  const LstmGrads got_grads = kernel.backward(grads);
  check_close(got_grads.in, expected.in, 1e-5);
  check_close(got_grads.kernel, expected.kernel, 1e-5);
  check_close(got_grads.recurrent, expected.recurrent, 1e-5);
  check_close(got_grads.bias, expected.bias, 1e-5);
  check_close(got_grads.initial_h, expected.initial_h, 1e-5);
  check_close(got_grads.initial_c, expected.initial_c, 1e-5);
}

}  // namespace

TEST_CASE("lstm on a gpu: pieces of the scratch and saved memory are aligned and do not overlap") {
  using Pieces = std::vector<std::pair<std::int64_t, std::int64_t>>;  // place and count of floats
  const auto check = [](Pieces pieces, std::int64_t end) {
    std::sort(pieces.begin(), pieces.end());
    pieces.emplace_back(end, 0);
    for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
      CHECK(pieces[i].first % 64 == 0);
      CHECK(pieces[i].first + 4 * pieces[i].second <= pieces[i + 1].first);
    }
  };
  using kernels::in_whole_fours;
  for (const std::int64_t slice_bytes : {std::int64_t{512} << 20U, std::int64_t{4000}}) {
    const LstmCutScope scope({.slice_bytes = slice_bytes});
    for (const LstmShape& shape : {LstmShape{0, 0, 1, 1}, LstmShape{1, 1, 1, 1},
                                   LstmShape{8, 20, 12, 64}, LstmShape{5, 3, 13, 130}}) {
      const auto [rows, steps, features, units] = kernels::lstm_slice(shape);
      const std::int64_t wide = 4 * units;
      const auto forward = kernels::lstm_forward_places(shape);
      Pieces pieces{{forward.tokens, rows * (2 * steps + 3) + 1}, {forward.z, rows * steps * wide}};
      if (units > 64) {
        const std::int64_t tiles = (rows + 31) / 32;
        pieces.emplace_back(forward.h,
                            2 * tiles * 32 * ((units + 63) / 64 * 64) + tiles * ((units + 7) / 8));
        pieces.emplace_back(forward.c, rows * units);
      }
      check(pieces, forward.bytes);

      const auto backward = kernels::lstm_backward_places(shape);
      const kernels::LstmSlots slots = kernels::lstm_slots({rows, steps, features, units});
      pieces = {{backward.z_grad, rows * steps * wide},
                {backward.partial, slots.count * slots.floats()},
                {backward.kernel, wide * in_whole_fours(features)}};
      if (units > 64) {
        const std::int64_t tiles = (rows + 31) / 32;
        const std::int64_t exchanged =
            2 * tiles * 32 * ((wide + 63) / 64 * 64) + tiles * ((units + 15) / 16);
        pieces.emplace_back(backward.recurrent, std::max(wide * in_whole_fours(units), exchanged));
        pieces.emplace_back(backward.c_grad, rows * units);
      }
      check(pieces, backward.bytes);

      // Of a table with fewer rows than there are tokens, and with more.
      for (const std::int64_t table_rows : {std::int64_t{2}, std::int64_t{500}}) {
        const bool by_ids = kernels::lstm_takes_table(shape, table_rows);
        const auto of_table = kernels::lstm_backward_places(shape, table_rows);
        Pieces more = pieces;
        if (by_ids) {
          const kernels::LstmSlots of_ids = kernels::lstm_slots({table_rows, 1, features, units});
          more[1].second = std::max(more[1].second, of_ids.count * of_ids.floats());
        }
        const std::int64_t positions = shape.rows * shape.steps;
        const std::int64_t columns = by_ids ? wide : features;
        for (auto& [place, count] : more) {
          if (place == backward.kernel) place = of_table.kernel;
          if (place == backward.recurrent) place = of_table.recurrent;
          if (place == backward.c_grad) place = of_table.c_grad;
        }
        more.emplace_back(of_table.by_ids, (by_ids ? table_rows : positions) * columns);
        more.emplace_back(of_table.shared_sums,
                          kernels::embedding_sums_scratch(positions, columns));
        check(more, of_table.bytes);
        CHECK(of_table.bytes <= kernels::lstm_backward_scratch(shape, table_rows));
      }

      CHECK(forward.bytes <= kernels::lstm_forward_scratch(shape));
      CHECK(backward.bytes <= kernels::lstm_backward_scratch(shape));
      const std::int64_t saved = kernels::lstm_gpu_saved_floats(shape);
      CHECK(saved % 4 == 0);
      CHECK(saved <= kernels::lstm_saved_per_row(shape));
      if (rows > 0) CHECK(rows * (6 * steps * units + 2 * steps + 3) + 1 <= rows * saved);
    }
  }
}

TEST_CASE(
    "lstm on a gpu: any number of units, by blocks of any number of rows and tiles of any size") {
  RandomNumbers random(21);
  const std::vector<LstmSize> sizes{{1, 3, 3, 4},   {2, 5, 1, 33},   {7, 4, 5, 64},
                                    {5, 3, 3, 65},  {6, 2, 4, 128},  {3, 3, 2, 129},
                                    {2, 2, 3, 196}, {70, 2, 1, 131}, {67, 1, 2, 132}};
  for (const LstmSize& size : sizes) {
    for (const std::int64_t multiprocessors : {1, 4, 132}) {
      const LstmCutScope scope({.multiprocessors = multiprocessors});
      LstmProblem problem = random_lstm(size, random);
      problem.go_backwards = random.below(2) == 0;
      problem.mask = random_mask(problem, random);
      check_against_reference(problem, random_grads(problem, random));
    }
  }
}

TEST_CASE("lstm on a gpu: results do not depend on how many rows a block takes") {
  const EmulatedGpuScope gpu(kH100);
  RandomNumbers random(22);
  for (const std::int64_t units : {20, 40, 80}) {
    LstmProblem problem = random_lstm({4, 6, 3, units}, random);
    problem.mask = {1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    const LstmOutputGrads grads = random_grads(problem, random);
    LstmResults results;
    LstmGrads gradients;
    for (const std::int64_t multiprocessors : {1, 2, 4}) {  // four rows, two, one
      const LstmCutScope scope({.multiprocessors = multiprocessors});
      LstmKernel kernel(gpu_backend(), problem);
      const LstmResults got = kernel.forward();
      const LstmGrads got_grads = kernel.backward(grads);
      if (multiprocessors == 1) {
        results = got;
        gradients = got_grads;
      }
      CHECK(got.sequence == results.sequence);
      CHECK(got.last_c == results.last_c);
      CHECK(got_grads.in == gradients.in);
      CHECK(got_grads.initial_h == gradients.initial_h);
      CHECK(got_grads.initial_c == gradients.initial_c);
    }
  }
}

TEST_CASE("lstm on a gpu: other activations for many units and for few") {
  RandomNumbers random(23);
  for (const std::int64_t units : {12, 50, 90, 140}) {
    LstmProblem problem = random_lstm({5, 4, 3, units}, random);
    problem.mask = random_mask(problem, random);
    problem.activation = {ActivationKind::elu, 1};
    problem.recurrent_activation = {ActivationKind::hard_sigmoid};
    check_against_reference(problem, random_grads(problem, random));
  }
  const LstmCutScope scope({.multiprocessors = 1});
  LstmProblem problem = random_lstm({3, 2, 2, 130}, random);
  problem.recurrent_activation = {ActivationKind::softsign};
  check_against_reference(problem, random_grads(problem, random));
}

TEST_CASE("lstm on a gpu: a batch may be cut into slices, one row each at the least") {
  RandomNumbers random(24);
  LstmProblem problem = random_lstm({7, 3, 4, 6}, random);
  const LstmOutputGrads grads = random_grads(problem, random);
  const std::int64_t bytes_of_row = 16 * 3 * 6;
  for (const bool masked : {false, true}) {
    if (masked) problem.mask = random_mask(problem, random);
    for (const std::int64_t rows : {0, 1, 3, 7}) {
      const LstmCutScope scope({.slice_bytes = rows * bytes_of_row});
      CHECK(kernels::lstm_slice_rows({7, 3, 4, 6}) == std::max<std::int64_t>(rows, 1));
      check_against_reference(problem, grads);
    }
  }
}

TEST_CASE("lstm on a gpu: inputs named by ids, of slices of the batch too") {
  RandomNumbers random(25);
  const std::int64_t vocabulary = 9;
  LstmProblem problem = random_lstm({5, 4, 3, 8}, random);
  problem.mask = random_mask(problem, random);
  const Numbers table_values = random.floats(vocabulary * 3, -1, 1);
  Numbers id_values;
  for (std::size_t n = 0; n < 20; ++n) {
    const std::int64_t id = random.below(vocabulary);
    id_values.push_back(static_cast<double>(id));
    for (std::int64_t e = 0; e < 3; ++e) {
      problem.in[n * 3 + static_cast<std::size_t>(e)] = table_values[lstm_reference::at(id, e, 3)];
    }
  }
  GuardedMatrix<float> table(table_values, 3, 2);
  GuardedMatrix<std::int32_t> ids(id_values, 4, 3);
  const LstmCutScope scope({.slice_bytes = 2 * 16 * 4 * 8});
  LstmKernel kernel(gpu_backend(), problem);
  const LstmResults expected = kernel.forward();
  GuardedMatrix<float> h(5, 8);
  kernels::LstmForward forward = kernel.forward_arguments();
  forward.in = {};
  forward.ids = ids.matrix();
  forward.table = table.matrix();
  forward.last_h = h.matrix();
  kernel.launch(forward);
  CHECK(h.values() == expected.last_h);
}

TEST_CASE("lstm on a gpu: blocks share the sums of the weight gradients, in any order of threads") {
  RandomNumbers random(26);
  // Many blocks with a part of a tile each, few that have parts of two, and so few that some have
  // two tiles of the gradients of inputs.
  const std::int64_t multiprocessors = GENERATE(132, 4, 2);
  const LstmCutScope cut({.multiprocessors = multiprocessors});
  LstmProblem problem = random_lstm({64, 18, 5, 7}, random);
  problem.mask = random_mask(problem, random);
  const LstmOutputGrads grads = random_grads(problem, random);
  REQUIRE(kernels::lstm_slots({64, 18, 5, 7}).count ==
          std::min<std::int64_t>(4 * multiprocessors, 36) + 2);
  REQUIRE(std::accumulate(problem.mask.begin(), problem.mask.end(), 0.0) > 64 * 8);
  LstmGrads first;
  for (const simt::Schedule& schedule : every_schedule()) {
    INFO(described(schedule));
    const ScheduleScope scope(schedule);
    LstmKernel kernel(gpu_backend(), problem);
    kernel.forward();
    const LstmGrads got = kernel.backward(grads);
    if (first.kernel.empty()) first = got;
    CHECK(got.kernel == first.kernel);
    CHECK(got.recurrent == first.recurrent);
    CHECK(got.bias == first.bias);
    CHECK(got.in == first.in);
  }
  const LstmGrads expected = lstm_backward(problem, grads);
  check_close(first.kernel, expected.kernel, 1e-5);
  check_close(first.in, expected.in, 1e-5);
}

TEST_CASE("lstm on a gpu: gradients that nobody wants are not written") {
  RandomNumbers random(27);
  for (const std::int64_t units : {6, 130}) {
    const LstmProblem problem = random_lstm({3, 3, 4, units}, random);
    const LstmOutputGrads grads = random_grads(problem, random);
    const LstmGrads expected =
        lstm_backward(problem, {.sequence = {}, .last_h = grads.last_h, .last_c = {}});
    LstmKernel kernel(gpu_backend(), problem);
    kernel.forward();
    GuardedMatrix<float> last(grads.last_h, units);
    for (const std::string wanted : {"nothing", "in", "kernel", "recurrent", "bias"}) {
      INFO(wanted << ", H " << units);
      GuardedMatrix<float> in(9, 4);
      GuardedMatrix<float> of_kernel(4, 4 * units);
      GuardedMatrix<float> of_recurrent(units, 4 * units);
      GuardedMatrix<float> of_bias(1, 4 * units);
      kernels::LstmBackward arguments = kernel.backward_arguments();
      arguments.last_h_grad = last.matrix();
      if (wanted == "in") arguments.in_grad = in.matrix();
      if (wanted == "kernel") arguments.kernel_grad = of_kernel.matrix();
      if (wanted == "recurrent") arguments.recurrent_grad = of_recurrent.matrix();
      if (wanted == "bias") arguments.bias_grad = of_bias.data();
      kernel.launch(arguments);
      if (wanted == "in") check_close(in.values(), expected.in, 1e-5);
      if (wanted == "kernel") check_close(of_kernel.values(), expected.kernel, 1e-5);
      if (wanted == "recurrent") check_close(of_recurrent.values(), expected.recurrent, 1e-5);
      if (wanted == "bias") check_close(of_bias.values(), expected.bias, 1e-5);
    }
  }
}

TEST_CASE("lstm on a gpu: gradients are whole again with the scratch memory of the call before") {
  RandomNumbers random(28);
  const LstmCutScope cut({.multiprocessors = 4});
  LstmProblem problem = random_lstm({40, 9, 5, 7}, random);
  problem.mask = random_mask(problem, random);
  LstmKernel kernel(gpu_backend(), problem);
  kernel.forward();
  GuardedMatrix<float> last(random.floats(40 * 7, -1, 1), 7);
  GuardedScratch scratch(kernels::lstm_backward_scratch({40, 9, 5, 7}));
  Numbers in_grad;
  Numbers kernel_grad;
  for (const bool again : {false, true}) {
    GuardedMatrix<float> in(40 * 9, 5);
    GuardedMatrix<float> of_kernel(5, 28);
    kernels::LstmBackward arguments = kernel.backward_arguments();
    arguments.last_h_grad = last.matrix();
    arguments.in_grad = in.matrix();
    arguments.kernel_grad = of_kernel.matrix();
    arguments.scratch = scratch.data();
    launch_on(gpu_backend(), arguments);
    CHECK((!again || in.values() == in_grad));
    CHECK((!again || of_kernel.values() == kernel_grad));
    in_grad = in.values();
    kernel_grad = of_kernel.values();
  }
}
