// Two named inputs, concatenated: is a short message spam? How often it uses each of a hundred
// words, and five numbers about its looks, decide together.
#include <cctype>
#include <cmath>

#include "messages.hpp"
#include "options.hpp"
#include "report.hpp"
#include "word_counts.hpp"

using namespace braid;

namespace {

constexpr int kWords = 100;

// Characters, digits, capitals, exclamation marks and other signs of a message, on a scale that a
// network likes.
Tensor looks(const std::vector<std::string>& messages) {
  std::vector<float> numbers;
  for (const std::string& message : messages) {
    float digits = 0, capitals = 0, shouts = 0, others = 0;
    for (const unsigned char c : message) {
      if (std::isdigit(c))
        ++digits;
      else if (std::isupper(c))
        ++capitals;
      else if (c == '!')
        ++shouts;
      else if (!std::isalpha(c) && c != ' ')
        ++others;
    }
    for (const float count : {static_cast<float>(message.size()), digits, capitals, shouts, others})
      numbers.push_back(std::log1p(count));
  }
  return Tensor::from(numbers, {static_cast<Dim>(messages.size()), 5});
}

void run(const ExampleOptions& options) {
  const Dataset messages =
      options.data.empty() ? make_messages(5000, options.seed) : read_messages(options.data);
  auto [training, test] = messages.split(0.2, options.seed);
  training = options.limited(training);

  // The vocabulary comes from the training messages alone: the test is of messages never seen.
  text::Vectorizer vocabulary;
  vocabulary.adapt(training.text("message"));
  const auto with_inputs = [&](const Dataset& data) {
    return data.with("text", word_counts(vocabulary, data.text("message"), kWords))
        .with("numeric", looks(data.text("message")));
  };
  training = with_inputs(training);
  test = with_inputs(test);

  auto text = Input({.shape = {kWords}, .name = "text"});
  auto numeric = Input({.shape = {5}, .name = "numeric"});
  auto merged = layers::concatenate({layers::Dense({.units = 64, .activation = "relu"})(text),
                                     layers::Dense({.units = 32, .activation = "relu"})(numeric)});
  auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(merged);
  Model model({text, numeric}, {label});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-3}),
                 .loss = "binary_crossentropy",
                 .metrics = {"accuracy"}});
  std::printf("%s\n", model.summary().c_str());

  model.fit(training, {.batch_size = options.batch_size,
                       .epochs = options.epochs,
                       .callbacks = {callbacks::StopOnInterrupt()},
                       .validation_split = 0.1});

  // Inputs are bound by name: their order is free.
  const Dataset shown = test.slice(0, std::min<std::int64_t>(4, test.rows()));
  const TensorDict answers =
      model.predict({{"numeric", shown["numeric"]}, {"text", shown["text"]}});
  for (std::int64_t row = 0; row < shown.rows(); ++row) {
    std::printf("\n\"%.70s\"\n  is spam with probability %.2f, and %s\n",
                shown.text("message")[static_cast<std::size_t>(row)].c_str(),
                static_cast<double>(answers["label"].data<float>()[row]),
                shown["label"].data<std::int32_t>()[row] == 1 ? "is" : "is not");
  }
  print_results(model.evaluate(test), test);
}

}  // namespace

int main(int argc, char** argv) {
  return run_example(argc, argv,
                     {.purpose = "Tells spam by two named inputs: counts of words, and numbers.",
                      .data = "sms.tsv of the SMS spam collection, or its folder",
                      .defaults = {.epochs = 10}},
                     run);
}
