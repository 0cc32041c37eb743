// What initial weights are, where Keras's numbers cannot tell: it draws others.
#include <braid/braid.hpp>

#include "tests/support/catch.hpp"

namespace braid {
namespace {

std::vector<float> initial_kernel(std::int64_t rows, std::int64_t columns,
                                  const Initializer& initializer) {
  set_random_seed(11);
  const auto in = Input({.shape = {rows}, .name = "in"});
  const Model model({in}, {layers::Dense({.units = columns,
                                          .use_bias = false,
                                          .kernel_initializer = initializer,
                                          .name = "out"})(in)});
  return model.get_weights()["out/kernel"].to_vector<float>();
}

// The largest difference from 0 and, of a vector with itself, from `square`.
double unlikeness(std::int64_t count, std::int64_t length, double square, const auto& element) {
  double worst = 0;
  for (std::int64_t a = 0; a < count; ++a) {
    for (std::int64_t b = 0; b <= a; ++b) {
      double product = 0;
      for (std::int64_t i = 0; i < length; ++i)
        product += static_cast<double>(element(a, i)) * static_cast<double>(element(b, i));
      worst = std::max(worst, std::abs(product - (a == b ? square : 0)));
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("initializer: rows or columns of an orthogonal matrix are, whichever are fewer") {
  struct Size {
    std::int64_t rows;
    std::int64_t columns;
  };
  // Around the eight columns that are made at once.
  for (const auto& [rows, columns] :
       {Size{1, 1}, Size{1, 5}, Size{5, 1}, Size{7, 7}, Size{8, 8}, Size{9, 9}, Size{17, 16},
        Size{16, 17}, Size{40, 9}, Size{24, 100}, Size{131, 60}}) {
    INFO(rows << " x " << columns);
    const auto kernel = initial_kernel(rows, columns, initializers::Orthogonal(3));
    const auto at = [&](std::int64_t row, std::int64_t column) {
      return kernel[static_cast<std::size_t>(row * columns + column)];
    };
    const double worst = rows < columns
                             ? unlikeness(rows, columns, 9, at)
                             : unlikeness(columns, rows, 9,
                                          [&](std::int64_t a, std::int64_t b) { return at(b, a); });
    CHECK(worst < 1e-5);
    CHECK(initial_kernel(rows, columns, initializers::Orthogonal(3)) == kernel);
  }
}

}  // namespace braid
