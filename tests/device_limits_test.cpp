// Launches of GPU kernels at the limits of sizes: they are planned and checked against what a
// device takes, never carried out, as their operands would not fit any memory.
#include <memory>
#include <vector>

#include "engine/core/error.hpp"
#include "engine/graph/graph.hpp"
#include "engine/graph/ops/embedding.hpp"
#include "engine/runtime/program.hpp"
#include "kernels/activation.hpp"
#include "kernels/dense.hpp"
#include "kernels/dropout.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "kernels/gather.hpp"
#include "kernels/loss.hpp"
#include "kernels/lstm.hpp"
#include "kernels/mask.hpp"
#include "kernels/metric.hpp"
#include "kernels/optimizer.hpp"
#include "kernels/row_program.hpp"
#include "kernels/shuffle.hpp"
#include "kernels/softmax.hpp"
#include "kernels/step.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/planned_lstm.hpp"

using namespace braid;
using namespace braid::kernels;
using namespace braid::testing;

namespace {

constexpr std::int64_t kMillion = 1000000;
constexpr std::int64_t kMostIds = 2147483647;

template <class Arguments>
void check_planned(const Arguments& arguments, std::size_t most = 4) {
  // With as little shared memory for a block as a GPU has, with some more, and with the most.
  for (const int architecture : {75, 86, kH100}) {
    INFO("architecture " << architecture);
    const EmulatedGpuScope gpu(architecture);
    std::vector<simt::PlannedLaunch> launches;
    CHECK_NOTHROW(launches = planned(arguments));
    CHECK(launches.size() <= most);
  }
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
  check_planned(ClipFactors{nowhere<double>(), nowhere<std::int64_t>(), number, count, 1});
  SquaredNorms norms;
  for (SquaredNorm& norm : norms.each) norm = {number, 1, 0, count, nowhere<double>()};
  check_planned(norms.each[0], 1);
  norms.count = SquaredNorms::kMost;
  check_planned(norms, 1);
  AdamUpdates updates;
  for (AdamUpdate& update : updates.each)
    update = {gradient, number, number, number, number, count, rates};
  updates.count = AdamUpdates::kMost;
  check_planned(updates, 1);
}

struct DenseSize {
  std::int64_t rows;
  std::int64_t depth;
  std::int64_t columns;
};
void check_dense(const DenseSize& size) {
  INFO("[" << size.rows << ", " << size.depth << "] . [" << size.depth << ", " << size.columns
           << "]");
  const auto in = matrix(size.rows, size.depth);
  const auto out = matrix(size.rows, size.columns);
  const auto kernel = matrix(size.depth, size.columns);
  const std::int64_t scratch = dense_weight_scratch(size.rows, size.depth, size.columns);
  CHECK(scratch >= 0);
  for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bfloat16}) {
    check_planned(DenseForward{in, kernel, nowhere<float>(), out, {}, precision}, 1);
    check_planned(DenseInputGradient{out, kernel, in, false, precision}, 1);
    check_planned(DenseWeightGradient{in, out, kernel, nowhere<float>(), false, precision,
                                      scratch > 0 ? nowhere<float>() : nullptr},
                  2);
  }
}

// Operands of [rows, columns], one of them a row that is repeated.
void check_binary(std::int64_t rows, std::int64_t columns) {
  INFO("[" << rows << ", " << columns << "]");
  const auto operand = [&]<class T>(T* data, bool repeated) {
    Strided<T> strided{.data = data};
    strided.stride[kMaxAxes - 2] = repeated ? 0 : columns;
    strided.stride[kMaxAxes - 1] = 1;
    return strided;
  };
  const auto whole = operand(nowhere<const float>(), false);
  const auto row = operand(nowhere<const float>(), true);
  const auto mask = operand(nowhere<const std::uint8_t>(), false);
  BinaryForward forward{whole, row, mask, {}, operand(nowhere<float>(), false)};
  BinaryBackward backward{row, whole, {}, mask, whole, operand(nowhere<float>(), true)};
  forward.extent[kMaxAxes - 2] = backward.extent[kMaxAxes - 2] = rows;
  forward.extent[kMaxAxes - 1] = backward.extent[kMaxAxes - 1] = columns;
  forward.kind = backward.kind = BinaryKind::multiply;
  check_planned(forward, 1);
  check_planned(backward, 1);
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

TEST_CASE("device limits: dense layers take none, one, a million, and more than 2^32 rows") {
  for (const std::int64_t rows : {std::int64_t{0}, std::int64_t{1}, kMillion, 3 * kMostIds}) {
    for (const std::int64_t depth : {1, 7, 1024}) {
      for (const std::int64_t columns : {0, 1, 3, 1024}) check_dense({rows, depth, columns});
    }
  }
}

TEST_CASE("device limits: operands that are broadcast take as many rows") {
  for (const std::int64_t rows : {std::int64_t{0}, std::int64_t{1}, kMillion, 3 * kMostIds}) {
    for (const std::int64_t columns : {1, 1024}) check_binary(rows, columns);
  }
}

TEST_CASE("device limits: averages take none, one and many rows and steps") {
  for (const std::int64_t rows : {std::int64_t{0}, std::int64_t{1}, kMillion}) {
    for (const std::int64_t steps : {0, 1, 10000}) {
      INFO(rows << " rows of " << steps << " steps");
      const auto in = matrix(rows * steps, 128);
      const auto mask = matrix<const Bytes>(rows, steps);
      check_planned(AverageTimeForward{in, mask, matrix(rows, 128)}, 1);
      check_planned(AverageTimeBackward{mask, matrix(rows, 128), in}, 1);
    }
  }
}

TEST_CASE("device limits: a row program takes as many blocks as a launch has") {
  for (const std::int64_t blocks : {std::int64_t{0}, std::int64_t{1}, kMillion, kMostIds}) {
    for (const std::int64_t steps : {std::int64_t{0}, std::int64_t{1}, kMillion}) {
      INFO(blocks << " blocks of " << steps << " steps");
      check_planned(RowProgram{nowhere<RowStep>(), blocks, steps}, 1);
    }
  }
  std::vector<simt::PlannedLaunch> launches;
  CHECK_THROWS_WITH(launches = planned(RowProgram{nowhere<RowStep>(), kMostIds + 1, 1}),
                    ContainsSubstring("row_program_kernel") && ContainsSubstring("2147483648"));
}

TEST_CASE("device limits: optimizers take any number of parameters") {
  for (const std::int64_t count : {std::int64_t{0}, std::int64_t{1}, kMillion, 5 * kMostIds})
    check_parameters(count);
}

TEST_CASE("device limits: a vocabulary may have more than 2^31 / E ids") {
  for (const std::int64_t vocabulary : {std::int64_t{1}, kMostIds / 128 + 1, kMostIds}) {
    check_planned(EmbeddingForward{matrix<const Ids>(32, 200), matrix<const float>(vocabulary, 128),
                                   matrix(32 * 200, 128)});
    check_planned(EmbeddingBackward{matrix<const Ids>(32, 200), nowhere<Ids>(), nowhere<Ids>(),
                                    matrix<const float>(32 * 200, 128), matrix(vocabulary, 128), 0,
                                    vocabulary});
  }
}

TEST_CASE("device limits: ids of any batch and vocabulary that int32 counts are sorted") {
  for (const std::int64_t vocabulary : {std::int64_t{1}, kMostIds / 128 + 1, kMostIds}) {
    for (const auto& [rows, steps] : {std::pair{std::int64_t{0}, std::int64_t{7}},
                                      {std::int64_t{1}, std::int64_t{1}},
                                      {std::int64_t{200000}, std::int64_t{10000}},
                                      {kMillion, std::int64_t{200}},
                                      {std::int64_t{1}, kMostIds}}) {
      INFO("[" << rows << ", " << steps << "] of " << vocabulary << " ids");
      EmbeddingSort sort{matrix<const Ids>(rows, steps),
                         matrix<const Bytes>(rows, steps),
                         0,
                         nowhere<Ids>(),
                         nowhere<Ids>(),
                         vocabulary};
      check_planned(sort, 1);
      CHECK(embedding_sort_scratch(rows * steps, vocabulary) >= 0);
      const EmbeddingDigits digits = embedding_digits(rows * steps, vocabulary);
      const bool all_bits = (vocabulary - 1) >> (digits.count * digits.bits) == 0;
      CHECK((all_bits || digits.count == 0));
      sort.scratch = nowhere<Ids>();
      check_planned(sort, static_cast<std::size_t>(1 + 3 * digits.count));
    }
  }
}

TEST_CASE("device limits: positions and ids that int32 does not count are refused by name") {
  const auto plan_gradient = [](std::int64_t rows, std::int64_t steps, std::int64_t vocabulary) {
    auto graph = std::make_shared<Graph>();
    graph->set_layer("Embedding layer \"words\"");
    const ValueInfo ids{.shape = Shape{rows, steps}, .dtype = DType::int32, .batched = true};
    const ValueInfo table{.shape = Shape{vocabulary, 2}};
    const ValueInfo out_grad{.shape = Shape{rows, steps, 2}, .batched = true};
    const auto of_any_batch = [](ValueInfo info) {
      info.shape = info.shape.slice(1, info.shape.rank()).prepend(None);
      return info;
    };
    const Value words = graph->input("ids", of_any_batch(ids));
    const Value weights = graph->input("table", table);
    const Value grad = graph->input("out_grad", of_any_batch(out_grad));
    const Value gradient = ops::embedding_gradient(*graph, words, weights, grad);
    static_cast<void>(Program(graph, {gradient}, {ids, table, out_grad}));
  };
  CHECK_NOTHROW(plan_gradient(1, kMostIds, 50));
  CHECK_THROWS_AS(plan_gradient(65536, 32768, 50), ShapeError);
  CHECK_THROWS_WITH(plan_gradient(65536, 32768, 50),
                    ContainsSubstring("words") && ContainsSubstring("2147483647 positions") &&
                        ContainsSubstring("2147483648") && ContainsSubstring("[65536, 32768]"));
  CHECK_NOTHROW(plan_gradient(32, 200, kMostIds));
  CHECK_THROWS_AS(plan_gradient(32, 200, kMostIds + 1), ShapeError);
  CHECK_THROWS_WITH(plan_gradient(32, 200, kMostIds + 1),
                    ContainsSubstring("gradient of an embedding") &&
                        ContainsSubstring("2147483647 ids of a table") &&
                        ContainsSubstring("2147483648") && ContainsSubstring("[2147483648, 2]"));
}

TEST_CASE("device limits: an LSTM takes any number of rows, steps and units") {
  for (const std::int64_t units : {1, 63, 64, 65, 1024}) {
    for (const std::int64_t rows : {0, 1, 33}) {
      for (const std::int64_t steps : {0, 1, 10000}) check_lstm({rows, steps, 7, units});
    }
    for (const std::int64_t steps : {0, 1, 10}) check_lstm({kMillion, steps, 128, units});
  }
  // More tokens than int32 counts: slices of the batch are counted, each by itself.
  for (const std::int64_t units : {1, 64}) check_lstm({kMillion, 10000, 7, units});
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
