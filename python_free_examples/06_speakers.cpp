// Who is speaking? Utterances of any length, twelve numbers a step, through a masked LSTM. --data
// names a folder with the two files of the Japanese Vowels data (JapaneseVowels_TRAIN.ts,
// JapaneseVowels_TEST.ts).
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "majority.hpp"
#include "options.hpp"

using namespace braid;

namespace {

constexpr int kSpeakers = 9;
constexpr int kFeatures = 12;

// Steps of all utterances, one after another, and where each ends.
struct Utterances {
  std::vector<float> steps;
  std::vector<std::int64_t> row_splits{0};
  std::vector<std::int32_t> speakers;

  void end_row(int speaker) {
    row_splits.push_back(static_cast<std::int64_t>(steps.size()) / kFeatures);
    speakers.push_back(speaker);
  }
  Dataset dataset() const {
    const auto total = static_cast<Dim>(steps.size()) / kFeatures;
    return Dataset::from(
        {{"utterance", Tensor::ragged(Tensor::from(steps, {total, kFeatures}), row_splits)}},
        {{"speaker", Tensor::from(speakers, {static_cast<Dim>(speakers.size())})}});
  }
};

// A line holds the features one after another, split by ':', each with its steps split by ','; the
// speaker comes last.
Dataset read_utterances(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw IoError("cannot read \"" + path + "\"");
  Utterances read;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#' || line.front() == '@') continue;
    std::vector<std::vector<float>> features;
    std::istringstream parts(line);
    for (std::string part; std::getline(parts, part, ':');) {
      features.emplace_back();
      std::istringstream numbers(part);
      for (std::string number; std::getline(numbers, number, ',');)
        features.back().push_back(std::stof(number));
    }
    if (features.size() != kFeatures + 1)
      throw FormatError("\"" + path + "\": a line has " + std::to_string(features.size()) +
                        " parts");
    for (std::size_t step = 0; step < features.front().size(); ++step) {
      for (int feature = 0; feature < kFeatures; ++feature)
        read.steps.push_back(features[static_cast<std::size_t>(feature)].at(step));
    }
    read.end_row(static_cast<int>(features.back().front()) - 1);
  }
  return read.dataset();
}

// Every speaker has a tune of its own, sung at any speed and never quite clean.
Dataset make_utterances(std::int64_t rows, std::uint64_t seed) {
  Random random(seed);
  Utterances made;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto speaker = static_cast<int>(random.below(kSpeakers));
    const double speed = 0.2 + 0.2 * random.uniform();
    const auto length = 7 + random.below(23);
    for (std::size_t step = 0; step < length; ++step) {
      for (int feature = 0; feature < kFeatures; ++feature) {
        const double phase = 0.7 * speaker * (feature % 4) + 0.4 * feature;
        const double tone = std::sin(speed * static_cast<double>(step) + phase);
        made.steps.push_back(static_cast<float>(0.5 * tone + 0.5 * random.normal()));
      }
    }
    made.end_row(speaker);
  }
  return made.dataset();
}

// Mean and deviation of each feature over all steps.
struct Scale {
  explicit Scale(const Tensor& utterances) {
    const std::vector<float> steps = utterances.values().to_vector<float>();
    const auto count = static_cast<double>(steps.size() / kFeatures);
    for (std::size_t i = 0; i < steps.size(); ++i)
      mean[i % kFeatures] += static_cast<double>(steps[i]) / count;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const double apart = static_cast<double>(steps[i]) - mean[i % kFeatures];
      deviation[i % kFeatures] += apart * apart / count;
    }
    for (double& square : deviation) square = std::sqrt(square);
  }
  Tensor operator()(const Tensor& utterances) const {
    std::vector<float> steps = utterances.values().to_vector<float>();
    for (std::size_t i = 0; i < steps.size(); ++i) {
      steps[i] = static_cast<float>((static_cast<double>(steps[i]) - mean[i % kFeatures]) /
                                    deviation[i % kFeatures]);
    }
    const auto splits = utterances.row_splits();
    return Tensor::ragged(Tensor::from(steps, {splits.back(), kFeatures}),
                          {splits.begin(), splits.end()});
  }
  double mean[kFeatures] = {};
  double deviation[kFeatures] = {};
};

void run(const ExampleOptions& options) {
  const bool real = !options.data.empty();
  Dataset training = real ? read_utterances(options.data + "/JapaneseVowels_TRAIN.ts")
                          : make_utterances(600, options.seed);
  Dataset test = real ? read_utterances(options.data + "/JapaneseVowels_TEST.ts")
                      : make_utterances(400, options.seed + 1);
  if (options.limit > 0)
    training = training.slice(0, std::min<std::int64_t>(options.limit, training.rows()));
  const Scale scale(training["utterance"]);
  training = training.map("utterance", scale);
  test = test.map("utterance", scale);

  auto utterance = Input({.shape = {None, kFeatures}, .name = "utterance"});
  auto h = layers::LSTM({.units = 64, .return_sequences = true})(layers::Dropout(0.3)(utterance));
  h = layers::Dropout(0.4)(layers::GlobalAveragePooling1D()(h));
  auto speaker = layers::Dense({.units = kSpeakers, .activation = "softmax", .name = "speaker"})(h);
  Model model({utterance}, {speaker});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 5e-3}),
                 .loss = "sparse_categorical_crossentropy",
                 .metrics = {"accuracy"}});
  std::printf("%s\n", model.summary().c_str());
  model.fit(training, {.batch_size = options.batch_size,
                       .epochs = options.epochs,
                       .verbose = 2,
                       .callbacks = {callbacks::StopOnInterrupt()}});

  const Logs logs = model.evaluate(test);
  const TensorDict answers = model.predict(test.slice(0, 3).x());
  for (int row = 0; row < 3; ++row) {
    const float* scores = answers["speaker"].data<float>() + row * kSpeakers;
    const int heard = best_class(scores, kSpeakers);
    std::printf("speaker %d is heard as speaker %d (probability %.2f)\n",
                1 + test["speaker"].data<std::int32_t>()[row], 1 + heard,
                static_cast<double>(scores[heard]));
  }
  const double majority = majority_share(test["speaker"]);
  std::printf("test accuracy %.1f %%, always the majority %.1f %%\n", 100 * logs["accuracy"],
              100 * majority);
  std::printf("RESULT loss=%.4f accuracy=%.4f majority=%.4f\n", logs["loss"], logs["accuracy"],
              majority);
}

}  // namespace

int main(int argc, char** argv) {
  return run_example(argc, argv, "Tells speakers apart by utterances of any length.",
                     {.epochs = 100, .batch_size = 16}, run);
}
