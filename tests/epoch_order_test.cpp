// Which rows the steps of a fit train on, told from their losses: the same on every device, fed by
// the host or from a device's memory.
#include <algorithm>
#include <cmath>
#include <memory>

#include "engine/train/row_order.hpp"
#include "kernels/launch.hpp"
#include "tests/support/data_forms.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// The rows of all batches of an epoch, a row a batch: a model of zeros that learns nothing has the
// square of the target as loss, and the target is the row's number.
class RowsByLoss final : public callbacks::Callback {
 public:
  void on_epoch_begin(int) override {
    rows.emplace_back();
    sum_ = 0;
  }
  void on_train_batch_end(std::int64_t batch, const Logs& logs) override {
    const double sum = logs["loss"] * static_cast<double>(batch + 1);
    rows.back().push_back(std::llround(std::sqrt(std::max(0.0, sum - sum_))));
    sum_ = sum;
  }
  std::vector<std::vector<std::int64_t>> rows;

 private:
  double sum_ = 0;
};

std::vector<std::vector<std::int64_t>> trained_rows(Device device, bool ragged, int first_epoch) {
  const OnDevice here(device);
  auto input = Input({.shape = {ragged ? None : 3, 1}, .name = "x"});
  auto y = layers::Dense({.units = 1, .kernel_initializer = "zeros", .name = "y"})(
      layers::GlobalAveragePooling1D()(input));
  Model model({input}, {y});
  model.compile({.optimizer = optimizers::SGD({.learning_rate = 0.0}), .loss = "mse"});
  std::vector<float> numbers;
  std::vector<std::int64_t> splits{0};
  for (std::int64_t row = 0; row < kRows; ++row) {
    numbers.push_back(static_cast<float>(row));
    splits.push_back(splits.back() + 1 + row * 7 % 30);
  }
  const Tensor x =
      ragged ? Tensor::ragged(uniform({splits.back(), 1}, 1), splits) : uniform({kRows, 3, 1}, 1);
  const auto seen = std::make_shared<RowsByLoss>();
  FitOptions options = quiet(1, 3);
  options.initial_epoch = first_epoch;
  options.callbacks = {seen};
  model.fit({{"x", x}}, {{"y", Tensor::from(numbers, {kRows, 1})}}, options);
  return seen->rows;
}

}  // namespace

TEST_CASE("order of an epoch: seed and epoch decide it, wherever it is worked out") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  std::vector<std::vector<std::int64_t>> expected(3);
  for (std::uint64_t epoch = 0; epoch < 3; ++epoch)
    write_order(kernels::shuffle_of(kRows, 9, epoch + 1), expected[epoch]);
  for (const bool ragged : {false, true}) {
    for (const int first : {0, 2}) {
      INFO((ragged ? "ragged rows" : "dense rows") << " from epoch " << first);
      const std::vector<std::vector<std::int64_t>> rest(expected.begin() + first, expected.end());
      CHECK(trained_rows(Device::cpu(), ragged, first) == rest);
      CHECK(trained_rows(device, ragged, first) == rest);
      const FedByTheHost feeding;
      CHECK(trained_rows(device, ragged, first) == rest);
    }
  }
}

TEST_CASE("order of an epoch: many rows are worked out in pieces, and none is no order") {
  constexpr std::int64_t kMany = 100003;
  const Shuffle shuffle = kernels::shuffle_of(kMany, 4, 5);
  std::vector<std::int64_t> order;
  write_order(shuffle, order);
  std::vector<std::int64_t> whole(kMany);
  kernels::ShuffleRows at_once = *shuffle;
  at_once.order = whole.data();
  kernels::launch(kernels::Stream{}, at_once);
  CHECK((order == whole));
  write_order({}, order);
  CHECK(order.empty());
}
