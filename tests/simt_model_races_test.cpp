// Whole models, trained where accesses of threads are compared: what the kernels' own tests cannot
// see is which launches, waves and places in shared memory a program makes of them.
#if defined(BRAID_SIMT_RACES)
#include <braid/braid.hpp>

#include "bench/reference_models.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/on_device.hpp"
#include "tests/support/random_model.hpp"
#include "tests/support/schedules.hpp"

namespace braid::testing {
namespace {

// Ids with gaps, numbers and two outputs, dropout, penalties and a clipped gradient.
struct Sequences {
  static constexpr std::int64_t kRows = 13;

  static Model model() {
    set_random_seed(5);
    const auto words = Input({.shape = {None}, .name = "words", .dtype = DType::int32});
    const auto numbers = Input({.shape = {3}, .name = "numbers"});
    const auto vectors =
        layers::Embedding({.input_dim = 11, .output_dim = 5, .mask_zero = true})(words);
    const auto all = layers::concatenate(
        {layers::LSTM({.units = 7})(vectors), layers::Dense({.units = 6})(numbers)});
    const auto some = layers::Dropout({.rate = 0.4})(all);
    const auto one = layers::Dense({.units = 1, .activation = "sigmoid", .name = "one"})(some);
    const auto kind = layers::Dense({.units = 4, .activation = "softmax", .name = "kind"})(all);
    Model model({words, numbers}, {one, kind});
    model.compile(
        {.optimizer = optimizers::Adam({.global_clipnorm = 0.5}),
         .loss = {{"one", "binary_crossentropy"}, {"kind", "sparse_categorical_crossentropy"}},
         .metrics = {"accuracy"},
         .steps_per_execution = 2});
    return model;
  }
  static bench::Rows rows() {
    Random random(6);
    std::vector<std::int32_t> words;
    std::vector<std::int64_t> splits{0};
    std::vector<float> numbers;
    std::vector<float> ones;
    std::vector<std::int32_t> kinds;
    for (std::int64_t row = 0; row < kRows; ++row) {
      for (std::uint64_t i = random.below(6); i > 0; --i)
        words.push_back(static_cast<std::int32_t>(random.below(11)));
      splits.push_back(static_cast<std::int64_t>(words.size()));
      for (int i = 0; i < 3; ++i) numbers.push_back(static_cast<float>(random.normal()));
      ones.push_back(static_cast<float>(random.below(2)));
      kinds.push_back(static_cast<std::int32_t>(random.below(4)));
    }
    return {
        {{"words", Tensor::ragged(words, splits)}, {"numbers", Tensor::from(numbers, {kRows, 3})}},
        {{"one", Tensor::from(ones, {kRows, 1})}, {"kind", Tensor::from(kinds, {kRows, 1})}}};
  }
};

void train(Model model, const bench::Rows& rows, std::int64_t batch) {
  CHECK_NOTHROW(model.fit(rows.x, rows.y, {.batch_size = batch, .epochs = 2, .verbose = 0}));
  CHECK_NOTHROW(model.evaluate(rows.x, rows.y, {.batch_size = batch, .verbose = 0}));
  CHECK_NOTHROW(model.predict(rows.x, {.batch_size = batch}));
}

}  // namespace

TEST_CASE("simt model races: in every order of threads models train without a race") {
  const OnDevice emulated(Device::emulated());
  for (const simt::Schedule& schedule : every_schedule()) {
    INFO(described(schedule));
    const ScheduleScope scope(schedule);
    train(Sequences::model(), Sequences::rows(), 5);
    for (const std::string name : {"m1", "m3"}) {
      INFO(name);
      const bench::ReferenceModel& reference = bench::ReferenceModel::named(name);
      train(reference.make(), reference.training().slice(0, 75), 33);
    }
  }
}

TEST_CASE("simt model races: models that nobody thought of train without a race") {
  const OnDevice emulated(Device::emulated());
  const Environment quiet("BRAID_WARNINGS", "off");
  for (std::uint64_t seed = 20; seed < 28; ++seed) {
    INFO("model " << seed);
    const std::vector<simt::Schedule> schedules = every_schedule();
    const ScheduleScope scope(schedules[seed % schedules.size()]);
    const Sample sample = random_model(seed);
    train(sample.model, {sample.x, sample.y}, 7);
  }
}

}  // namespace braid::testing
#endif
