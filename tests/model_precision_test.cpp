// A model's precision, from compile() down to the kernels.
#include <braid/braid.hpp>
#include <cmath>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/kernel_launch.hpp"
#include "tests/support/on_device.hpp"
#include "tests/support/scratch_folder.hpp"

namespace braid {
namespace {

using testing::EmulatedGpuScope;
using testing::kH100;
using testing::OnDevice;

std::vector<Device> rounding_gpus() {
  std::vector<Device> all = testing::gpus();
  std::erase_if(all, [](Device device) {
    return device.kind() == Device::Kind::cuda &&
           !testing::has_matrix_units(kernels::Backend::cuda);
  });
  return all;
}

constexpr std::int64_t kRows = 19;
constexpr std::int64_t kFeatures = 37;
// More than what a GPU runs together with other layers, in float32.
constexpr std::int64_t kUnits = 257;

Tensor random_rows(std::int64_t columns, std::uint64_t seed, std::int64_t rows = kRows) {
  Random random(seed);
  std::vector<float> values;
  for (std::int64_t i = 0; i < rows * columns; ++i)
    values.push_back(static_cast<float>(random.normal()));
  return Tensor::from(values, {rows, columns});
}

Model one_layer(std::int64_t units = kUnits) {
  set_random_seed(3);
  auto x = Input({.shape = {kFeatures}, .name = "x"});
  return Model(x, layers::Dense({.units = units, .name = "y"})(x));
}

std::vector<float> predictions(const Model& model) {
  return model.predict({{"x", random_rows(kFeatures, 1)}})["y"].to_vector<float>();
}

std::vector<float> predictions_at(Precision precision, std::int64_t units = kUnits) {
  Model model = one_layer(units);
  model.compile({.optimizer = "sgd", .loss = "mse", .precision = precision});
  return predictions(model);
}

// A GPU rounds ties of tf32 away from zero, and those of bfloat16 to even.
double kept_bits(double x, int bits) {
  if (x == 0) return 0;
  const int exponent = std::ilogb(x) + 1 - bits;
  const double scaled = std::ldexp(x, -exponent);
  return std::ldexp(bits == 11 ? std::round(scaled) : std::nearbyint(scaled), exponent);
}

// In float64, of operands with so many significant bits.
std::vector<double> expected(int bits) {
  Model model = one_layer();
  const std::vector<float> in = random_rows(kFeatures, 1).to_vector<float>();
  const std::vector<float> kernel = model.get_weights()["y/kernel"].to_vector<float>();
  std::vector<double> out;
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::int64_t unit = 0; unit < kUnits; ++unit) {
      double sum = 0;
      for (std::int64_t k = 0; k < kFeatures; ++k) {
        sum += kept_bits(in[static_cast<std::size_t>(row * kFeatures + k)], bits) *
               kept_bits(kernel[static_cast<std::size_t>(k * kUnits + unit)], bits);
      }
      out.push_back(sum);
    }
  }
  return out;
}

bool are_near(const std::vector<float>& got, const std::vector<double>& wanted) {
  if (got.size() != wanted.size()) return false;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!(std::abs(got[i] - wanted[i]) < 2e-6)) return false;
  }
  return true;
}

std::vector<float> kernel_after_a_step(Precision precision) {
  Model model = one_layer();
  model.compile({.optimizer = optimizers::SGD({.learning_rate = 1.0}),
                 .loss = "mse",
                 .precision = precision});
  model.train_on_batch({{"x", random_rows(kFeatures, 1)}}, {{"y", random_rows(kUnits, 2)}});
  return model.get_weights()["y/kernel"].to_vector<float>();
}

// A weight of an LSTM after a step, behind ids of which some are masked.
std::vector<float> lstm_weight_after_a_step(Precision precision, const char* weight,
                                            std::int64_t rows) {
  set_random_seed(7);
  auto ids = Input({.shape = {None}, .name = "ids", .dtype = DType::int32});
  auto h = layers::Embedding({.input_dim = 20, .output_dim = 12, .mask_zero = true})(ids);
  Model model({ids}, {layers::LSTM({.units = 10, .name = "y"})(h)});
  // The loss is a mean over the rows.
  const double learning_rate = static_cast<double>(rows) / kRows;
  model.compile({.optimizer = optimizers::SGD({.learning_rate = learning_rate}),
                 .loss = "mse",
                 .precision = precision});
  std::vector<std::int32_t> values;
  for (std::int32_t i = 0; i < rows * 6; ++i) values.push_back(i * 7 % 20);
  model.train_on_batch({{"ids", Tensor::from(values, {rows, 6})}},
                       {{"y", random_rows(10, 4, rows)}});
  return model.get_weights()[weight].to_vector<float>();
}

std::vector<float> lstm_after_a_step(Precision precision) {
  return lstm_weight_after_a_step(precision, "y/kernel", kRows);
}
// More than a GPU has multiprocessors.
std::vector<float> lstm_of_many_rows_after_a_step(Precision precision) {
  return lstm_weight_after_a_step(precision, "y/recurrent_kernel", 141);
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, static_cast<double>(std::abs(a[i] - b[i])));
  return largest;
}

// The fewer bits its precision keeps, the further a kernel is from the one of float32: by `least`
// at least.
void check_learns_at_its_precision(std::vector<float> (*kernel_after)(Precision), double least) {
  const Device device = GENERATE(from_range(rounding_gpus()));
  INFO(to_string(device));
  const OnDevice here(device);
  const std::vector<float> exact = kernel_after(Precision::float32);
  const double with_tf32 = largest_difference(kernel_after(Precision::tf32), exact);
  const double with_bfloat16 = largest_difference(kernel_after(Precision::bfloat16), exact);
  CHECK(with_tf32 > least);
  CHECK(with_tf32 < 1e-3);
  CHECK(with_bfloat16 > 2 * with_tf32);
  CHECK(with_bfloat16 < 1e-2);
}

}  // namespace

TEST_CASE("a compiled model predicts with operands of its precision") {
  const EmulatedGpuScope gpu(kH100);
  const Device device = GENERATE(from_range(rounding_gpus()));
  INFO(to_string(device));
  const OnDevice here(device);
  CHECK(are_near(predictions_at(Precision::float32), expected(24)));
  CHECK(are_near(predictions_at(Precision::tf32), expected(11)));
  CHECK(are_near(predictions_at(Precision::bfloat16), expected(8)));
  CHECK_FALSE(are_near(predictions_at(Precision::tf32), expected(24)));
  CHECK_FALSE(are_near(predictions_at(Precision::bfloat16), expected(11)));

  Model model = one_layer();
  CHECK(predictions(model) == predictions_at(Precision::float32));
  for (const Precision precision : {Precision::bfloat16, Precision::tf32, Precision::float32}) {
    model.compile({.optimizer = "sgd", .loss = "mse", .precision = precision});
    CHECK(predictions(model) == predictions_at(precision));
  }
}

TEST_CASE("small layers of few rows are float32 at every precision") {
  const EmulatedGpuScope gpu(kH100);
  const Device device = GENERATE(from_range(rounding_gpus()));
  INFO(to_string(device));
  const OnDevice here(device);
  CHECK(predictions_at(Precision::bfloat16, 256) == predictions_at(Precision::float32, 256));
}

TEST_CASE("a compiled model learns at its precision") {
  const EmulatedGpuScope gpu(kH100);
  check_learns_at_its_precision(kernel_after_a_step, 1e-6);
}

TEST_CASE("an LSTM learns at its model's precision") {
  const EmulatedGpuScope gpu(kH100);
  check_learns_at_its_precision(lstm_after_a_step, 1e-7);
}

TEST_CASE("an LSTM of many rows learns at its model's precision") {
  const EmulatedGpuScope gpu(kH100);
  check_learns_at_its_precision(lstm_of_many_rows_after_a_step, 1e-7);
}

TEST_CASE("on a CPU every precision is float32") {
  const OnDevice here(Device::cpu());
  CHECK(predictions_at(Precision::tf32) == predictions_at(Precision::float32));
  CHECK(predictions_at(Precision::bfloat16) == predictions_at(Precision::float32));
  CHECK(kernel_after_a_step(Precision::bfloat16) == kernel_after_a_step(Precision::float32));
  CHECK(lstm_after_a_step(Precision::bfloat16) == lstm_after_a_step(Precision::float32));
}

TEST_CASE("a saved model keeps its precision") {
  const Device device = GENERATE(from_range(rounding_gpus()));
  INFO(to_string(device));
  const OnDevice here(device);
  const testing::ScratchFolder folder;
  for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bfloat16}) {
    Model model = one_layer();
    model.compile({.optimizer = "sgd", .loss = "mse", .precision = precision});
    model.save(folder.file("model.braid"));
    CHECK(predictions(Model::load(folder.file("model.braid"))) == predictions_at(precision));
  }
}

}  // namespace braid
