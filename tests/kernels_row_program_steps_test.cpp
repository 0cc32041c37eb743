// The steps of row programs: their order, the warps that each runs on, and which of them wait.
#include <cmath>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/row_program.hpp"

using namespace braid;
using namespace braid::testing;

TEST_CASE("row program: steps stand in the order of their waves, and only the first of one waits") {
  // Which step is which is told by its shift.
  struct Named {
    int name;
    std::int64_t elements;
  };
  kernels::RowSteps collector;
  const auto op = [&](int wave, std::initializer_list<Named> kernels) {
    collector.begin_wave(wave);
    for (const Named& kernel : kernels) {
      const kernels::Affine args{.in = {nullptr, 1, kernel.elements, kernel.elements},
                                 .shift = static_cast<float>(kernel.name)};
      collector.add(typeid(args), &args);
    }
  };
  op(2, {{1, 1}});
  op(0, {{2, 64}, {3, 300}});
  op(1, {{4, 1}});
  op(0, {{5, 65}});
  op(0, {{6, 100}, {7, 1}, {8, 1}});
  op(-1, {{9, 0}});
  collector.end_list();
  op(1, {{10, 256}});
  op(1, {{11, 1}});
  collector.end_list();
  std::vector<std::string> got;
  for (const kernels::RowStep& step : collector.steps()) {
    std::ostringstream text;
    text << step.as<kernels::Affine>().shift << (step.waits ? " waits" : "") << ", from thread "
         << step.first << " on " << static_cast<int>(step.warps);
    got.push_back(text.str());
  }
  // Those of a wave stand side by side, each on as many warps as its elements need.
  CHECK(got == std::vector<std::string>{"9 waits, from thread 0 on 1",
                                        "2 waits, from thread 0 on 2", "5, from thread 64 on 3",
                                        "6, from thread 160 on 4", "3 waits, from thread 0 on 8",
                                        "7, from thread 0 on 1", "8 waits, from thread 0 on 1",
                                        "4 waits, from thread 0 on 1",
                                        "1 waits, from thread 0 on 1",
                                        "10 waits, from thread 0 on 8", "11, from thread 0 on 1"});
}

TEST_CASE("row program: a step keeps as many warps busy as its kernel needs") {
  const auto warps_of = [](const auto& args) {
    kernels::RowSteps collector;
    collector.add(typeid(args), &args);
    return static_cast<int>(collector.steps()[0].warps);
  };
  const auto floats = [](std::int64_t rows, std::int64_t columns) {
    return Matrix<float>{nullptr, rows, columns, columns};
  };
  const auto loss = [&](kernels::LossKind kind, std::int64_t rows, std::int64_t columns) {
    const int forward =
        warps_of(kernels::LossForward{.rule = {.kind = kind}, .predicted = floats(rows, columns)});
    CHECK(warps_of(kernels::LossBackward{.rule = {.kind = kind},
                                         .predicted = floats(rows, columns)}) == forward);
    return forward;
  };
  // A thread for each row of one column, a warp where columns are summed, of few classes a part.
  CHECK(loss(kernels::LossKind::binary_crossentropy, 4, 1) == 1);
  CHECK(loss(kernels::LossKind::binary_crossentropy, 4, 2) == 4);
  CHECK(loss(kernels::LossKind::categorical_crossentropy, 3, 17) == 3);
  CHECK(loss(kernels::LossKind::categorical_crossentropy, 9, 16) == 3);
  CHECK(loss(kernels::LossKind::sparse_categorical_crossentropy, 100, 17) == 8);
  CHECK(warps_of(kernels::WeightedSum{.value = floats(64, 1)}) == 1);
  CHECK(warps_of(kernels::WeightedSum{.value = floats(65, 1)}) == 8);
  CHECK(warps_of(kernels::SumSlices{.count = 8}) == 8);
  CHECK(warps_of(kernels::SumSlices{.count = 9}) == 1);
  CHECK(warps_of(kernels::SumSlices{.count = 2}) == 2);
  CHECK(warps_of(kernels::AccuracyValues{.predicted = floats(33, 10)}) == 2);
  CHECK(warps_of(kernels::DenseForward{.out = floats(5, 1)}) == 5);
  CHECK(warps_of(kernels::DenseForward{.out = floats(5, 2)}) == 8);
  // Of all other kernels nothing is known.
  CHECK(warps_of(kernels::EndStep{}) == 8);
}

TEST_CASE("row program: steps of a wave give what they give one after another") {
  // Sums of three columns by small steps side by side, and then the sum of those.
  constexpr std::int64_t kRows = 3;
  for (const std::int64_t columns : {1, 5, 40, 300}) {
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", " << columns << " columns");
      RandomNumbers random(7);
      GuardedMatrix<float> in(random.floats(kRows * columns, -1, 1), columns);
      std::vector<GuardedMatrix<float>> scaled;
      for (int i = 0; i < 9; ++i) scaled.emplace_back(kRows, columns, i % 3);
      GuardedMatrix<float> sum(kRows, columns);
      const ScheduleScope order(next_schedule());
      std::optional<DeviceOperands> operands;
      if (runs_on_device(backend)) operands.emplace(backend);
      kernels::RowSteps collector;
      const auto add = [&](int wave, const auto& args) {
        const auto there = operands ? operands->moved(args) : args;
        collector.begin_wave(wave);
        collector.add(typeid(args), &there);
      };
      const auto affine = [&](GuardedMatrix<float>& from, GuardedMatrix<float>& to, int i) {
        return kernels::Affine{
            .in = from.matrix(), .out = to.matrix(), .scale = static_cast<float>(i), .shift = 0.5F};
      };
      kernels::Sum args{.in = {}, .count = 8, .out = sum.matrix()};
      for (int i = 0; i < 8; ++i) args.in[i] = scaled[static_cast<std::size_t>(i)].matrix();
      add(1, args);
      for (int i = 0; i < 8; ++i) add(0, affine(in, scaled[static_cast<std::size_t>(i)], i));
      add(2, affine(sum, scaled[8], 2));
      collector.end_list();
      run_steps(backend, operands, collector, 1,
                static_cast<std::int64_t>(collector.steps().size()));
      const std::vector<double> x = in.values();
      const std::vector<double> got = scaled[8].values();
      for (std::size_t k = 0; k < x.size(); ++k)
        CHECK(got[k] == Approx(2 * (28 * x[k] + 4) + 0.5).margin(1e-5));
    }
  }
}

// Warps pass from one to the next without waiting for each other: those that are ahead must not
// fetch further steps over those that the last ones still read.
TEST_CASE("row program: a wave may have more steps than are fetched at once") {
  constexpr std::int64_t kSteps = 100;
  constexpr std::int64_t kColumns = 200;
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    RandomNumbers random(8);
    GuardedMatrix<float> in(random.floats(kColumns, -1, 1), kColumns);
    GuardedMatrix<float> out(kSteps, kColumns);
    const ScheduleScope order(next_schedule());
    std::optional<DeviceOperands> operands;
    if (runs_on_device(backend)) operands.emplace(backend);
    kernels::RowSteps collector;
    collector.begin_wave(0);
    for (std::int64_t i = 0; i < kSteps; ++i) {
      const kernels::Affine args{.in = in.matrix(),
                                 .out = rows_of(out.matrix(), i, 1),
                                 .scale = static_cast<float>(i),
                                 .shift = 0.25F};
      const auto there = operands ? operands->moved(args) : args;
      collector.add(typeid(args), &there);
    }
    collector.end_list();
    run_steps(backend, operands, collector, 1, kSteps);
    const std::vector<double> x = in.values();
    const std::vector<double> got = out.values();
    int wrong = 0;
    for (std::size_t k = 0; k < got.size(); ++k) {
      const double expected = static_cast<double>(k / kColumns) * x[k % kColumns] + 0.25;
      wrong += std::abs(got[k] - expected) < 1e-4 ? 0 : 1;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("row program: a kernel that no row program has is named") {
  kernels::RowSteps collector;
  const kernels::TransposeBlocks foreign{};
  CHECK_THROWS_WITH(
      collector.add(typeid(foreign), &foreign),
      ContainsSubstring("no step of a row program") && ContainsSubstring("TransposeBlocks"));
}
