// One model, two answers: a page of a catalogue shows a digit and quotes a review. Which digit is
// it, and which department is reviewed? Two nested Sequentials with a loss each.
#include <filesystem>

#include "classes.hpp"
#include "digits.hpp"
#include "epoch_table.hpp"
#include "options.hpp"
#include "report.hpp"
#include "reviews.hpp"
#include "word_counts.hpp"

using namespace braid;

namespace {

constexpr int kWords = 100;

// A page for each pair of a picture and a review, as many as there are of both.
Dataset pages(const Dataset& digits, const Dataset& reviews) {
  const std::int64_t rows = std::min(digits.rows(), reviews.rows());
  const Dataset pictures = digits.slice(0, rows);
  const Dataset texts = reviews.slice(0, rows);
  return Dataset()
      .with("image", pictures["image"].reshape({rows, kSide, kSide, 1}))
      .with("review", texts.text("text"))
      .with("image_class", pictures["label"])
      .with("text_class", texts["department"])
      .targets({"image_class", "text_class"});
}

void run(const ExampleOptions& options) {
  const bool real = !options.data.empty();
  const auto folder = std::filesystem::path(options.data);
  Dataset reviews =
      real ? read_reviews((folder / "womens_reviews").string()) : make_reviews(7000, options.seed);
  const Classes departments(reviews.text("department"));
  reviews = reviews.map("department", departments);
  const auto [first, second] = reviews.split(0.2, options.seed);
  const std::string mnist = (folder / "mnist").string();
  Dataset training = options.limited(
      pages(real ? read_digits(mnist, "train") : make_digits(5600, options.seed), first));
  Dataset test =
      pages(real ? read_digits(mnist, "t10k") : make_digits(1400, options.seed + 1), second);

  text::Vectorizer vocabulary;
  vocabulary.adapt(training.text("review"));
  training = training.with("text", word_counts(vocabulary, training.text("review"), kWords));
  test = test.with("text", word_counts(vocabulary, test.text("review"), kWords));

  auto image = Input({.shape = {kSide, kSide, 1}, .name = "image"});
  auto text = Input({.shape = {kWords}, .name = "text"});
  auto image_class =
      Sequential({layers::Flatten(), layers::Dense({.units = 64, .activation = "relu"}),
                  layers::Dense({.units = kDigits, .activation = "softmax"})},
                 "image_class")(image * (1.0 / 255));
  auto text_class =
      Sequential({layers::Dense({.units = 32, .activation = "relu"}),
                  layers::Dense({.units = departments.count(), .activation = "softmax"})},
                 "text_class")(text);
  Model model({image, text}, {image_class, text_class});
  model.compile({.optimizer = "adam",
                 .loss = {{"image_class", "sparse_categorical_crossentropy"},
                          {"text_class", "sparse_categorical_crossentropy"}},
                 .loss_weights = {0.5, 0.5},
                 .metrics = {"accuracy"}});
  std::printf("%s\n", model.summary().c_str());

  model.fit(training,
            {.batch_size = options.batch_size,
             .epochs = options.epochs,
             .verbose = 0,
             .callbacks = {EpochTable({"image_class", "text_class"}), callbacks::StopOnInterrupt()},
             .validation_split = 0.1});

  const Dataset shown = test.slice(0, std::min<std::int64_t>(4, test.rows()));
  const TensorDict answers = model.predict(shown.x());
  std::printf("\n");
  for (std::int64_t row = 0; row < shown.rows(); ++row) {
    std::printf("a page with digit %d and a review of %s: the model sees %d and %s\n",
                shown["image_class"].data<std::int32_t>()[row],
                departments.name(shown["text_class"].data<std::int32_t>()[row]),
                best_class(answers["image_class"], row),
                departments.name(best_class(answers["text_class"], row)));
  }
  print_results(model.evaluate(test), test);
}

}  // namespace

int main(int argc, char** argv) {
  return run_example(argc, argv,
                     {.purpose = "Answers two questions about a page with one model.",
                      .data = "the folder that holds mnist/ (four IDX files) and womens_reviews/ "
                              "(Womens_Clothing_E-Commerce_Reviews.csv)",
                      .defaults = {.epochs = 5}},
                     run);
}
