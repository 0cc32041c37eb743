// Who is speaking? Utterances of any length, twelve numbers a step, through a masked LSTM.
#include <cmath>

#include "options.hpp"
#include "report.hpp"
#include "utterances.hpp"

using namespace braid;

namespace {

// Brings every feature to mean 0 and deviation 1 over the steps of the utterances it is made from.
class Scale {
 public:
  explicit Scale(const Tensor& utterances) {
    const std::vector<float> steps = utterances.values().to_vector<float>();
    const auto count = static_cast<double>(steps.size() / kFeatures);
    for (std::size_t i = 0; i < steps.size(); ++i)
      mean_[i % kFeatures] += static_cast<double>(steps[i]) / count;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const double apart = static_cast<double>(steps[i]) - mean_[i % kFeatures];
      variance_[i % kFeatures] += apart * apart / count;
    }
  }
  Tensor operator()(const Tensor& utterances) const {
    std::vector<float> steps = utterances.values().to_vector<float>();
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const double apart = static_cast<double>(steps[i]) - mean_[i % kFeatures];
      steps[i] = static_cast<float>(apart / std::sqrt(variance_[i % kFeatures]));
    }
    const auto splits = utterances.row_splits();
    return Tensor::ragged(Tensor::from(steps, {splits.back(), kFeatures}),
                          {splits.begin(), splits.end()});
  }

 private:
  double mean_[kFeatures] = {};
  double variance_[kFeatures] = {};
};

void run(const ExampleOptions& options) {
  const bool real = !options.data.empty();
  Dataset training =
      real ? read_utterances(options.data, "TRAIN") : make_utterances(300, options.seed);
  Dataset test =
      real ? read_utterances(options.data, "TEST") : make_utterances(400, options.seed + 1);
  // The file holds one speaker after the other: mix them, so that --limit leaves some of each.
  training = options.limited(training.shuffled(options.seed));
  const Scale scale(training["utterance"]);
  training = training.map("utterance", scale);
  test = test.map("utterance", scale);

  // Utterances end at different steps; behind its end an utterance is masked.
  auto utterance = Input({.shape = {None, kFeatures}, .name = "utterance"});
  auto h = layers::LSTM({.units = 128})(layers::Dropout(0.4)(utterance));
  h = layers::Dropout(0.4)(h);
  auto speaker = layers::Dense({.units = kSpeakers, .activation = "softmax", .name = "speaker"})(h);
  Model model({utterance}, {speaker});
  // The learning rate falls to nothing, lest the last steps decide by chance.
  const auto batches = (training.rows() + options.batch_size - 1) / options.batch_size;
  const auto steps = static_cast<double>(options.epochs * batches);
  model.compile(
      {.optimizer = optimizers::Adam({.learning_rate = schedules::CosineDecay(
                                          {.initial_learning_rate = 4e-3, .decay_steps = steps})}),
       .loss = "sparse_categorical_crossentropy",
       .metrics = {"accuracy"}});
  std::printf("%s\n", model.summary().c_str());

  model.fit(training, {.batch_size = options.batch_size,
                       .epochs = options.epochs,
                       .callbacks = {callbacks::StopOnInterrupt()}});

  const Dataset shown =
      test.shuffled(options.seed).slice(0, std::min<std::int64_t>(4, test.rows()));
  const TensorDict answers = model.predict(shown.x());
  std::printf("\n");
  for (std::int64_t row = 0; row < shown.rows(); ++row) {
    const int heard = best_class(answers["speaker"], row);
    std::printf("speaker %d is heard as speaker %d (probability %.2f)\n",
                1 + shown["speaker"].data<std::int32_t>()[row], 1 + heard,
                static_cast<double>(answers["speaker"].data<float>()[row * kSpeakers + heard]));
  }
  print_results(model.evaluate(test), test);
}

}  // namespace

int main(int argc, char** argv) {
  return run_example(argc, argv,
                     {.purpose = "Tells speakers apart by utterances of any length.",
                      .data = "the folder with JapaneseVowels_TRAIN.ts and JapaneseVowels_TEST.ts",
                      .defaults = {.epochs = 100, .batch_size = 16}},
                     run);
}
