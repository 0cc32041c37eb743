// Handwritten digits: two Dense layers on the bytes of the pictures.
#include "digits.hpp"
#include "options.hpp"
#include "report.hpp"

using namespace braid;

namespace {

void run(const ExampleOptions& options) {
  const bool real = !options.data.empty();
  const Dataset training =
      options.limited(real ? read_digits(options.data, "train") : make_digits(6000, options.seed));
  const Dataset test =
      real ? read_digits(options.data, "t10k") : make_digits(2000, options.seed + 1);

  // The bytes stay bytes in memory; the graph scales them.
  auto image = Input({.shape = {kSide, kSide}, .name = "image"});
  auto h = layers::Flatten()(image * (1.0 / 255));
  h = layers::Dense({.units = 256, .activation = "relu"})(h);
  h = layers::Dropout(0.2)(h);
  auto label = layers::Dense({.units = kDigits, .activation = "softmax", .name = "label"})(h);
  Model model({image}, {label});
  model.compile(
      {.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  std::printf("%s\n", model.summary().c_str());

  model.fit(training, {.batch_size = options.batch_size,
                       .epochs = options.epochs,
                       .callbacks = {callbacks::StopOnInterrupt()},
                       .validation_split = 0.1});

  const Dataset shown = test.slice(0, std::min<std::int64_t>(4, test.rows()));
  const TensorDict answers = model.predict(shown.x());
  std::printf("\n");
  for (std::int64_t row = 0; row < shown.rows(); ++row) {
    const int seen = best_class(answers["label"], row);
    std::printf("a picture of a %d: the model sees a %d (probability %.2f)\n",
                shown["label"].data<std::int32_t>()[row], seen,
                static_cast<double>(answers["label"].data<float>()[row * kDigits + seen]));
  }
  print_results(model.evaluate(test, {.batch_size = 1000}), test);
}

}  // namespace

int main(int argc, char** argv) {
  return run_example(argc, argv,
                     {.purpose = "Reads handwritten digits with two Dense layers.",
                      .data = "the folder with the four IDX files of MNIST, gzipped or not",
                      .defaults = {.epochs = 8, .batch_size = 64}},
                     run);
}
