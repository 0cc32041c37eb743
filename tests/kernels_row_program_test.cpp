// Row programs: several kernels in one launch, each block on rows of its own. That a program of one
// step is as good as its kernel is seen by that kernel's tests (support/kernel_launch.hpp).
#include "kernels/row_program.hpp"

#include <bit>
#include <cstring>
#include <optional>
#include <vector>

#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/row_program.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

constexpr std::int64_t kFeatures = 37;
constexpr std::int64_t kHidden = 21;
constexpr std::int64_t kClasses = 3;

// A layer, its loss and their gradients. Sums over rows are one for each block, and added up when
// all blocks have ended.
struct Network {
  Network(std::int64_t rows, std::int64_t slices, RandomNumbers random)
      : blocks(slices),
        x(random.floats(rows * kFeatures, -1, 1), kFeatures, 3),
        truth(rows, kClasses),
        first(random.floats(kFeatures * kHidden, -1, 1), kHidden),
        second(random.floats(kHidden * kClasses, -1, 1), kClasses),
        bias(random.floats(kHidden, -1, 1), kHidden),
        hidden(rows, kHidden, 2),
        logits(rows, kClasses),
        losses(rows, 1),
        logit_grad(rows, kClasses),
        hidden_grad(rows, kHidden),
        before_relu(rows, kHidden, 1),
        kernel_grad(slices * kFeatures, kHidden),
        bias_grad(slices, kHidden),
        total(slices, 1),
        whole_kernel_grad(1, kFeatures * kHidden),
        whole_total(1, 1) {
    Numbers labels;
    for (std::int64_t n = 0; n < rows; ++n) {
      const std::int64_t label = random.below(kClasses);
      for (std::int64_t c = 0; c < kClasses; ++c) labels.push_back(c == label ? 1 : 0);
    }
    truth.fill(labels);
  }

  // Calls body(arguments) for each kernel of a block's rows, in order.
  template <class Body>
  void for_kernels_of_block(std::int64_t block, const Body& body) {
    using kernels::ActivationKind;
    const std::int64_t begin = x.matrix().rows * block / blocks;
    const std::int64_t end = x.matrix().rows * (block + 1) / blocks;
    const auto part = [&](auto& whole) { return rows_of(whole.matrix(), begin, end - begin); };
    const kernels::LossRule rule{.kind = kernels::LossKind::categorical_crossentropy,
                                 .from_logits = true};
    body(kernels::DenseForward{.in = part(x),
                               .kernel = first.matrix(),
                               .bias = bias.data(),
                               .out = part(hidden),
                               .activation = {.kind = ActivationKind::relu}});
    body(kernels::DenseForward{
        .in = part(hidden), .kernel = second.matrix(), .out = part(logits), .activation = {}});
    body(kernels::LossForward{
        .rule = rule, .truth = part(truth), .predicted = part(logits), .values = part(losses)});
    body(kernels::WeightedSum{
        .value = part(losses), .sums = total.data() + block, .with_weights = false});
    body(kernels::LossBackward{.rule = rule,
                               .truth = part(truth),
                               .predicted = part(logits),
                               .predicted_grad = part(logit_grad)});
    body(kernels::DenseInputGradient{
        .out_grad = part(logit_grad), .kernel = second.matrix(), .in_grad = part(hidden_grad)});
    body(kernels::ActivationBackward{.out = part(hidden),
                                     .out_grad = part(hidden_grad),
                                     .in_grad = part(before_relu),
                                     .activation = {.kind = ActivationKind::relu}});
    body(kernels::DenseWeightGradient{
        .in = part(x),
        .out_grad = part(before_relu),
        .kernel_grad = rows_of(kernel_grad.matrix(), block * kFeatures, kFeatures),
        .bias_grad = bias_grad.matrix().row(block)});
  }

  // Likewise for what comes when all blocks have ended.
  template <class Body>
  void for_closing_kernels(const Body& body) {
    body(kernels::SumSlices{.in = kernel_grad.data(),
                            .slices = blocks,
                            .slice_stride = kFeatures * kHidden,
                            .out = whole_kernel_grad.data(),
                            .count = kFeatures * kHidden});
    body(kernels::SumSlices{.in = total.data(),
                            .slices = blocks,
                            .slice_stride = 1,
                            .out = whole_total.data(),
                            .count = 1});
    // Of its own: a step reads what the closing step before it has written.
    body(kernels::Affine{
        .in = whole_total.matrix(), .out = whole_total.matrix(), .scale = 0.5F, .shift = 0});
  }

  std::vector<GuardedMatrix<float>*> results() {
    return {&hidden,      &logits,    &losses, &logit_grad,        &hidden_grad, &before_relu,
            &kernel_grad, &bias_grad, &total,  &whole_kernel_grad, &whole_total};
  }

  std::int64_t blocks;
  GuardedMatrix<float> x;
  GuardedMatrix<float> truth;
  GuardedMatrix<float> first;
  GuardedMatrix<float> second;
  GuardedMatrix<float> bias;
  GuardedMatrix<float> hidden;
  GuardedMatrix<float> logits;
  GuardedMatrix<float> losses;
  GuardedMatrix<float> logit_grad;
  GuardedMatrix<float> hidden_grad;
  GuardedMatrix<float> before_relu;
  GuardedMatrix<float> kernel_grad;
  GuardedMatrix<float> bias_grad;
  GuardedMatrix<float> total;
  GuardedMatrix<float> whole_kernel_grad;
  GuardedMatrix<float> whole_total;
};

void run_one_by_one(Network& network) {
  const auto run = [](const auto& args) {
    kernels::launch(kernels::Stream{Backend::portable}, args);
  };
  for (std::int64_t block = 0; block < network.blocks; ++block)
    network.for_kernels_of_block(block, run);
  network.for_closing_kernels(run);
}

void run_as_program(Network& network, Backend backend) {
  const ScheduleScope order(next_schedule());
  std::optional<DeviceOperands> operands;
  if (runs_on_device(backend)) operands.emplace(backend);
  kernels::RowSteps collector;
  const auto collect = [&](const auto& args) {
    const auto there = operands ? operands->moved(args) : args;
    collector.add(typeid(args), &there);
  };
  const auto count = [&] { return static_cast<std::int64_t>(collector.steps().size()); };
  for (std::int64_t block = 0; block < network.blocks; ++block)
    network.for_kernels_of_block(block, collect);
  const std::int64_t of_blocks = count();
  network.for_closing_kernels(collect);
  run_steps(backend, operands, collector, network.blocks, of_blocks / network.blocks);
}

}  // namespace

TEST_CASE("row program: blocks take their rows through all steps, and the last one goes on") {
  const std::vector<std::pair<std::int64_t, std::int64_t>> sizes{{1, 1},  {7, 1},   {8, 2},  {9, 4},
                                                                 {33, 1}, {100, 3}, {130, 9}};
  for (const auto& [rows, blocks] : sizes) {
    const RandomNumbers random(static_cast<std::uint64_t>(rows));
    Network expected(rows, blocks, random);
    run_one_by_one(expected);
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", " << rows << " rows, " << blocks << " blocks");
      Network network(rows, blocks, random);
      run_as_program(network, backend);
      for (std::size_t i = 0; i < network.results().size(); ++i) {
        INFO("result " << i);
        GuardedMatrix<float>& result = *network.results()[i];
        const Numbers wanted = expected.results()[i]->values();
        const Numbers got = result.values();
        REQUIRE(got.size() == wanted.size());
        double furthest = 0;
        for (std::size_t k = 0; k < got.size(); ++k) {
          // NaN is far from everything.
          const double off = std::abs(got[k] - wanted[k]);
          furthest = off <= furthest ? furthest : off;
        }
        CHECK(furthest < 2e-5);
        CHECK(result.guards_are_intact());
      }
    }
  }
}

TEST_CASE("row program: more steps than are fetched at once run in their order") {
  // Each doubles its block's number and adds one, so that none may be left out or come twice.
  for (const std::int64_t of_block : {1, 32, 33, 34, 100}) {
    for (const std::int64_t closing : {0, 1, 33, 40}) {
      for (const Backend backend : tested_backends()) {
        INFO(kernels::name_of(backend) << ", " << of_block << " and " << closing << " steps");
        constexpr std::int64_t kBlocks = 3;
        GuardedMatrix<float> numbers(kBlocks, 1);
        numbers.fill({1, 2, 3});
        std::vector<float> expected{1, 2, 3};
        std::optional<DeviceOperands> operands;
        if (runs_on_device(backend)) operands.emplace(backend);
        kernels::RowSteps collector;
        const auto add = [&](std::int64_t block, float scale) {
          const auto number = rows_of(numbers.matrix(), block, 1);
          const kernels::Affine args{.in = number, .out = number, .scale = scale, .shift = 0.125F};
          const auto there = operands ? operands->moved(args) : args;
          collector.add(typeid(args), &there);
          float& value = expected[static_cast<std::size_t>(block)];
          value = scale * value + 0.125F;
        };
        for (std::int64_t block = 0; block < kBlocks; ++block) {
          for (std::int64_t i = 0; i < of_block; ++i) add(block, i % 2 == 0 ? 2.0F : 0.5F);
        }
        for (std::int64_t i = 0; i < closing; ++i) add(i % kBlocks, i % 2 == 0 ? 2.0F : 0.5F);
        run_steps(backend, operands, collector, kBlocks, of_block);
        CHECK(numbers.elements() == expected);
      }
    }
  }
}

TEST_CASE("row program: values of a block's rows can lie in its shared memory") {
  const EmulatedGpuScope gpu(kH100);
  for (const Backend backend : tested_backends()) {
    if (!runs_on_device(backend)) continue;
    for (const std::int64_t columns : {1, 4, 33, 500}) {
      INFO(kernels::name_of(backend) << ", " << columns << " columns");
      constexpr std::int64_t kBlocks = 3;
      RandomNumbers random(9);
      GuardedMatrix<float> in(random.floats(kBlocks * columns, -1, 1), columns);
      GuardedMatrix<float> out(kBlocks, columns);
      std::optional<DeviceOperands> operands(backend);
      const ScheduleScope order(next_schedule());
      const std::int64_t bytes = (columns * 4 + 63) / 64 * 64;
      const auto taken_down = [&](bool moved) {
        kernels::RowSteps collector;
        const auto add = [&](int wave, const auto& args) {
          collector.begin_wave(wave);
          collector.add(typeid(args), &args);
        };
        const auto shared = [&](std::int64_t place) {
          auto* const data =
              reinterpret_cast<float*>(kernels::place_in_shared(place * bytes, moved));
          return Matrix<float>{data, 1, columns, columns};
        };
        for (std::int64_t block = 0; block < kBlocks; ++block) {
          auto begin = operands->moved(
              kernels::Affine{.in = rows_of(in.matrix(), block, 1), .scale = 2, .shift = 1});
          begin.out = shared(0);
          add(0, begin);
          add(1, kernels::Affine{.in = shared(0), .out = shared(1), .scale = 4, .shift = 0});
          auto end = operands->moved(
              kernels::Sum{.in = {}, .count = 2, .out = rows_of(out.matrix(), block, 1)});
          end.in[0] = shared(0);
          end.in[1] = shared(1);
          add(2, end);
          // A number beside a gap that holds an old address.
          kernels::Fill fill;
          std::memset(static_cast<void*>(&fill), 0, sizeof fill);
          const auto residue = reinterpret_cast<std::uint64_t>(kernels::place_in_shared(0, moved));
          std::memcpy(reinterpret_cast<std::byte*>(&fill) + offsetof(kernels::Fill, value),
                      &residue, sizeof residue);
          fill.out = shared(2);
          fill.value = 0;
          add(2, fill);
          collector.end_list();
        }
        return collector;
      };
      kernels::RowSteps collector = taken_down(false);
      collector.find_shared(taken_down(true));
      std::vector<int> found;  // of each step of a block
      for (int step = 0; step < 4; ++step)
        found.push_back(std::popcount(collector.steps()[static_cast<std::size_t>(step)].in_shared));
      CHECK(found == std::vector<int>{1, 2, 2, 1});
      run_steps(backend, operands, collector, kBlocks, 4, 3 * bytes);
      const std::vector<double> x = in.values();
      const std::vector<double> got = out.values();
      for (std::size_t i = 0; i < x.size(); ++i)
        CHECK(got[i] == Approx(5 * (2 * x[i] + 1)).margin(1e-5));
    }
  }
}

TEST_CASE("row program: nothing to do is done") {
  for (const Backend backend : tested_backends()) {
    const KernelMemory<kernels::RowStep> steps(1);
    for (const kernels::RowProgram& program :
         {kernels::RowProgram{.steps = steps.data(), .blocks = 0, .steps_of_block = 3},
          kernels::RowProgram{.steps = steps.data(), .blocks = 0, .closing_steps = 1},
          kernels::RowProgram{.steps = steps.data(), .blocks = 5, .steps_of_block = 0}}) {
      CHECK_NOTHROW(launch_on(backend, program));
    }
  }
}
