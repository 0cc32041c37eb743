// Large products by the device's library: what is asked of cuBLASLt, carried out by a library that
// stands in for it (cublaslt_stand_in/), against sums in float64.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iostream>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "engine/graph/ops/dense.hpp"
#include "engine/runtime/workspace.hpp"
#include "kernels/simt/emulated_library.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/dense_precision.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/stand_in_library.hpp"
#include "tests/support/variables.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::Activation;
using kernels::ActivationKind;
using kernels::Precision;
using kernels::ProductLibrary;

namespace {

constexpr Backend kDevice = Backend::emulated;

// cuBLASLt's numbers of epilogues.
constexpr int kBias = 4;
constexpr int kSumsOfA = 256;

bool tests_emulated() {
  const std::vector<Backend>& tested = tested_backends();
  return std::find(tested.begin(), tested.end(), kDevice) != tested.end();
}

void check_everything(Backend device, const DenseProblem& problem, std::int64_t gap) {
  INFO(text_of(problem.precision) << ", " << described(problem.size) << ", gap " << gap);
  const double unit = problem.precision == Precision::float32 ? kFloat32Unit : kMatrixUnit;
  const DenseProblem operands = rounded(problem.precision, problem);
  CHECK(are_sums(as_numbers(dense_forward(device, problem, false, gap)),
                 forward_totals(operands, false), unit));
  CHECK(are_sums(as_numbers(dense_forward(device, problem, true, gap)),
                 forward_totals(operands, true), unit));
  CHECK(are_sums(as_numbers(dense_input_gradient(device, problem, gap)), input_totals(operands),
                 unit));
  const DenseWeightGradients gradients = dense_weight_gradients(device, problem, gap);
  CHECK(are_sums(gradients.kernel, kernel_totals(operands), unit));
  CHECK(are_sums(gradients.bias, bias_totals(problem)));
}

// A Dense layer whose weights are 0.5, without a bias.
Program one_layer(std::int64_t rows, std::int64_t depth, std::int64_t columns, Precision precision,
                  Device device) {
  auto graph = std::make_shared<Graph>();
  const std::vector<float> halves(static_cast<std::size_t>(depth * columns), 0.5F);
  const Tensor kernel = Tensor::from(halves, {depth, columns}).to(device);
  const Value in = graph->input("x", {.shape = {None, depth}, .batched = true});
  const Value out = ops::dense(*graph, in, graph->weight(variable_of(kernel)), {});
  return {graph, {out}, {{.shape = {rows, depth}, .batched = true}}, device, precision};
}

}  // namespace

TEST_CASE("dense library: outputs and gradients are right for all sizes, in column slices too") {
  const EmulatedGpuScope gpu(kH100);
  if (!tests_emulated()) return;
  const StandInLibrary library;
  if (!library.is_there()) return;
  RandomNumbers random(71);
  // Single columns are for a kernel of our own.
  const std::vector<DenseSize> sizes{{1, 2, 2},    {2, 3, 2},    {5, 7, 3},   {17, 2, 9},
                                     {16, 16, 16}, {33, 17, 31}, {7, 64, 33}, {31, 8, 67}};
  for (const DenseSize& size : sizes) {
    DenseProblem problem(size, random);
    for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bfloat16}) {
      problem.precision = precision;
      library.controls().products = 0;
      library.controls().rounded_products = 0;
      for (const std::int64_t gap : {0, 3, 4}) check_everything(kDevice, problem, gap);
      CHECK(library.controls().products == 3 * 4);
      CHECK(library.controls().rounded_products == (precision == Precision::bfloat16 ? 3 * 4 : 0));
      CHECK(library.controls().workspace_bytes >= 256);
    }
  }
  for (int n = 0; n < 30; ++n) {
    DenseProblem problem({1 + random.below(40), 1 + random.below(40), 1 + random.below(40)},
                         random);
    problem.precision = n % 3 == 0   ? Precision::float32
                        : n % 3 == 1 ? Precision::tf32
                                     : Precision::bfloat16;
    if (problem.size.columns > 1 && problem.size.depth > 1)
      check_everything(kDevice, problem, random.below(5));
  }
  CHECK(library.controls().descriptors == 1);  // the handle
}

TEST_CASE("dense library: operands become the nearest bfloat16, ties the even one, NaN stays NaN") {
  const EmulatedGpuScope gpu(kH100);
  if (!tests_emulated()) return;
  const StandInLibrary library;
  if (!library.is_there()) return;
  RandomNumbers random(79);
  using Limits = std::numeric_limits<float>;
  const std::vector<std::pair<float, float>> numbers{
      {1 + 0x1p-8F, 1},
      {1 + 0x1.8p-7F, 1 + 0x1p-6F},
      {-1 - 0x1.02p-8F, -1 - 0x1p-7F},
      {1 - 0x1p-9F, 1},
      {0x1p-133F, 0x1p-133F},
      {0x1.8p-133F, 0x1p-132F},
      {-0.0F, 0},
      {Limits::max(), Limits::infinity()},
      {-Limits::infinity(), -Limits::infinity()},
      {Limits::quiet_NaN(), Limits::quiet_NaN()},
      {Limits::signaling_NaN(), Limits::quiet_NaN()}};
  DenseProblem problem({static_cast<std::int64_t>(numbers.size()), 1, 2}, random);
  problem.precision = Precision::bfloat16;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    problem.in[i] = static_cast<double>(numbers[i].first);
  problem.kernel = {1, 2};
  const std::vector<float> outputs = dense_forward(kDevice, problem, false, 0);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const float wanted = numbers[i].second;
    INFO(numbers[i].first);
    CHECK((std::isnan(wanted) ? std::isnan(outputs[2 * i]) : outputs[2 * i] == wanted));
    CHECK((std::isnan(wanted) ? std::isnan(outputs[2 * i + 1]) : outputs[2 * i + 1] == 2 * wanted));
  }
  CHECK(library.controls().rounded_products == 1);
}

TEST_CASE("dense library: without memory for rounded operands a product is for our own kernels") {
  const EmulatedGpuScope gpu(kH100);
  if (!tests_emulated()) return;
  const StandInLibrary library;
  if (!library.is_there()) return;
  RandomNumbers random(80);
  DenseProblem problem({19, 24, 33}, random);
  const auto products_with = [&](Precision precision, std::int64_t workspace) {
    problem.precision = precision;
    problem.workspace = workspace;
    library.controls().products = 0;
    check_everything(kDevice, problem, 3);
    return library.controls().products;
  };
  CHECK(products_with(Precision::bfloat16, -1) == 0);
  for (const Precision precision : {Precision::float32, Precision::tf32}) {
    CHECK(products_with(precision, -1) == 4);
    CHECK(library.controls().workspace_bytes == 0);
  }
  // For the copies alone: to the byte, and one less.
  GuardedMatrix<float> in(19, 24);
  GuardedMatrix<float> kernel(24, 33);
  in.fill(problem.in);
  kernel.fill(problem.kernel);
  const std::int64_t copies = kernels::bfloat16_bytes(19, 24) + kernels::bfloat16_bytes(24, 33);
  for (const std::int64_t bytes : {copies, copies - 1}) {
    GuardedMatrix<float> out(19, 33);
    GuardedScratch scratch(bytes);
    library.controls().products = 0;
    launch_on(kDevice, kernels::DenseForward{
                           .in = in.matrix(),
                           .kernel = kernel.matrix(),
                           .out = out.matrix(),
                           .precision = Precision::bfloat16,
                           .for_library = {static_cast<std::byte*>(scratch.data()), bytes}});
    CHECK(library.controls().products == (bytes == copies ? 1 : 0));
    CHECK(are_sums(out.values(), forward_totals(rounded(Precision::bfloat16, problem), false),
                   kMatrixUnit));
    CHECK(scratch.guards_are_intact());
  }
}

TEST_CASE("dense library: a bias's gradient by itself is summed in parts of the rows") {
  const EmulatedGpuScope gpu(kH100);
  if (!tests_emulated()) return;
  const StandInLibrary library;
  if (!library.is_there()) return;
  RandomNumbers random(81);
  DenseProblem problem({512, 3, 5}, random);
  problem.precision = Precision::bfloat16;
  // In one go each 1 would be lost beside the first number: its neighbours are 8 away. So are those
  // of its part, which is one of sixteen.
  problem.out_grad.assign(problem.out_grad.size(), 1);
  for (std::size_t i = 0; i < 5; ++i) problem.out_grad[i] = 1e8;
  problem.workspace = 256;
  for (const double sum : dense_weight_gradients(kDevice, problem, 0).bias) CHECK(sum == 1e8 + 480);
  // Memory for the copies is more than enough; with less than a part of it all is in one go.
  CHECK(library.controls().rounded_products == 1);
  problem.precision = Precision::float32;
  problem.workspace = -1;
  library.controls().refused_epilogue = kSumsOfA;
  for (const double sum : dense_weight_gradients(kDevice, problem, 0).bias) CHECK(sum == 1e8);
  CHECK(library.controls().products == 2);
}

TEST_CASE("dense library: a program on a device has memory for its large products") {
  const EmulatedGpuScope gpu(kH100);
  if (!tests_emulated()) return;
  constexpr std::int64_t kLarge = kernels::kLeastLibrarySize;
  const auto scratch_of = [](std::int64_t rows, Precision precision, Device device) {
    return one_layer(rows, kLarge, kLarge, precision, device).scratch_bytes();
  };
  const std::int64_t copies = 2 * kernels::bfloat16_bytes(kLarge, kLarge);
  CHECK(scratch_of(kLarge, Precision::tf32, Device::emulated()) == kernels::kLibraryWorkspace);
  CHECK(scratch_of(kLarge, Precision::bfloat16, Device::emulated()) ==
        kernels::kLibraryWorkspace + copies);
  CHECK(scratch_of(kLarge - 1, Precision::bfloat16, Device::emulated()) == 0);
  CHECK(scratch_of(kLarge, Precision::bfloat16, Device::cpu()) == 0);
  CHECK(kernels::library_memory(600, 1024, 512, Precision::bfloat16) ==
        kernels::kLibraryWorkspace + 2 * (600 * 1024 + 1024 * 512));

  const StandInLibrary library(kLarge);
  if (!library.is_there()) return;
  const Program program =
      one_layer(kLarge, kLarge, kLarge, Precision::bfloat16, Device::emulated());
  const std::vector<float> ones(static_cast<std::size_t>(kLarge * kLarge), 1.0F);
  Workspace workspace(Device::emulated());
  workspace.run(program, {reinterpret_cast<const std::byte*>(ones.data())});
  CHECK(workspace.output<float>(program, 0).row(kLarge - 1)[3] == 0.5F * kLarge);
  CHECK(library.controls().rounded_products == 1);
  CHECK(library.controls().workspace_bytes == static_cast<std::size_t>(kernels::kLibraryWorkspace));
}

TEST_CASE("dense library: every activation follows the bias, and keeps NaN") {
  if (!tests_emulated()) return;
  const StandInLibrary library;
  if (!library.is_there()) return;
  RandomNumbers random(72);
  DenseProblem problem({9, 5, 12}, random);
  const std::vector<float> sums = dense_forward(kDevice, problem, true, 0);
  for (const Activation& activation : all_activations()) {
    INFO(name_of(activation));
    const std::vector<float> outputs = dense_forward(kDevice, problem, true, 3, activation);
    for (std::size_t i = 0; i < sums.size(); ++i)
      CHECK(outputs[i] == Approx(activated(activation, static_cast<double>(sums[i]))).margin(1e-6));
  }
  problem.in[0] = std::numeric_limits<double>::quiet_NaN();
  const std::vector<float> outputs =
      dense_forward(kDevice, problem, true, 0, Activation{ActivationKind::relu});
  for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(std::isnan(outputs[i]) == (i < 12));
}

TEST_CASE("dense library: gradients are added to what is there when asked") {
  if (!tests_emulated()) return;
  const StandInLibrary library;
  if (!library.is_there()) return;
  RandomNumbers random(73);
  const DenseProblem problem({23, 6, 11}, random);
  const Numbers inputs = random.floats(23 * 6, -1, 1);
  auto of_input = input_totals(problem);
  add_to(of_input, inputs);
  CHECK(are_sums(as_numbers(dense_input_gradient(kDevice, problem, 0, inputs)), of_input));
  const DenseWeightGradients before{random.floats(6 * 11, -1, 1), random.floats(11, -1, 1)};
  auto of_kernel = kernel_totals(problem);
  auto of_bias = bias_totals(problem);
  add_to(of_kernel, before.kernel);
  add_to(of_bias, before.bias);
  const DenseWeightGradients gradients = dense_weight_gradients(kDevice, problem, 0, before);
  CHECK(are_sums(gradients.kernel, of_kernel));
  CHECK(are_sums(gradients.bias, of_bias));
  CHECK(library.controls().products == 2);
}

TEST_CASE("dense library: what it has no way for is left to kernels of our own") {
  if (!tests_emulated()) return;
  const StandInLibrary library;
  if (!library.is_there()) return;
  StandInControls& controls = library.controls();
  RandomNumbers random(74);
  const DenseProblem problem({700, 6, 11}, random);
  for (const bool by_status : {false, true}) {
    controls.refuses_by_status = by_status;
    controls.refused_epilogue = kSumsOfA;
    controls.products = 0;
    const DenseWeightGradients gradients = dense_weight_gradients(kDevice, problem, by_status);
    CHECK(controls.products == 1);
    CHECK(are_sums(gradients.kernel, kernel_totals(problem)));
    CHECK(are_sums(gradients.bias, bias_totals(problem)));
    controls.refused_epilogue = kBias;
    controls.products = 0;
    CHECK(are_sums(as_numbers(dense_forward(kDevice, problem, true, by_status)),
                   forward_totals(problem, true)));
    CHECK(controls.products == 0);
  }
}

TEST_CASE("dense library: it is asked once for each kind of product") {
  if (!tests_emulated()) return;
  const StandInLibrary library;
  if (!library.is_there()) return;
  alignas(256) static float numbers[4][400];
  alignas(256) static std::byte workspace[512];
  const kernels::LibraryProduct usual{.a = {numbers[0], 8, 8, 8},
                                      .b = {numbers[1], 8, 8, 8},
                                      .out = {numbers[2], 8, 8, 8},
                                      .bias = numbers[3]};
  const auto searches_after = [&](const kernels::LibraryProduct& product) {
    static_cast<void>(simt::emulated_product_library()->multiply(nullptr, product));
    return library.controls().searches;
  };
  CHECK(searches_after(usual) == 1);
  CHECK(searches_after(usual) == 1);
  kernels::LibraryProduct other = usual;
  other.precision = Precision::tf32;
  CHECK(searches_after(other) == 2);
  other = usual;
  other.bias = nullptr;
  CHECK(searches_after(other) == 3);
  other.accumulate = true;
  CHECK(searches_after(other) == 4);
  other = usual;
  other.out.stride = 12;
  CHECK(searches_after(other) == 5);
  other = usual;
  other.a.data = numbers[0] + 1;  // another alignment
  CHECK(searches_after(other) == 6);
  other = usual;
  other.b.data = numbers[1] + 1;
  CHECK(searches_after(other) == 7);
  other = usual;
  other.out.data += 1;
  CHECK(searches_after(other) == 8);
  other = usual;
  other.bias += 1;
  CHECK(searches_after(other) == 9);
  other = usual;
  other.workspace = {workspace, 256};
  CHECK(searches_after(other) == 10);
  other.workspace.bytes = 512;
  CHECK(searches_after(other) == 11);
  other = usual;
  other.a.data = numbers[0] + 64;  // the same alignment
  CHECK(searches_after(other) == 11);
  // What it has no way for is not asked again either.
  library.controls().refused_epilogue = kSumsOfA;
  other = usual;
  other.bias = nullptr;
  other.column_sums = numbers[3];
  CHECK(searches_after(other) == 12);
  CHECK(searches_after(other) == 12);
  CHECK(library.controls().products == 13);
}

TEST_CASE("dense library: only products of large matrices are for it") {
  if (!tests_emulated()) return;
  const StandInLibrary library(kernels::kLeastLibrarySize);
  if (!library.is_there()) return;
  RandomNumbers random(76);
  constexpr std::int64_t kLarge = kernels::kLeastLibrarySize;
  for (const DenseSize& size : {DenseSize{kLarge - 1, kLarge, kLarge}, DenseSize{kLarge, 1, kLarge},
                                DenseSize{kLarge, kLarge, 2}}) {
    CHECK_FALSE(simt::emulated_product_library()->wants(size.rows, size.columns, size.depth));
  }
  CHECK(simt::emulated_product_library()->wants(kLarge, kLarge, kLarge));
  static_cast<void>(dense_forward(kDevice, DenseProblem({40, 30, 20}, random), true, 0));
  CHECK(library.controls().products == 0);
}

TEST_CASE("dense library: a failed call names itself, the product and the status") {
  if (!tests_emulated()) return;
  const StandInLibrary library;
  if (!library.is_there()) return;
  RandomNumbers random(77);
  const DenseProblem problem({8, 4, 12}, random);
  library.controls().fails = true;
  CHECK_THROWS_WITH(
      dense_forward(kDevice, problem, true, 0),
      "cublasLtMatmul of the product [8, 4] . [4, 12]: CUBLAS_STATUS_EXECUTION_FAILED");
  library.controls().fails = false;
  CHECK(are_sums(as_numbers(dense_forward(kDevice, problem, true, 0)),
                 forward_totals(problem, true)));
  CHECK(library.controls().descriptors == 1);
}

TEST_CASE("dense library: a file that is missing or no such library is none") {
  CHECK(ProductLibrary::open({}) == nullptr);
  CHECK(ProductLibrary::open({"/nowhere/libcublasLt.so", "libm.so.6"}) == nullptr);
}

TEST_CASE("dense library: large products are right on a GPU, whoever makes them") {
  const std::vector<Backend>& tested = tested_backends();
  if (std::find(tested.begin(), tested.end(), Backend::cuda) == tested.end()) {
    std::cout << "skipped: no GPU answers, large products by its cuBLASLt are unverified\n";
    return;
  }
  RandomNumbers random(78);
  DenseProblem problem({520, 516, 524}, random);
  problem.workspace = kernels::kLibraryWorkspace;
  for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bfloat16}) {
    problem.precision = precision;
    for (const std::int64_t gap : {0, 3}) check_everything(Backend::cuda, problem, gap);
  }
}
