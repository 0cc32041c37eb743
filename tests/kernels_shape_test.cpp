// How many blocks share the work of a launch. A kernel gives the same results with fewer of them,
// or one element at a time, and would only be slow: what the launches say is all that shows it.
#include <string>
#include <vector>

#include "kernels/activation.hpp"
#include "kernels/dense.hpp"
#include "kernels/dropout.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "kernels/gather.hpp"
#include "kernels/loss.hpp"
#include "kernels/mask.hpp"
#include "kernels/metric.hpp"
#include "kernels/optimizer.hpp"
#include "kernels/softmax.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/kernel_launch.hpp"
#include "tests/support/planned_launches.hpp"

using namespace braid;
using namespace braid::kernels;
using namespace braid::testing;

namespace {

constexpr std::int64_t kRows = 600;
constexpr std::int64_t kColumns = 96;
// A block of 256 threads takes as many elements, four times as many in fours; or a row a warp.
constexpr std::int64_t kBlocksOfElements = kRows * kColumns / 256;
constexpr std::int64_t kBlocksOfFours = (kBlocksOfElements + 3) / 4;
constexpr std::int64_t kBlocksOfRows = kRows / 4;

using Bytes = std::uint8_t;
using Ids = std::int32_t;

// Rows whose first element is aligned to 16 bytes, or not.
Matrix<float> rows_of(bool aligned, std::int64_t gap = 0) {
  return {nowhere<float>() + (aligned ? 0 : 1), kRows, kColumns, kColumns + gap};
}

template <class Arguments>
void check_blocks(const std::string& kernel, std::int64_t blocks, const Arguments& arguments) {
  INFO(kernel);
  const std::vector<simt::PlannedLaunch> launches = planned(arguments);
  REQUIRE(launches.size() == 1);
  CHECK(launches[0].kernel.find(kernel) != std::string::npos);
  CHECK(launches[0].shape.grid.x == blocks);
}

// A kernel for fours and one for single elements.
template <class MakeArguments>
void check_fours(const std::string& kernel, const MakeArguments& arguments_of) {
  for (const std::int64_t gap : {0, 4}) {
    check_blocks(kernel + "<4>", kBlocksOfFours, arguments_of(rows_of(true, gap)));
    check_blocks(kernel + "<1>", kBlocksOfElements, arguments_of(rows_of(false, gap)));
  }
  // Rows that begin anywhere.
  check_blocks(kernel + "<1>", kBlocksOfElements, arguments_of(rows_of(true, 3)));
  CHECK(planned(arguments_of({nowhere<float>(), 0, kColumns, kColumns})).empty());
  CHECK(planned(arguments_of({nowhere<float>(), kRows, 0, 0})).empty());
}

}  // namespace

TEST_CASE("kernel shapes: elements are taken in fours where they lie aligned, by enough blocks") {
  check_fours("activation_forward_kernel", [](Matrix<float> m) {
    return ActivationForward{m, m, {ActivationKind::tanh}};
  });
  check_fours("activation_backward_kernel", [](Matrix<float> m) {
    return ActivationBackward{{}, m, m, m, {ActivationKind::tanh}};
  });
  check_fours("affine_kernel", [](Matrix<float> m) { return Affine{m, m}; });
  check_fours("sum_kernel", [](Matrix<float> m) {
    return Sum{.in = {m, m}, .count = 2, .out = m};
  });
  check_fours("fill_kernel", [](Matrix<float> m) { return Fill{.out = m}; });
  check_fours("penalty_gradient_kernel",
              [](Matrix<float> m) { return PenaltyGradient{.weight = m, .out = m}; });
  check_fours("scale_rows_kernel", [](Matrix<float> m) {
    return ScaleRows{.in = m, .row_factor = {nowhere<float>(), m.rows, 1, 1}, .out = m};
  });
}

TEST_CASE("kernel shapes: elements that are taken one by one have a thread each") {
  const Matrix<float> m = rows_of(true);
  const auto bytes = matrix<Bytes>(kRows, kColumns);
  const auto ids = matrix<Ids>(kRows, kColumns);
  const auto check = [](const std::string& kernel, const auto& arguments) {
    check_blocks(kernel, kBlocksOfElements, arguments);
  };
  check("float_to_ids_kernel", FloatToIds{m, ids});
  check("to_float_kernel",
        ToFloat{nowhere<void>(), ElementType::uint8, nowhere<float>(), kRows * kColumns});
  check("transpose_blocks_kernel",
        TransposeBlocks{nowhere<float>(), nowhere<float>(), kRows, kColumns / 3, 3});
  check("ids_not_equal_kernel", IdsNotEqual{ids, {}, bytes, 0});
  check("masking_backward_kernel", MaskingBackward{matrix<const Bytes>(kRows, 1), m, m});
  check("combine_masks_kernel", CombineMasks{bytes, bytes, bytes});
  check("mask_to_weight_kernel", MaskToWeight{bytes, {}, m});
  check("row_ends_kernel", RowEnds{nowhere<std::int64_t>(), bytes});
  check("sum_slices_kernel",
        SumSlices{nowhere<float>(), 2, kRows * kColumns, nowhere<float>(), kRows * kColumns});
}

TEST_CASE("kernel shapes: dropout draws numbers once for the four elements that share them") {
  const auto dropout_of = [](const Matrix<float>& in, const Matrix<float>& out,
                             std::int64_t first_row = 0) {
    return Dropout{in, out, 0.5F, nowhere<RandomState>(), 0, first_row};
  };
  const auto check = [](const std::string& kernel, const Dropout& arguments) {
    check_blocks(kernel, kBlocksOfFours, arguments);
  };
  const Matrix<float> aligned = rows_of(true);
  check("dropout_kernel<4>", dropout_of(aligned, aligned));
  check("dropout_kernel<4>", dropout_of(rows_of(true, 4), aligned, 7));
  check("dropout_kernel<1>", dropout_of(rows_of(false), aligned));
  check("dropout_kernel<1>", dropout_of(aligned, rows_of(false)));
  check("dropout_kernel<1>", dropout_of(rows_of(true, 3), aligned));
  // As many elements in rows of an odd length, which begin with other elements than fours do.
  const auto odd = matrix(kRows * kColumns / 3, 3);
  check("dropout_kernel<4>", dropout_of(odd, odd, 4));
  check("dropout_kernel<1>", dropout_of(odd, odd, 1));
  CHECK(planned(dropout_of(matrix(0, 7), matrix(0, 7), 1)).empty());
}

TEST_CASE(
    "kernel shapes: ids are sorted in one launch if few, or if there is no memory to do more") {
  const auto kernels_of = [](std::int64_t positions, std::int64_t vocabulary, Ids* scratch) {
    std::string names;
    for (const simt::PlannedLaunch& launch : planned(EmbeddingSort{matrix<const Ids>(1, positions),
                                                                   {},
                                                                   kNoId,
                                                                   nowhere<Ids>(),
                                                                   nowhere<Ids>(),
                                                                   vocabulary,
                                                                   scratch})) {
      const std::string name = short_kernel_name(launch.kernel);
      names += name.substr(0, name.find('<')) + " " + std::to_string(launch.shape.grid.x) + ", ";
    }
    return names;
  };
  const std::string at_once = "embedding_sort_kernel 132, ";
  CHECK(kernels_of(131072, 10000, nowhere<Ids>()) == at_once);
  CHECK(kernels_of(131073, 10000, nullptr) == at_once);
  const auto pass = [](std::int64_t blocks, std::int64_t values) {
    return "count_digits_kernel " + std::to_string(blocks) + ", sum_digits_kernel " +
           std::to_string((values + 7) / 8) + ", place_by_digit_kernel " + std::to_string(blocks) +
           ", ";
  };
  CHECK(kernels_of(131073, 10000, nowhere<Ids>()) ==
        pass(65, 128) + pass(65, 128) + "find_segments_kernel 40, ");
  CHECK(kernels_of(8192 * 200, 1000000, nowhere<Ids>()) ==
        pass(264, 1024) + pass(264, 1024) + "find_segments_kernel 2112, ");
}

TEST_CASE("kernel shapes: ids are looked at once where a list of all fits beside the counters") {
  const EmulatedGpuScope gpu(kH100);
  const auto launch_of = [](std::int64_t positions, std::int64_t vocabulary) {
    const std::vector<simt::PlannedLaunch> launches = planned(EmbeddingSort{
        matrix<const Ids>(1, positions), {}, kNoId, nowhere<Ids>(), nowhere<Ids>(), vocabulary});
    REQUIRE(launches.size() == 1);
    return launches[0];
  };
  const auto in_list = launch_of(51200, 10000);
  // 32 warps, of each 76 counters and 1600 positions.
  CHECK(in_list.shape.grid.x == 132);
  CHECK(in_list.shape.shared == 4 * 32 * (76 + 1600));
  CHECK(launch_of(57344, 20).kernel == in_list.kernel);
  const auto at_all = launch_of(57345, 20);
  CHECK(at_all.shape.shared == 4 * 32);
  CHECK(at_all.kernel != in_list.kernel);
  // Few positions are looked for in a list, as long as the counters of many ids leave memory for
  // it.
  CHECK(launch_of(255, 50000).kernel == in_list.kernel);
  CHECK(launch_of(255, 132 * 57800).kernel == at_all.kernel);
}

TEST_CASE("kernel shapes: bytes are copied in sixteens where they lie aligned") {
  check_blocks("uint4", (kBlocksOfElements + 15) / 16,
               CopyRows{matrix<const Bytes>(kRows, kColumns), matrix<Bytes>(kRows, kColumns)});
  check_blocks("copy_rows_kernel<unsigned char>", kBlocksOfElements,
               CopyRows{{nowhere<Bytes>() + 1, kRows, kColumns, kColumns},
                        {nowhere<Bytes>() + 1, kRows, kColumns, kColumns}});
}

TEST_CASE("kernel shapes: a row that a warp takes has one") {
  const Matrix<float> m = rows_of(true);
  const auto column = matrix(kRows, 1);
  const auto check = [](const std::string& kernel, const auto& arguments) {
    check_blocks(kernel, kBlocksOfRows, arguments);
  };
  check("softmax_forward_kernel", SoftmaxForward{m, m});
  check("softmax_backward_kernel", SoftmaxBackward{m, m, m});
  check("loss_kernel", LossForward{.rule = {LossKind::categorical_crossentropy},
                                   .truth = m,
                                   .predicted = m,
                                   .values = column});
  check("loss_gradient_kernel", LossBackward{.rule = {LossKind::categorical_crossentropy},
                                             .truth = m,
                                             .predicted = m,
                                             .predicted_grad = m});
  check("dense_column_kernel", DenseForward{.in = m, .kernel = matrix(kColumns, 1), .out = column});
  check("embedding_forward_kernel",
        EmbeddingForward{matrix<const Ids>(kRows, 1), matrix<const float>(50, kColumns), m});
}

TEST_CASE("kernel shapes: a gather has a row of blocks a column, long enough for the largest") {
  GatherBatch gather{.count = 2, .cursor = nowhere<const StepCursor>(), .rows = kRows};
  gather.columns[0] = {.width = 3, .out = nowhere<std::byte>()};
  gather.columns[1] = {.width = kColumns, .out = nowhere<std::byte>()};
  gather.columns[2] = {.width = 100 * kColumns, .out = nowhere<std::byte>()};  // one too many
  const std::vector<simt::PlannedLaunch> launches = planned(gather);
  REQUIRE(launches.size() == 1);
  CHECK(launches[0].shape.grid.x == kBlocksOfElements);
  CHECK(launches[0].shape.grid.y == 2);
}

TEST_CASE("kernel shapes: losses of one column have a thread for each row") {
  const auto column = matrix(kRows, 1);
  check_blocks("loss_kernel", (kRows + 255) / 256,
               LossForward{.rule = {LossKind::mean_squared_error},
                           .truth = column,
                           .predicted = column,
                           .values = column});
  check_blocks("loss_gradient_kernel", (kRows + 255) / 256,
               LossBackward{.rule = {LossKind::mean_squared_error},
                            .truth = column,
                            .predicted = column,
                            .predicted_grad = column});
}

TEST_CASE("kernel shapes: updates have a thread for each parameter of any variable") {
  const GradientSource gradient{.data = nowhere<float>()};
  auto* const number = nowhere<float>();
  const auto* const rates = nowhere<UpdateRates>();
  for (const std::int64_t count : {0, 1, 256, 257, 10000}) {
    INFO(count);
    const auto launches =
        planned(AdamUpdate{gradient, number, number, number, nullptr, count, rates});
    CHECK(launches.size() == (count == 0 ? 0U : 1U));
    if (!launches.empty()) CHECK(launches[0].shape.grid.x == (count + 255) / 256);
    AdamUpdates updates;
    updates.count = 3;
    for (auto& each : updates.each)
      each = {gradient, number, number, number, nullptr, count, rates};
    const auto of_list = planned(updates);
    CHECK(of_list.size() == launches.size());
    if (!of_list.empty()) CHECK(of_list[0].shape.grid.x == 3 * launches[0].shape.grid.x);
  }
}

TEST_CASE("kernel shapes: threads of many parameters take four where they lie aligned") {
  constexpr std::int64_t kMany = std::int64_t{1} << 20U;
  auto* const number = nowhere<float>();
  const AdamUpdate all{.gradient = {.data = number, .slices = 2, .slice_stride = kMany},
                       .parameter = number,
                       .momentum = number,
                       .velocity = number,
                       .velocity_max = number,
                       .count = kMany};
  const auto width_of = [&](const auto& change) {
    AdamUpdate update = all;
    change(update);
    return planned(update)[0].kernel.find("AdamUpdates, 4") != std::string::npos ? 4 : 1;
  };
  CHECK(width_of([](AdamUpdate&) {}) == 4);
  CHECK(width_of([](AdamUpdate& u) { u.count -= 1; }) == 1);
  CHECK(width_of([](AdamUpdate& u) { u.gradient.data += 1; }) == 1);
  CHECK(width_of([](AdamUpdate& u) { u.gradient.slice_stride += 1; }) == 1);
  CHECK(width_of([](AdamUpdate& u) { u.parameter += 1; }) == 1);
  CHECK(width_of([](AdamUpdate& u) { u.momentum += 1; }) == 1);
  CHECK(width_of([](AdamUpdate& u) { u.velocity += 1; }) == 1);
  CHECK(width_of([](AdamUpdate& u) { u.velocity_max += 1; }) == 1);
  // All of a list: a small one beside a large one, too.
  AdamUpdates updates;
  updates.each[0] = updates.each[1] = all;
  updates.count = 2;
  updates.each[1].count = 3;
  CHECK(planned(updates)[0].kernel.find("AdamUpdates, 4") != std::string::npos);
  updates.each[1].momentum += 1;
  CHECK(planned(updates)[0].kernel.find("AdamUpdates, 1") != std::string::npos);
}

TEST_CASE("kernel shapes: norms have a block for each chunk of any gradient of a list") {
  const auto blocks_of = [](std::int64_t count, std::int64_t gradients) {
    SquaredNorms norms;
    norms.count = gradients;
    for (std::int64_t i = 0; i < gradients; ++i)
      norms.each[i] = {.in = nowhere<float>(), .count = count, .partials = nowhere<double>()};
    const auto launches = planned(norms);
    CHECK(launches.size() <= 1);
    return launches.empty() ? 0 : launches[0].shape.grid.x;
  };
  CHECK(blocks_of(0, 3) == 0);
  CHECK(blocks_of(1, 1) == 1);
  CHECK(blocks_of(2048, 3) == 3);
  CHECK(blocks_of(2049, 3) == 6);
  CHECK(blocks_of(64, SquaredNorms::kMost) == SquaredNorms::kMost);
  CHECK(blocks_of(20000 * 64, 1) == 625);
  // Longer chunks where there would be too many.
  CHECK(blocks_of(2048 * 1024, 1) == 1024);
  CHECK(blocks_of(2048 * 1024 + 1, 1) == 513);
  CHECK(blocks_of(std::int64_t{1} << 40, 1) == 1024);
}

TEST_CASE("kernel shapes: nothing is launched for matrices without a row or a column") {
  struct Size {
    std::int64_t rows;
    std::int64_t columns;
  };
  for (const auto& [rows, columns] : {Size{0, 7}, Size{7, 0}, Size{0, 1}, Size{0, 0}}) {
    INFO(rows << " x " << columns);
    const Matrix<float> m = matrix(rows, columns);
    CHECK(planned(DenseForward{.in = matrix(rows, 5), .kernel = matrix(5, columns), .out = m})
              .empty());
    CHECK(planned(DenseInputGradient{
                      .out_grad = matrix(rows, 5), .kernel = matrix(columns, 5), .in_grad = m})
              .empty());
    CHECK(planned(DenseWeightGradient{
                      .in = matrix(5, rows), .out_grad = matrix(5, columns), .kernel_grad = m})
              .empty());
    CHECK(planned(EmbeddingForward{matrix<const Ids>(rows, 1), matrix(9, columns), m}).empty());
    CHECK(planned(CopyRows{matrix<const Bytes>(rows, columns), matrix<Bytes>(rows, columns)})
              .empty());
    CHECK(planned(SoftmaxForward{m, m}).empty());
    CHECK(planned(SoftmaxBackward{m, m, m}).empty());
  }
}
