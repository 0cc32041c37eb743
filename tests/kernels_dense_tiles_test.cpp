// What a GPU chooses for dense products by their size: tiles of every kind, and rows that are
// summed in parts.
#include <cmath>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/dense_kernel.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::Precision;

namespace {

// A few of all results, each a chain of fused multiply-adds in the order of the depth.
template <class Left, class Right>
void check_some(const std::vector<float>& got, std::int64_t columns, std::int64_t depth,
                const Left& left, const Right& right) {
  const auto count = static_cast<std::int64_t>(got.size());
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < count; i = i == count - 1 ? count : std::min(i + 97, count - 1)) {
    float sum = 0;
    for (std::int64_t k = 0; k < depth; ++k) {
      sum = std::fma(static_cast<float>(left(i / columns, k)),
                     static_cast<float>(right(k, i % columns)), sum);
    }
    wrong += got[static_cast<std::size_t>(i)] == sum ? 0 : 1;
  }
  CHECK(wrong == 0);
}

// The problem of some of the rows alone.
DenseProblem cut(const DenseProblem& problem, std::int64_t first, std::int64_t rows) {
  const auto rows_of = [&](const Numbers& all, std::int64_t columns) {
    return Numbers(all.begin() + first * columns, all.begin() + (first + rows) * columns);
  };
  DenseProblem part = problem;
  part.in_parts = false;
  part.size.rows = rows;
  part.in = rows_of(problem.in, problem.size.depth);
  part.out_grad = rows_of(problem.out_grad, problem.size.columns);
  return part;
}

template <class Left, class Right>
std::vector<Total> some_totals(std::int64_t count, std::int64_t columns, std::int64_t depth,
                               const Left& left, const Right& right) {
  std::vector<Total> totals;
  for (std::int64_t i = 0; i < count; i += 97) {
    Total total;
    for (std::int64_t k = 0; k < depth; ++k)
      total.add(left(i / columns, k) * right(k, i % columns));
    totals.push_back(total);
  }
  return totals;
}

Numbers some_of(const std::vector<float>& values) {
  Numbers some;
  for (std::size_t i = 0; i < values.size(); i += 97) some.push_back(values[i]);
  return some;
}

// Results for which each of the tiles is the cheapest; of the depth more than is copied ahead, and
// not in whole stages.
struct Product {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t depth;
};
// 16 x 32, 32 x 16, 32 x 32, 64 x 64; the last one again, in fours.
constexpr Product kFloat32Products[] = {
    {19, 35, 333}, {2200, 7, 332}, {260, 270, 170}, {517, 518, 101}, {516, 520, 100}};
// 32 x 32, 64 x 64, 128 x 128, in fours.
constexpr Product kMatrixUnitProducts[] = {{130, 135, 140}, {530, 560, 69}, {644, 1020, 20}};

// Lines of all matrices are `gap` floats apart.
void check_product(const Product& product, std::int64_t gap, RandomNumbers& random) {
  const auto& [rows, columns, depth] = product;
  for (const Backend backend : tested_backends()) {
    if (!runs_on_device(backend)) continue;
    INFO(rows << " x " << columns);
    const DenseProblem forward({rows, depth, columns}, random);
    check_some(dense_forward(backend, forward, false, gap), columns, depth,
               reader(forward.in, depth), reader(forward.kernel, columns));
    const DenseProblem backward({rows, columns, depth}, random);
    const auto kernel = reader(backward.kernel, depth);
    check_some(dense_input_gradient(backend, backward, gap), columns, depth,
               reader(backward.out_grad, depth),
               [&](std::int64_t k, std::int64_t c) { return kernel(c, k); });
    const DenseProblem weights({depth, rows, columns}, random);
    const auto in = reader(weights.in, rows);
    const auto gradients = dense_weight_gradients(backend, weights, gap);
    check_some(
        {gradients.kernel.begin(), gradients.kernel.end()}, columns, depth,
        [&](std::int64_t r, std::int64_t k) { return in(k, r); },
        reader(weights.out_grad, columns));
    CHECK(are_sums(gradients.bias, bias_totals(weights)));
  }
}

// Numbers that no format rounds.
Numbers few_bits(Numbers numbers) {
  for (double& x : numbers) x = std::round(64 * x) / 64;
  return numbers;
}

}  // namespace

TEST_CASE("dense: a GPU's tiles of every size give the bits of one chain of sums") {
  const LaunchesAlone all_in_tiles;
  RandomNumbers random(71);
  for (const Product& product : kFloat32Products) check_product(product, 0, random);
}

TEST_CASE("dense: tiles give these bits where aligned lines end within four floats, too") {
  const LaunchesAlone all_in_tiles;
  RandomNumbers random(75);
  for (const Product& product : {Product{17, 33, 333}, Product{2201, 5, 141},
                                 Product{257, 265, 141}, Product{517, 521, 101}})
    check_product(product, 3, random);
}

TEST_CASE("dense: tiles of every size on matrix units are right") {
  RandomNumbers random(72);
  for (const Backend backend : tested_backends()) {
    if (!has_matrix_units(backend)) continue;
    for (const Precision precision : {Precision::tf32, Precision::bfloat16}) {
      for (const auto& [rows, columns, depth] : kMatrixUnitProducts) {
        INFO(rows << " x " << columns);
        DenseProblem problem({rows, depth, columns}, random);
        problem.precision = precision;
        problem.in = few_bits(problem.in);
        problem.kernel = few_bits(problem.kernel);
        const auto totals = some_totals(rows * columns, columns, depth, reader(problem.in, depth),
                                        reader(problem.kernel, columns));
        CHECK(are_sums(some_of(dense_forward(backend, problem, false, 0)), totals, kMatrixUnit));

        // The same product as the other two kernels see it.
        DenseProblem backward({rows, columns, depth}, random);
        backward.precision = precision;
        backward.out_grad = problem.in;
        const auto kernel = reader(problem.kernel, columns);
        for (std::int64_t c = 0; c < columns; ++c) {
          for (std::int64_t k = 0; k < depth; ++k)
            backward.kernel[static_cast<std::size_t>(c * depth + k)] = kernel(k, c);
        }
        CHECK(are_sums(some_of(dense_input_gradient(backend, backward, 0)), totals, kMatrixUnit));

        DenseProblem weights({depth, rows, columns}, random);
        weights.precision = precision;
        weights.out_grad = problem.kernel;
        const auto in = reader(problem.in, depth);
        for (std::int64_t k = 0; k < depth; ++k) {
          for (std::int64_t r = 0; r < rows; ++r)
            weights.in[static_cast<std::size_t>(k * rows + r)] = in(r, k);
        }
        const auto gradients = dense_weight_gradients(backend, weights, 0);
        CHECK(are_sums(some_of({gradients.kernel.begin(), gradients.kernel.end()}), totals,
                       kMatrixUnit));
        CHECK(are_sums(gradients.bias, bias_totals(weights)));
      }
    }
  }
}

TEST_CASE("dense: many rows are cut into parts that keep a GPU busy, few are not cut") {
  using kernels::dense_weight_part_rows;
  using kernels::dense_weight_parts;
  CHECK(dense_weight_parts(200, 5, 5) == 1);
  CHECK(dense_weight_parts(512, 5, 5) == 16);  // none is shorter than 32 rows
  CHECK(dense_weight_parts(1024, 784, 64) == 8);
  CHECK(dense_weight_part_rows(1000, 8) == 128);  // whole stages
  CHECK(dense_weight_parts(1024, 96, 1) == 32);
  CHECK(dense_weight_parts(128, 784, 64) == 1);  // adding up would take as long
  CHECK(dense_weight_parts(1 << 20, 32, 32) == 263);
  CHECK(dense_weight_parts(1 << 20, 4096, 4096) == 1);
  CHECK(dense_weight_parts(1 << 20, 0, 4) == 395);
  CHECK(dense_weight_parts(1 << 20, 4, 0) == 1);
  CHECK(dense_weight_parts(0, 4, 4) == 1);
  CHECK(dense_weight_part_rows(203, 1) == 203);
  CHECK(kernels::dense_weight_scratch(200, 5, 5) == 0);
  CHECK(kernels::dense_weight_scratch(512, 5, 7) == 16 * (5 * 7 + 7) * 4);
}

TEST_CASE("dense: no part of the rows is empty, and all of them take 16 MB at most") {
  for (const std::int64_t rows : {31, 64, 257, 1024, 8191, 70000}) {
    for (const std::int64_t depth : {0, 1, 33, 784, 3000}) {
      for (const std::int64_t columns : {1, 10, 64, 1500}) {
        INFO(rows << " x " << depth << " x " << columns);
        const std::int64_t parts = kernels::dense_weight_parts(rows, depth, columns);
        const std::int64_t length = kernels::dense_weight_part_rows(rows, parts);
        CHECK(parts * length >= rows);
        CHECK((parts - 1) * length < rows);
        CHECK(kernels::dense_weight_scratch(rows, depth, columns) <= 16 << 20);
      }
    }
  }
}

TEST_CASE("dense: rows summed in parts give the sums of the parts, in order") {
  RandomNumbers random(73);
  for (const DenseSize& size : {DenseSize{512, 5, 9}, DenseSize{770, 33, 4}, DenseSize{600, 1, 1},
                                DenseSize{523, 0, 3}, DenseSize{150, 4, 4}}) {
    DenseProblem problem(size, random);
    problem.in_parts = true;
    const DenseWeightGradients before{random.floats(size.depth * size.columns, -1, 1),
                                      random.floats(size.columns, -1, 1)};
    const std::int64_t parts = kernels::dense_weight_parts(size.rows, size.depth, size.columns);
    const std::int64_t length = kernels::dense_weight_part_rows(size.rows, parts);
    for (const Backend backend : tested_backends()) {
      if (!runs_on_device(backend)) continue;
      for (const bool adds : {false, true}) {
        INFO(described(size) << (adds ? ", added" : ""));
        Numbers kernel(static_cast<std::size_t>(size.depth * size.columns), 0);
        Numbers bias(static_cast<std::size_t>(size.columns), 0);
        if (adds) {
          kernel = before.kernel;
          bias = before.bias;
        }
        const auto add = [](Numbers& sums, const Numbers& more) {
          for (std::size_t i = 0; i < sums.size(); ++i)
            sums[i] = static_cast<float>(sums[i]) + static_cast<float>(more[i]);
        };
        for (std::int64_t first = 0; first < size.rows; first += length) {
          const DenseProblem part = cut(problem, first, std::min(length, size.rows - first));
          const auto gradients = dense_weight_gradients(backend, part, 0);
          add(kernel, gradients.kernel);
          add(bias, gradients.bias);
        }
        for (const std::int64_t gap : {0, 3}) {
          const auto got =
              dense_weight_gradients(backend, problem, gap, adds ? before : DenseWeightGradients{});
          if (parts > 1 || !adds) {
            CHECK(got.kernel == kernel);
            CHECK(got.bias == bias);
          }
        }
      }
    }
  }
}

TEST_CASE("dense: sums of parts of the rows are left to the caller who wants them") {
  RandomNumbers random(75);
  for (const DenseSize& size :
       {DenseSize{512, 5, 9}, DenseSize{770, 33, 4}, DenseSize{600, 1, 1}, DenseSize{523, 0, 3}}) {
    const DenseProblem problem(size, random);
    const std::int64_t parts = kernels::dense_weight_parts(size.rows, size.depth, size.columns);
    const std::int64_t length = kernels::dense_weight_part_rows(size.rows, parts);
    REQUIRE(parts > 1);
    auto in = filled(problem.in, size.rows, size.depth, 0);
    auto out_grad = filled(problem.out_grad, size.rows, size.columns, 0);
    for (const Backend backend : tested_backends()) {
      for (const std::int64_t gap : {0, 3}) {
        INFO(described(size) << ", gap " << gap);
        GuardedMatrix<float> kernel(parts * size.depth, size.columns, gap);
        GuardedMatrix<float> bias(parts, size.columns, gap);
        const std::int64_t stride = size.columns + gap;
        launch_on(backend, kernels::DenseWeightGradient{
                               .in = in.matrix(),
                               .out_grad = out_grad.matrix(),
                               .kernel_grad = {kernel.data(), size.depth, size.columns, stride},
                               .bias_grad = bias.data(),
                               .parts = parts,
                               .kernel_part_floats = size.depth * stride,
                               .bias_part_floats = stride});
        DenseWeightGradients expected;
        for (std::int64_t first = 0; first < size.rows; first += length) {
          const auto part = dense_weight_gradients(
              backend, cut(problem, first, std::min(length, size.rows - first)), 0);
          expected.kernel.insert(expected.kernel.end(), part.kernel.begin(), part.kernel.end());
          expected.bias.insert(expected.bias.end(), part.bias.begin(), part.bias.end());
        }
        CHECK(kernel.values() == expected.kernel);
        CHECK(bias.values() == expected.bias);
        CHECK(kernel.guards_are_intact());
        CHECK(bias.guards_are_intact());
      }
    }
  }
}

TEST_CASE("dense: a gradient that is not wanted is left out of sums in parts too") {
  RandomNumbers random(74);
  const DenseProblem problem({530, 6, 21}, random);
  auto in = filled(problem.in, 530, 6, 0);
  auto out_grad = filled(problem.out_grad, 530, 21, 0);
  for (const Backend backend : tested_backends()) {
    for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bfloat16}) {
      DenseProblem both_wanted = problem;
      both_wanted.precision = precision;
      both_wanted.in_parts = true;
      const auto both = dense_weight_gradients(backend, both_wanted, 0);
      GuardedMatrix<float> kernel_grad(6, 21);
      GuardedMatrix<float> bias_grad(1, 21);
      GuardedScratch scratch(kernels::dense_weight_scratch(530, 6, 21));
      const auto launch_with = [&](const Matrix<float>& kernel, float* bias) {
        launch_on(backend,
                  kernels::DenseWeightGradient{.in = in.matrix(),
                                               .out_grad = out_grad.matrix(),
                                               .kernel_grad = kernel,
                                               .bias_grad = bias,
                                               .precision = precision,
                                               .scratch = static_cast<float*>(scratch.data())});
      };
      launch_with(kernel_grad.matrix(), nullptr);
      launch_with({}, bias_grad.data());
      CHECK(kernel_grad.values() == both.kernel);
      CHECK(bias_grad.values() == both.bias);
      CHECK(kernel_grad.guards_are_intact());
      CHECK(bias_grad.guards_are_intact());
      CHECK(scratch.guards_are_intact());
    }
  }
}
