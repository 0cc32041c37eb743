// Clothing reviews: from title, text, the customer's age and how many found the review helpful,
// three answers at once: is the article recommended, with how many stars, and from which department
// is it?
#include <cmath>
#include <cstdio>
#include <set>

#include "made_reviews.hpp"
#include "majority.hpp"
#include "options.hpp"

using namespace braid;

namespace {

constexpr int kStars = 5;

// The reviews that have a text and a department, under short names.
Dataset read_reviews(const std::string& path) {
  const Dataset file =
      Dataset::csv(path, {.columns = {"Title", "Review Text", "Age", "Positive Feedback Count",
                                      "Recommended IND", "Rating", "Department Name"}});
  const auto& texts = file.text("Review Text");
  const auto& departments = file.text("Department Name");
  const Dataset rows = file.filter([&](std::int64_t row) {
    const auto i = static_cast<std::size_t>(row);
    return !texts[i].empty() && !departments[i].empty();
  });
  return Dataset()
      .with("title", rows.text("Title"))
      .with("text", rows.text("Review Text"))
      .with("age", rows["Age"])
      .with("feedback", rows["Positive Feedback Count"])
      .with("recommended", rows["Recommended IND"])
      .with("rating", rows["Rating"])
      .with("department", rows.text("Department Name"));
}

// Counts on a scale that a network likes.
Tensor logarithms(const Tensor& counts) {
  std::vector<float> scaled;
  for (std::int32_t count : counts.to_vector<std::int32_t>())
    scaled.push_back(std::log1p(static_cast<float>(count)) / 4);
  return Tensor::from(scaled, {counts.rows(), 1});
}

void run(const ExampleOptions& options) {
  Dataset data =
      options.data.empty() ? make_reviews(4000, options.seed) : read_reviews(options.data);
  if (options.limit > 0) data = data.slice(0, std::min<std::int64_t>(options.limit, data.rows()));
  const std::set<std::string> found(data.text("department").begin(), data.text("department").end());
  const std::vector<std::string> departments(found.begin(), found.end());
  data = data.map("age", logarithms).map("feedback", logarithms);
  data = data.map("rating", [](const Tensor& stars) {
    std::vector<std::int32_t> classes = stars.to_vector<std::int32_t>();
    for (std::int32_t& star : classes) --star;
    return Tensor::from(classes, {stars.rows()});
  });
  data = data.map("department", [&](const std::vector<std::string>& names) {
    std::vector<std::int32_t> classes;
    for (const auto& name : names)
      classes.push_back(static_cast<std::int32_t>(std::distance(found.begin(), found.find(name))));
    return Tensor::from(classes, {static_cast<Dim>(classes.size())});
  });
  data = data.targets({"recommended", "rating", "department"});
  auto [training, test] = data.split(0.2, options.seed);
  const auto shown = test.slice(0, 3).text("text");

  text::Vectorizer words({.max_tokens = 8000});
  words.adapt(training.text("text"));
  training = training.map("title", words).map("text", words);
  test = test.map("title", words).map("text", words);

  auto title = Input({.shape = {None}, .name = "title", .dtype = DType::int32});
  auto text = Input({.shape = {None}, .name = "text", .dtype = DType::int32});
  auto age = Input({.shape = {1}, .name = "age"});
  auto feedback = Input({.shape = {1}, .name = "feedback"});
  layers::Embedding embedding(
      {.input_dim = words.vocabulary_size(), .output_dim = 64, .mask_zero = true});
  auto steps =
      layers::LSTM({.units = 64, .return_sequences = true})(layers::Dropout(0.5)(embedding(text)));
  auto h = layers::concatenate({layers::LSTM({.units = 32})(layers::Dropout(0.5)(embedding(title))),
                                layers::GlobalAveragePooling1D()(steps), age, feedback});
  h = layers::Dropout(0.5)(layers::Dense({.units = 64, .activation = "relu"})(h));
  auto recommended = layers::Dense({.units = 1, .activation = "sigmoid", .name = "recommended"})(h);
  auto rating = layers::Dense({.units = kStars, .activation = "softmax", .name = "rating"})(h);
  auto department = layers::Dense(
      {.units = departments.size(), .activation = "softmax", .name = "department"})(h);
  Model model({title, text, age, feedback}, {recommended, rating, department});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-3}),
                 .loss = {{"recommended", "binary_crossentropy"},
                          {"rating", "sparse_categorical_crossentropy"},
                          {"department", "sparse_categorical_crossentropy"}},
                 .metrics = {"accuracy"}});
  std::printf("%s\n", model.summary().c_str());
  model.fit(training, {.batch_size = options.batch_size,
                       .epochs = options.epochs,
                       .callbacks = {callbacks::StopOnInterrupt()},
                       .validation_split = 0.1});

  const TensorDict answers = model.predict(test.slice(0, 3).x());
  for (std::size_t row = 0; row < shown.size(); ++row) {
    const float* stars = answers["rating"].data<float>() + row * kStars;
    const float* places = answers["department"].data<float>() + row * departments.size();
    std::printf("\"%.60s...\"\n  recommended with probability %.2f, %d stars, from %s\n",
                shown[row].c_str(), static_cast<double>(answers["recommended"].data<float>()[row]),
                1 + best_class(stars, kStars),
                departments[static_cast<std::size_t>(
                                best_class(places, static_cast<int>(departments.size())))]
                    .c_str());
  }
  const Logs logs = model.evaluate(test, {.batch_size = 256});
  std::string result = "RESULT";
  for (const std::string name : {"recommended", "rating", "department"}) {
    const double accuracy = logs[name + "_accuracy"];
    const double majority = majority_share(test[name]);
    std::printf("%-12s test accuracy %.1f %%, always the majority %.1f %%\n", name.c_str(),
                100 * accuracy, 100 * majority);
    char text_of[96];
    std::snprintf(text_of, sizeof text_of, " %s_accuracy=%.4f %s_majority=%.4f", name.c_str(),
                  accuracy, name.c_str(), majority);
    result += text_of;
  }
  std::printf("%s\n", result.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  return run_example(
      argc, argv,
      "Reads clothing reviews: are they recommending, with how many stars, of which department?",
      {.epochs = 4, .batch_size = 64}, run);
}
