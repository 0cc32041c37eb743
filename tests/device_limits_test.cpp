// Launches of GPU kernels at the limits of sizes: they are planned and checked against what a
// device takes, never carried out, as their operands would not fit any memory.
#include <string>
#include <vector>

#include "kernels/activation.hpp"
#include "kernels/dropout.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "kernels/gather.hpp"
#include "kernels/loss.hpp"
#include "kernels/lstm.hpp"
#include "kernels/mask.hpp"
#include "kernels/metric.hpp"
#include "kernels/optimizer.hpp"
#include "kernels/shuffle.hpp"
#include "kernels/softmax.hpp"
#include "kernels/step.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/planned_lstm.hpp"

using namespace braid;
using namespace braid::kernels;
using namespace braid::testing;

namespace {

constexpr std::int64_t kMillion = 1000000;
constexpr std::int64_t kMostIds = 2147483647;

template <class Arguments>
void check_planned(const Arguments& arguments, std::size_t most = 4) {
  std::vector<simt::PlannedLaunch> launches;
  CHECK_NOTHROW(launches = planned(arguments));
  CHECK(launches.size() <= most);
}

void check_rows_of(std::int64_t rows, std::int64_t columns) {
  INFO("[" << rows << ", " << columns << "]");
  const auto in = matrix(rows, columns);
  const auto column = matrix(rows, 1);
  check_planned(ActivationForward{in, in, {ActivationKind::gelu}});
  check_planned(ActivationBackward{in, {}, in, in, {ActivationKind::gelu}});
  check_planned(SoftmaxForward{in, in});
  check_planned(SoftmaxBackward{in, in, in});
  check_planned(Affine{in, in});
  check_planned(Sum{.in = {in, in}, .count = 2, .out = in});
  check_planned(ScaleRows{.in = in, .row_factor = column, .out = in});
  check_planned(CopyRows{matrix<const Bytes>(rows, columns), matrix<Bytes>(rows, columns)});
  check_planned(TransposeBlocks{nowhere<float>(), nowhere<float>(), rows, columns, 3});
  check_planned(Fill{.out = in});
  check_planned(ToFloat{nowhere<void>(), ElementType::uint8, nowhere<float>(), rows * columns});
  check_planned(FloatToIds{in, matrix<Ids>(rows, columns)});
  check_planned(SumRows{.in = in, .out = matrix(1, columns)});
  check_planned(SumAll{.in = in, .out = nowhere<float>()});
  check_planned(PenaltyGradient{.weight = in, .out = in});
  check_planned(Dropout{in, in, 0.5F, nowhere<RandomState>()});
  check_planned(IdsNotEqual{matrix<const Ids>(rows, columns), {}, matrix<Bytes>(rows, columns), 0});
  check_planned(MaskingForward{in, {}, in, matrix<Bytes>(rows, 1), 0});
  check_planned(MaskingBackward{matrix<const Bytes>(rows, 1), in, in});
  check_planned(CombineMasks{matrix<const Bytes>(rows, columns), matrix<const Bytes>(rows, columns),
                             matrix<Bytes>(rows, columns)});
  check_planned(MaskToWeight{matrix<const Bytes>(rows, columns), {}, in});
  check_planned(RowEnds{nowhere<std::int64_t>(), matrix<Bytes>(rows, columns)});
  check_planned(LossForward{.rule = {LossKind::categorical_crossentropy},
                            .truth = in,
                            .predicted = in,
                            .values = column});
  check_planned(LossBackward{.rule = {LossKind::categorical_crossentropy},
                             .truth = in,
                             .predicted = in,
                             .predicted_grad = in});
  check_planned(WeightedSum{column, column, nowhere<float>()});
  check_planned(AccuracyValues{AccuracyKind::categorical, in, {}, in, column});
  check_planned(ConfusionCounts{.truth = in,
                                .predicted = in,
                                .thresholds = nowhere<float>(),
                                .threshold_count = 200,
                                .counts = nowhere<float>()});
  GatherBatch gather{.count = 1, .cursor = nowhere<StepCursor>(), .rows = rows};
  gather.columns[0] = {.width = columns, .out = nowhere<std::byte>()};
  check_planned(gather);
  check_planned(EndStep{.cursor = nowhere<StepCursor>(), .rows = rows});
  check_planned(shuffle_of(rows, 1, 1));
  check_planned(EmbeddingForward{matrix<const Ids>(rows, 7), matrix<const float>(50, columns),
                                 matrix(rows * 7, columns)});
}

void check_parameters(std::int64_t count) {
  INFO(count << " parameters");
  const GradientSource gradient{.data = nowhere<float>()};
  auto* const number = nowhere<float>();
  const auto* const rates = nowhere<UpdateRates>();
  check_planned(SgdUpdate{gradient, number, number, count, rates});
  check_planned(RmspropUpdate{gradient, number, number, nullptr, nullptr, count, rates});
  check_planned(AdamUpdate{gradient, number, number, number, nullptr, count, rates});
  check_planned(SumSlices{number, 2, count, number, count});
  check_planned(SquaredNorm{gradient, count, nowhere<double>()});
  check_planned(ClipFactors{nowhere<double>(), number, count, 1});
}

void check_lstm(const LstmShape& shape) {
  INFO("B " << shape.rows << ", T " << shape.steps << ", E " << shape.features << ", H "
            << shape.units);
  CHECK(lstm_saved_per_row(shape) >= 0);
  CHECK(lstm_forward_scratch(shape) >= 0);
  CHECK(lstm_backward_scratch(shape) >= 0);
  for (const bool masked : {false, true}) {
    // One launch a step and slice of the rows, where the weights do not fit a block.
    const auto most = static_cast<std::size_t>(8 * (shape.steps + 16) * (1 + shape.rows / 3));
    check_planned(planned_forward(shape, masked), most);
    check_planned(planned_backward(shape, masked), most);
  }
}

}  // namespace

TEST_CASE("device limits: kernels of rows take none, one, a million, and more than 2^32 elements") {
  for (const std::int64_t columns : {std::int64_t{1}, std::int64_t{10}, std::int64_t{5003}}) {
    for (const std::int64_t rows : {std::int64_t{0}, std::int64_t{1}, kMillion, 3 * kMostIds}) {
      check_rows_of(rows, columns);
    }
  }
}

TEST_CASE("device limits: optimizers take any number of parameters") {
  for (const std::int64_t count : {std::int64_t{0}, std::int64_t{1}, kMillion, 5 * kMostIds})
    check_parameters(count);
}

TEST_CASE("device limits: a vocabulary may have more than 2^31 / E ids") {
  for (const std::int64_t vocabulary : {std::int64_t{1}, kMostIds / 128 + 1, kMostIds}) {
    check_planned(EmbeddingForward{matrix<const Ids>(32, 200), matrix<const float>(vocabulary, 128),
                                   matrix(32 * 200, 128)});
    check_planned(EmbeddingBackward{nowhere<Ids>(), nowhere<Ids>(),
                                    matrix<const float>(32 * 200, 128), matrix(vocabulary, 128), 0,
                                    vocabulary});
  }
}

TEST_CASE("device limits: an LSTM takes any number of rows, steps and units") {
  for (const std::int64_t units : {1, 63, 64, 65, 1024}) {
    for (const std::int64_t rows : {0, 1, 33}) {
      for (const std::int64_t steps : {0, 1, 10000}) check_lstm({rows, steps, 7, units});
    }
    for (const std::int64_t steps : {0, 1, 10}) check_lstm({kMillion, steps, 128, units});
  }
}

TEST_CASE("device limits: a launch that no device takes is refused with its kernel and shape") {
  std::vector<simt::PlannedLaunch> launches;
  simt::EmulatedStream stream{.planned = &launches};
  const simt::LaunchShape shape{.grid = {1, 65536}, .block = 32};
  CHECK_THROWS_WITH(simt::plan_launch(&stream, "some_kernel", shape, false),
                    ContainsSubstring("some_kernel") && ContainsSubstring("(1, 65536, 1)") &&
                        ContainsSubstring("65535"));
  CHECK(launches.empty());
}
