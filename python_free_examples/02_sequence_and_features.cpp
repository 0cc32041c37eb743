// A sequence of any length beside fixed features: does a film review's snippet like the film? Its
// words go one by one through embedding, mask and LSTM; ten numbers count its signs.
#include <cmath>
#include <filesystem>
#include <string_view>

#include "options.hpp"
#include "report.hpp"
#include "snippets.hpp"

using namespace braid;

namespace {

constexpr std::string_view kSigns = ",.!?\"'();-";

// How often a snippet has each of ten signs, on a scale that a network likes.
Tensor signs(const std::vector<std::string>& snippets) {
  std::vector<float> features;
  for (const std::string& snippet : snippets) {
    for (const char sign : kSigns) {
      const auto count = std::count(snippet.begin(), snippet.end(), sign);
      features.push_back(std::log1p(static_cast<float>(count)));
    }
  }
  return Tensor::from(features, {static_cast<Dim>(snippets.size()), 10});
}

void run(const ExampleOptions& options) {
  const Dataset snippets =
      options.data.empty() ? make_snippets(6000, options.seed) : read_snippets(options.data);
  // The files hold all of one answer before the other: mix them.
  auto [training, test] = snippets.shuffled(options.seed).split(0.2, options.seed);
  training = options.limited(training);

  text::Vectorizer words({.max_tokens = 10000});
  words.adapt(training.text("snippet"));
  const auto with_inputs = [&](const Dataset& data) {
    return data.with("sequence", words(data.text("snippet")))
        .with("features", signs(data.text("snippet")));
  };
  training = with_inputs(training);
  test = with_inputs(test);

  // The ids come as rows of their own lengths. Padding, where a batch needs it, is id 0 and masked.
  auto sequence = Input({.shape = {None}, .name = "sequence", .dtype = DType::int32});
  auto features = Input({.shape = {10}, .name = "features"});
  auto h = layers::Embedding(
      {.input_dim = words.vocabulary_size(), .output_dim = 128, .mask_zero = true})(sequence);
  h = layers::LSTM({.units = 64})(layers::Dropout(0.5)(h));
  auto f = layers::Dense({.units = 32, .activation = "relu"})(features);
  auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(
      layers::Dropout(0.5)(layers::concatenate({h, f})));
  Model model({sequence, features}, {label});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-3}),
                 .loss = "binary_crossentropy",
                 .metrics = {"accuracy"}});
  std::printf("%s\n", model.summary().c_str());

  model.fit(training,
            {.batch_size = options.batch_size,
             .epochs = options.epochs,
             .callbacks = {callbacks::StopOnInterrupt(),
                           callbacks::EarlyStopping({.patience = 2, .restore_best_weights = true})},
             .validation_split = 0.1});

  // A trained model is one file. Whoever loads it needs none of the code above.
  const auto file = std::filesystem::temp_directory_path() / "02_sequence_and_features.braid";
  model.save(file.string());
  Model loaded = Model::load(file.string());
  std::filesystem::remove(file);

  const Dataset shown = test.slice(0, std::min<std::int64_t>(4, test.rows()));
  const TensorDict answers = loaded.predict(shown.x());
  for (std::int64_t row = 0; row < shown.rows(); ++row) {
    std::printf("\n\"%.70s\"\n  likes the film with probability %.2f, and %s\n",
                shown.text("snippet")[static_cast<std::size_t>(row)].c_str(),
                static_cast<double>(answers["label"].data<float>()[row]),
                shown["label"].data<std::int32_t>()[row] == 1 ? "does" : "does not");
  }
  print_results(loaded.evaluate(test), test);
}

}  // namespace

int main(int argc, char** argv) {
  return run_example(
      argc, argv,
      {.purpose = "Tells praise from blame by a sequence of any length beside ten features.",
       .data = "the folder with rt-polarity.pos and rt-polarity.neg",
       .defaults = {.epochs = 10}},
      run);
}
