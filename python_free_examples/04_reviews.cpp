// Clothing reviews: from title, text, the customer's age and how many found the review helpful,
// three answers at once: is the article recommended, with how many stars, and from which department
// is it?
#include <cmath>

#include "classes.hpp"
#include "epoch_table.hpp"
#include "options.hpp"
#include "report.hpp"
#include "reviews.hpp"

using namespace braid;

namespace {

constexpr int kStars = 5;

// Ages and counts on a scale that a network likes.
Tensor logarithms(const Tensor& counts) {
  std::vector<float> scaled;
  for (std::int32_t count : counts.to_vector<std::int32_t>())
    scaled.push_back(std::log1p(static_cast<float>(count)) / 4);
  return Tensor::from(scaled, {counts.rows(), 1});
}

// 1 to 5 stars as classes 0 to 4.
Tensor star_classes(const Tensor& stars) {
  std::vector<std::int32_t> classes = stars.to_vector<std::int32_t>();
  for (std::int32_t& star : classes) --star;
  return Tensor::from(classes, {stars.rows()});
}

// The learning rate: smaller steps in each epoch.
double slower(int epoch, double rate) { return epoch == 0 ? rate : 0.8 * rate; }

void run(const ExampleOptions& options) {
  Dataset reviews =
      options.data.empty() ? make_reviews(5000, options.seed) : read_reviews(options.data);
  const Classes departments(reviews.text("department"));
  reviews = reviews.map("age", logarithms)
                .map("feedback", logarithms)
                .map("rating", star_classes)
                .map("department", departments)
                .targets({"recommended", "rating", "department"});
  // A random fifth is held out for the test, a tenth of the rest tells when to stop.
  const auto [rest, test_rows] = reviews.split(0.2, options.seed);
  const auto [training_rows, validation_rows] = options.limited(rest).split(0.1, options.seed);

  text::Vectorizer words({.max_tokens = 10000});
  words.adapt(training_rows.text("text"));
  const Dataset training = training_rows.map("title", words).map("text", words);
  const Dataset validation = validation_rows.map("title", words).map("text", words);
  const Dataset test = test_rows.map("title", words).map("text", words);

  auto title = Input({.shape = {None}, .name = "title", .dtype = DType::int32});
  auto text = Input({.shape = {None}, .name = "text", .dtype = DType::int32});
  auto age = Input({.shape = {1}, .name = "age"});
  auto feedback = Input({.shape = {1}, .name = "feedback"});
  // One embedding for the words of title and text. The LSTM reads the text word by word; its states
  // count themselves, and decide how much of each word counts.
  layers::Embedding embedding({.input_dim = words.vocabulary_size(),
                               .output_dim = 100,
                               .embeddings_initializer = initializers::RandomUniform(-0.3, 0.3),
                               .mask_zero = true});
  const auto mean = layers::GlobalAveragePooling1D({.name = "mean"});
  auto steps = layers::Dropout(0.5)(embedding(text));
  auto states = layers::LSTM({.units = 64, .return_sequences = true})(steps);
  auto gates = layers::Dense({.units = 100, .activation = "sigmoid"})(states);
  auto h = layers::concatenate({layers::LSTM({.units = 32})(layers::Dropout(0.5)(embedding(title))),
                                mean(steps), mean(states), mean(layers::multiply({steps, gates})),
                                age, feedback});
  h = layers::Dense({.units = 64, .activation = "relu"})(layers::Dropout(0.3)(h));
  h = layers::Dropout(0.3)(h);
  auto recommended = layers::Dense({.units = 1, .activation = "sigmoid", .name = "recommended"})(h);
  auto rating = layers::Dense({.units = kStars, .activation = "softmax", .name = "rating"})(h);
  auto department = layers::Dense(
      {.units = departments.count(), .activation = "softmax", .name = "department"})(h);
  Model model({title, text, age, feedback}, {recommended, rating, department});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 4e-3}),
                 .loss = {{"recommended", "binary_crossentropy"},
                          {"rating", "sparse_categorical_crossentropy"},
                          {"department", "sparse_categorical_crossentropy"}},
                 .metrics = {"accuracy"}});
  std::printf("%s\n", model.summary().c_str());

  model.fit(training,
            {.batch_size = options.batch_size,
             .epochs = options.epochs,
             .verbose = 0,
             .callbacks = {EpochTable(model.output_names()), callbacks::StopOnInterrupt(),
                           callbacks::LearningRateScheduler(slower),
                           callbacks::EarlyStopping({.patience = 2, .restore_best_weights = true})},
             .validation_data = {validation.x(), validation.y()}});

  const auto shown = static_cast<std::size_t>(std::min<std::int64_t>(4, test.rows()));
  const TensorDict answers = model.predict(test.slice(0, static_cast<std::int64_t>(shown)).x());
  for (std::size_t row = 0; row < shown; ++row) {
    const auto r = static_cast<std::int64_t>(row);
    std::printf(
        "\n\"%.70s...\"\n  %s (probability %.2f), %d stars, from %s\n",
        test_rows.text("text")[row].c_str(),
        answers["recommended"].data<float>()[row] > 0.5F ? "recommended" : "not recommended",
        static_cast<double>(answers["recommended"].data<float>()[row]),
        1 + best_class(answers["rating"], r),
        departments.name(best_class(answers["department"], r)));
  }
  print_results(model.evaluate(test, {.batch_size = 256}), test);
}

}  // namespace

int main(int argc, char** argv) {
  return run_example(
      argc, argv,
      {.purpose = "Answers three questions about clothing reviews with one model.",
       .data = "Womens_Clothing_E-Commerce_Reviews.csv, gzipped or not, or its folder",
       .defaults = {.epochs = 8, .batch_size = 64}},
      run);
}
