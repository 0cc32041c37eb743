// What ends a step: sums in float64, and what moves on.
#include <vector>

#include "kernels/step.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::EndStep;
using kernels::RandomState;
using kernels::StepCursor;
using kernels::UpdateRates;

TEST_CASE("end of a step: values join their sums in double, with the bits of a loop") {
  RandomNumbers random(9);
  for (const int arrays : {0, 1, 3, 7}) {
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", " << arrays << " arrays");
      std::vector<GuardedMatrix<float>> values;
      std::vector<GuardedMatrix<double>> sums;
      std::vector<Numbers> expected;
      KernelMemory<StepCursor> cursor{{.row = 3, .step = 1}};
      EndStep args{.count = arrays, .cursor = cursor.data(), .rows = 5};
      for (int i = 0; i < arrays; ++i) {
        const std::int64_t count = i == 0 ? 1 : random.below(300);
        const double factor = i == 0 ? 37 : 1;
        values.emplace_back(1, count);
        values.back().fill(random.floats(count, -1, 1));
        sums.emplace_back(1, count);
        Numbers before;
        for (std::int64_t k = 0; k < count; ++k) before.push_back(random.uniform(-1e6, 1e6));
        sums.back().fill(before);
        expected.push_back(before);
        for (std::size_t k = 0; k < before.size(); ++k)
          expected.back()[k] += values.back().values()[k] * factor;
      }
      for (int i = 0; i < arrays; ++i) {
        const auto place = static_cast<std::size_t>(i);
        args.added[i] = {.values = values[place].data(),
                         .sums = sums[place].data(),
                         .count = sums[place].matrix().columns,
                         .factor = i == 0 ? 37.0 : 1.0};
      }
      launch_on(backend, args);
      CHECK(cursor[0].row == 8);
      CHECK(cursor[0].step == 2);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        CHECK(sums[i].values() == expected[i]);
        CHECK(sums[i].guards_are_intact());
      }
    }
  }
}

TEST_CASE("end of a step: the cursor, the seed's step and the rates move on") {
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    KernelMemory<StepCursor> cursor{{.row = 64, .step = 2}};
    KernelMemory<RandomState> state{{.seed = 5, .step = 102}};
    const KernelMemory<UpdateRates> table{{1, 10}, {2, 20}, {3, 30}, {4, 40}};
    KernelMemory<UpdateRates> rates{{2, 20}};
    const EndStep args{.cursor = cursor.data(),
                       .rows = 32,
                       .random_state = state.data(),
                       .rates_of_steps = table.data(),
                       .rates = rates.data()};
    launch_on(backend, args);
    CHECK(cursor[0].row == 96);
    CHECK(cursor[0].step == 3);
    CHECK(state[0].seed == 5);
    CHECK(state[0].step == 103);
    // The update of this step follows: it needs this step's.
    CHECK(rates[0].rate == 3);
    CHECK(rates[0].alpha == 30);
    launch_on(backend, args);
    CHECK(cursor[0].step == 4);
    CHECK(state[0].step == 104);
    CHECK(rates[0].rate == 4);
    CHECK(rates[0].alpha == 40);
  }
}

TEST_CASE("end of a step: without an optimizer the cursor alone moves, without a cursor nothing") {
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    KernelMemory<StepCursor> cursor{{.row = 8, .step = 1}};
    launch_on(backend, EndStep{.cursor = cursor.data(), .rows = 8});
    CHECK(cursor[0].row == 16);
    CHECK(cursor[0].step == 2);
    KernelMemory<RandomState> state{{.seed = 5, .step = 102}};
    launch_on(backend, EndStep{.rows = 8, .random_state = state.data()});
    CHECK(state[0].step == 102);
  }
}
