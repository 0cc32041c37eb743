// Named columns, and texts that become ids.
#include <cmath>
#include <numeric>

#include <braid/dataset.hpp>
#include <braid/layers.hpp>
#include <braid/model.hpp>
#include <braid/random.hpp>
#include <braid/vectorizer.hpp>

#include "tests/support/scratch_folder.hpp"

namespace {

using namespace braid;
using braid::testing::ScratchFolder;
using Strings = std::vector<std::string>;
using Ints = std::vector<std::int32_t>;

Dataset sample() {
  return Dataset::from({{"age", Tensor::from({30, 40, 50, 60}, {4})},
                        {"words", Tensor::ragged(Ints{1, 2, 3, 4, 5, 6}, {0, 1, 3, 3, 6})}},
                       {{"label", Tensor::from({0.0F, 1.0F, 1.0F, 0.0F}, {4, 1})}})
      .with("title", Strings{"a", "b", "c", "d"});
}

}  // namespace

TEST_CASE("a CSV file becomes columns of the types that their fields have") {
  const ScratchFolder folder;
  const std::string path = folder.file(
      "a.csv", "id,price,name,mixed,count\n1,2.5,ann,3,7\n2,,bob,x, 8 \n-3,1e2,\"c, d\",5,+9\n");
  const Dataset data = Dataset::csv(path);
  CHECK(data.rows() == 3);
  CHECK(data.names() == Strings{"id", "price", "name", "mixed", "count"});
  CHECK(data["id"].to_vector<std::int32_t>() == Ints{1, 2, -3});
  const auto prices = data["price"].to_vector<float>();
  CHECK((prices[0] == 2.5F && std::isnan(prices[1]) && prices[2] == 100.0F));
  CHECK(data.text("name") == Strings{"ann", "bob", "c, d"});
  CHECK(data.is_text("mixed"));
  CHECK(data["count"].to_vector<std::int32_t>() == Ints{7, 8, 9});
  const Dataset typed =
      Dataset::csv(path, {.columns = {"count", "id"}, .types = {{"id", ColumnType::float32}}});
  CHECK(typed.names() == Strings{"count", "id"});
  CHECK(typed["id"].to_vector<float>() == std::vector<float>{1, 2, -3});
  CHECK_THROWS_WITH(Dataset::csv(path, {.types = {{"mixed", ColumnType::int32}}}),
                    ContainsSubstring("line 3, column \"mixed\": \"x\" is no int32"));
  CHECK_THROWS_AS(Dataset::csv(path, {.types = {{"nmae", ColumnType::text}}}), NameError);
}

TEST_CASE("a field that is not of its column's type is told with the line of the file") {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& text, ColumnType type, const std::string& message) {
    const std::string path = folder.file("a.csv", text);
    const CsvDatasetOptions options{.columns = {"n"}, .types = {{"n", type}}};
    CHECK_THROWS_AS(Dataset::csv(path, options), RangeError);
    CHECK_THROWS_WITH(Dataset::csv(path, options), "\"" + path + "\": " + message);
  };
  refused("n,t\nx,a\n", ColumnType::int32, "line 2, column \"n\": \"x\" is no int32");
  // Line breaks within quotes and blank lines count, in the header too.
  refused("n,\"t\nt\"\n1,\"a\nb\r\nc\"\n\n2,a\nx,\"d\ne\"\n", ColumnType::float32,
          "line 8, column \"n\": \"x\" is no number");
}

TEST_CASE("columns are inputs or targets, tensors or text") {
  const Dataset data = sample();
  CHECK(data.x().names() == Strings{"age", "words"});
  CHECK(data.y().names() == Strings{"label"});
  CHECK(data.targets({"age"}).y().names() == Strings{"age"});
  CHECK(data.without({"title", "words"}).names() == Strings{"age", "label"});
  CHECK_THROWS_WITH(data["titel"], ContainsSubstring("Did you mean \"title\"?"));
  CHECK_THROWS_AS(data["title"], DTypeError);
  CHECK_THROWS_AS(data.text("age"), DTypeError);
  CHECK_THROWS_WITH(data.with("new", Strings{"x"}),
                    ContainsSubstring("has 1 rows, the dataset has 4"));
  CHECK_THROWS_AS(data.targets({"lable"}), NameError);
}

TEST_CASE("map makes a column anew in its place") {
  const Dataset data = sample();
  const Dataset mapped = data.map("title", [](const Strings& titles) {
    return Tensor::from(std::vector<float>(titles.size(), 0.5F), {static_cast<Dim>(titles.size())});
  });
  CHECK(mapped.names() == data.names());
  CHECK(mapped["title"].to_vector<float>() == std::vector<float>(4, 0.5F));
  const Dataset older = data.map("age", [](const Tensor& age) {
    return Tensor::from(Ints(4, age.data<std::int32_t>()[0]), {4});
  });
  CHECK(older["age"].to_vector<std::int32_t>() == Ints(4, 30));
  CHECK_THROWS_AS(data.map("age", [](const Tensor&) { return Tensor::zeros({3}); }), ShapeError);
}

TEST_CASE("rows are cut, gathered, filtered and split with all their columns") {
  const Dataset data = sample();
  const Dataset middle = data.slice(1, 3);
  CHECK(middle.rows() == 2);
  CHECK(middle["words"].row_splits().back() - middle["words"].row_splits().front() == 2);
  CHECK(middle.text("title") == Strings{"b", "c"});
  const Dataset odd = data.filter([&](std::int64_t row) { return row % 2 == 1; });
  CHECK(odd["age"].to_vector<std::int32_t>() == Ints{40, 60});
  CHECK(odd["words"].values().to_vector<std::int32_t>() == Ints{2, 3, 4, 5, 6});
  CHECK_THROWS_AS(data.slice(2, 5), RangeError);
  CHECK_THROWS_AS(data.gather(std::vector<std::int64_t>{4}), RangeError);

  std::vector<std::int32_t> numbers(1000);
  std::iota(numbers.begin(), numbers.end(), 0);
  const Dataset many = Dataset::from({{"n", Tensor::from(numbers, {1000})}});
  const auto [kept, held_out] = many.split(0.2, 7);
  CHECK(held_out.rows() == 200);
  CHECK(kept.rows() == 800);
  auto all = kept["n"].to_vector<std::int32_t>();
  const auto drawn = held_out["n"].to_vector<std::int32_t>();
  CHECK(std::is_sorted(all.begin(), all.end()));
  all.insert(all.end(), drawn.begin(), drawn.end());
  std::sort(all.begin(), all.end());
  CHECK(all == numbers);
  CHECK(many.split(0.2, 7).second["n"].to_vector<std::int32_t>() == drawn);
  CHECK(many.split(0.2, 8).second["n"].to_vector<std::int32_t>() != drawn);
  CHECK(many.split(0, 1).second.rows() == 0);
  CHECK_THROWS_AS(many.split(1.5, 1), RangeError);
}

TEST_CASE("shuffled keeps every row whole and repeats with the seed") {
  const Dataset data = sample();
  const Dataset mixed = data.shuffled(3);
  CHECK(mixed.y().names() == Strings{"label"});
  std::vector<std::pair<std::string, std::int32_t>> rows;
  for (std::size_t row = 0; row < 4; ++row)
    rows.emplace_back(mixed.text("title")[row], mixed["age"].to_vector<std::int32_t>()[row]);
  auto sorted = rows;
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == decltype(rows){{"a", 30}, {"b", 40}, {"c", 50}, {"d", 60}});
  CHECK(data.shuffled(3).text("title") == mixed.text("title"));
  bool differs = false;
  for (std::uint64_t seed = 0; seed < 9; ++seed)
    differs = differs || data.shuffled(seed).text("title") != data.text("title");
  CHECK(differs);
}

TEST_CASE("fit and evaluate on a dataset equal fit and evaluate on its dicts") {
  const auto train = [](bool as_dataset) {
    set_random_seed(3);
    const auto x = Input({.shape = {2}, .name = "x"});
    Model model(x, layers::Dense({.units = 1, .name = "y"})(x));
    model.compile({.optimizer = "sgd", .loss = "mse"});
    const Dataset data =
        Dataset::from({{"x", Tensor::from({1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F}, {3, 2})}},
                      {{"y", Tensor::from({1.0F, 0.0F, 1.0F}, {3, 1})}});
    const FitOptions options{.batch_size = 2, .epochs = 3, .verbose = 0, .seed = 5};
    if (as_dataset) {
      model.fit(data, options);
      return model.evaluate(data)["loss"];
    }
    model.fit(data.x(), data.y(), options);
    return model.evaluate(data.x(), data.y())["loss"];
  };
  CHECK(train(true) == train(false));
}

TEST_CASE("a vectorizer ranks words by count, equal counts in reverse order") {
  text::Vectorizer vectorizer;
  vectorizer.adapt({"The cat, the DOG!", "a cat's dog\tthe end"});
  CHECK(vectorizer.vocabulary() == Strings{"", "[UNK]", "the", "dog", "end", "cats", "cat", "a"});
  const Tensor ids = vectorizer({"the cat", "", "unknown dog.dog", "..."});
  CHECK(ids.values().to_vector<std::int32_t>() == Ints{2, 6, 1, 1});
  CHECK(std::vector<std::int64_t>(ids.row_splits().begin(), ids.row_splits().end()) ==
        std::vector<std::int64_t>{0, 2, 2, 4, 4});
}

TEST_CASE("a vectorizer keeps to its limits and options") {
  text::Vectorizer limited({.max_tokens = 4, .sequence_length = 2});
  limited.adapt({"a a a b b c"});
  CHECK(limited.vocabulary() == Strings{"", "[UNK]", "a", "b"});
  CHECK(limited.vocabulary_size() == 4);
  CHECK(limited({"c b a"}).values().to_vector<std::int32_t>() == Ints{1, 3});
  text::Vectorizer plain({.lower = false, .strip_punctuation = false});
  plain.adapt({"A a, a,"});
  CHECK(plain.vocabulary() == Strings{"", "[UNK]", "a,", "A"});
  text::Vectorizer other;
  CHECK_THROWS_AS(other({"x"}), NameError);
  other.set_vocabulary(limited.vocabulary());
  CHECK(other({"b"}).values().to_vector<std::int32_t>() == Ints{3});
  CHECK_THROWS_AS(other.set_vocabulary({"", "[UNK]", "a", "a"}), NameError);
  CHECK_THROWS_AS(other.set_vocabulary({"a"}), NameError);
  CHECK_THROWS_AS(text::Vectorizer({.max_tokens = 1}), RangeError);
}
