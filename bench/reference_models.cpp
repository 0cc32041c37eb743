#include "bench/reference_models.hpp"

#include <set>
#include <utility>

#include "bench/reference_data.hpp"
#include "bench/reference_work.hpp"

using namespace braid;

namespace bench {
namespace {

struct Counts {
  std::int64_t numbers;    // rows of model 1
  std::int64_t sequences;  // of model 2
  std::int64_t images;     // of model 3
  std::int64_t wide;       // of model 4
  std::int64_t ids;        // of model 5
  std::int64_t features;   // of model 6
};
Counts rows_of{4096, 256, 4096, 64, 8, 1024};
// Of the models that are one large layer: as large as a GPU wants, or small, to be tried.
std::int64_t wide_units = 64;
std::int64_t large_vocabulary = 500;
Precision chosen_precision = Precision::float32;
int chosen_steps = 1;
constexpr std::int64_t kSingleRows = 8;
constexpr std::int64_t kLongest = 200;
constexpr std::int64_t kVocabulary = 10000;
constexpr std::int64_t kEmbedding = 128;
constexpr std::int64_t kUnits = 64;
constexpr std::uint64_t kSeed = 11;

TensorDict sliced(const TensorDict& tensors, std::int64_t begin, std::int64_t end) {
  TensorDict rows;
  for (const auto& [name, tensor] : tensors) rows.set(name, tensor.slice(begin, end));
  return rows;
}

// A model of Dense layers alone.
class OfDenseLayers : public ReferenceModel {
 public:
  explicit OfDenseLayers(std::vector<DenseSize> layers) : layers_(std::move(layers)) {}

  Work training_work(const Rows& batch) const final {
    Work work = dense_training(layers_, (*batch.x.begin()).second.rows());
    work.bytes += bytes_of(batch.x) + bytes_of(batch.y);
    return work;
  }
  Work prediction_work(const Rows& row) const final {
    Work work = dense_prediction(layers_, 1);
    work.bytes += bytes_of(row.x);
    return work;
  }

 private:
  std::vector<DenseSize> layers_;
};

class TwoInputs final : public OfDenseLayers {
 public:
  TwoInputs() : OfDenseLayers({{100, 64, false}, {5, 32, false}, {96, 1, true}}) {
    Random random(kSeed, 1);
    const Tensor text = random_floats(random, {rows_of.numbers, 100});
    training_.x = {{"text", text}, {"numeric", random_floats(random, {rows_of.numbers, 5})}};
    training_.y = {{"label", labels_of(random, text)}};
    single_ = training_.slice(0, kSingleRows);
  }

 private:
  Model build() const override {
    auto text = Input({.shape = {100}, .name = "text"});
    auto numeric = Input({.shape = {5}, .name = "numeric"});
    auto merged =
        layers::concatenate({layers::Dense({.units = 64, .activation = "relu"})(text),
                             layers::Dense({.units = 32, .activation = "relu"})(numeric)});
    auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(merged);
    Model model({text, numeric}, {label});
    model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-3}),
                   .loss = "binary_crossentropy",
                   .metrics = {"accuracy"},
                   .steps_per_execution = chosen_steps,
                   .precision = chosen_precision});
    return model;
  }
};

class SequenceAndFeatures final : public ReferenceModel {
 public:
  explicit SequenceAndFeatures(bool ragged) {
    Random random(kSeed, 2);
    std::vector<std::int32_t> ids;
    std::vector<std::int64_t> splits{0};
    for (std::int64_t row = 0; row < rows_of.sequences; ++row) {
      const auto length = ragged ? static_cast<std::int64_t>(random.below(kLongest)) + 1 : kLongest;
      for (std::int64_t step = 0; step < length; ++step) ids.push_back(any_id(random));
      splits.push_back(static_cast<std::int64_t>(ids.size()));
    }
    const Tensor features = random_floats(random, {rows_of.sequences, 10});
    training_.x = {{"sequence", Tensor::ragged(ids, splits)}, {"features", features}};
    training_.y = {{"label", labels_of(random, features)}};

    std::vector<std::int32_t> long_ids;
    for (std::int64_t i = 0; i < kSingleRows * kLongest; ++i) long_ids.push_back(any_id(random));
    single_.x = {{"sequence", Tensor::from(long_ids, {kSingleRows, kLongest})},
                 {"features", features.slice(0, kSingleRows)}};
    single_.y = sliced(training_.y, 0, kSingleRows);
  }

  TensorDict arrays() const override {
    const std::span<const std::int64_t> splits = training_.x["sequence"].row_splits();
    TensorDict all{{"x/sequence/values", training_.x["sequence"].values()},
                   {"x/sequence/splits", Tensor::from(splits, {static_cast<Dim>(splits.size())})},
                   {"x/features", training_.x["features"]},
                   {"y/label", training_.y["label"]}};
    for (const auto& [name, tensor] : single_.x) all.set("single/" + name, tensor);
    return all;
  }

  // Projections of one id serve all of its places: the recurrence is what each step must do.
  Work training_work(const Rows& batch) const override {
    const Tensor ids = batch.x["sequence"].values();
    const std::set<std::int32_t> distinct(ids.data<std::int32_t>(),
                                          ids.data<std::int32_t>() + ids.elements());
    Work work = dense_training(kLayers, batch.x["features"].rows());
    const auto words = static_cast<double>(distinct.size());
    work.operations +=
        6.0 * 4 * kUnits * (words * kEmbedding + static_cast<double>(ids.elements()) * kUnits);
    // Rows of the table that no id names need not move before an id does.
    work.bytes += kUpdateBytes * (words * kEmbedding + 4 * kUnits * (kEmbedding + kUnits + 1)) +
                  bytes_of(batch.x) + bytes_of(batch.y);
    return work;
  }
  // The projected table can be kept while no weight changes.
  Work prediction_work(const Rows& row) const override {
    Work work = dense_prediction(kLayers, 1);
    work.operations += 2.0 * kLongest * 4 * kUnits * kUnits;
    work.bytes += kFloatBytes * 4 * kUnits * (kUnits + kLongest) + bytes_of(row.x);
    return work;
  }

 private:
  Model build() const override {
    auto sequence = Input({.shape = {None}, .name = "sequence", .dtype = DType::int32});
    auto features = Input({.shape = {10}, .name = "features"});
    auto h = layers::Embedding(
        {.input_dim = kVocabulary, .output_dim = kEmbedding, .mask_zero = true})(sequence);
    h = layers::LSTM({.units = kUnits})(h);
    auto f = layers::Dense({.units = 32, .activation = "relu"})(features);
    auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(
        layers::concatenate({h, f}));
    Model model({sequence, features}, {label});
    model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-3}),
                   .loss = "binary_crossentropy",
                   .metrics = {"accuracy"},
                   .steps_per_execution = chosen_steps,
                   .precision = chosen_precision});
    return model;
  }

  static std::int32_t any_id(Random& random) {
    return static_cast<std::int32_t>(random.below(kVocabulary - 1)) + 1;
  }
  inline static const std::vector<DenseSize> kLayers{{10, 32, false}, {96, 1, true}};
};

class TwoOutputs final : public OfDenseLayers {
 public:
  explicit TwoOutputs(bool of_bytes)
      : OfDenseLayers({{784, 64, false}, {64, 10, true}, {100, 32, false}, {32, 10, true}}) {
    Random random(kSeed, 3);
    const Shape shape{rows_of.images, 28, 28, 1};
    const Tensor image = of_bytes ? random_bytes(random, shape) : random_floats(random, shape);
    const Tensor text = random_floats(random, {rows_of.images, 100});
    training_.x = {{"image", image}, {"text", text}};
    training_.y = {{"image_class", of_bytes ? classes_of<std::uint8_t>(random, image)
                                            : classes_of<float>(random, image)},
                   {"text_class", classes_of<float>(random, text)}};
    single_ = training_.slice(0, kSingleRows);
  }

 private:
  Model build() const override {
    auto image = Input({.shape = {28, 28, 1}, .name = "image"});
    auto text = Input({.shape = {100}, .name = "text"});
    auto image_class =
        Sequential({layers::Flatten(), layers::Dense({.units = 64, .activation = "relu"}),
                    layers::Dense({.units = 10, .activation = "softmax"})},
                   "image_class")(image);
    auto text_class = Sequential({layers::Dense({.units = 32, .activation = "relu"}),
                                  layers::Dense({.units = 10, .activation = "softmax"})},
                                 "text_class")(text);
    Model model({image, text}, {image_class, text_class});
    model.compile({.optimizer = "adam",
                   .loss = {"categorical_crossentropy", "categorical_crossentropy"},
                   .loss_weights = {0.5, 0.5},
                   .metrics = {"accuracy"},
                   .steps_per_execution = chosen_steps,
                   .precision = chosen_precision});
    return model;
  }
};

// As many Dense layers of 4096 x 4096 as wanted, each a product that fills a GPU.
class WideLayers final : public OfDenseLayers {
 public:
  explicit WideLayers(bool two)
      : OfDenseLayers(two ? std::vector<DenseSize>{{wide_units, wide_units, false},
                                                   {wide_units, wide_units, true}}
                          : std::vector<DenseSize>{{wide_units, wide_units, false}}),
        two_(two) {
    Random random(kSeed, 4);
    training_.x = {{"features", repeated_floats(random, {rows_of.wide, wide_units})}};
    training_.y = {{"target", repeated_floats(random, {rows_of.wide, wide_units})}};
    single_ = training_.slice(0, kSingleRows);
  }

 private:
  Model build() const override {
    auto features = Input({.shape = {wide_units}, .name = "features"});
    SymbolicTensor h = features;
    if (two_) h = layers::Dense({.units = wide_units, .name = "hidden"})(h);
    auto target = layers::Dense({.units = wide_units, .name = "target"})(h);
    Model model({features}, {target});
    model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-3}),
                   .loss = "mean_squared_error",
                   .steps_per_execution = chosen_steps,
                   .precision = chosen_precision});
    return model;
  }

  bool two_;
};

// Dense layers whose kernels do not stay in a core's caches.
class ManyFeatures final : public OfDenseLayers {
 public:
  ManyFeatures()
      : OfDenseLayers(
            {{kFeatures, kFeatures, false}, {kFeatures, kFeatures, true}, {kFeatures, 1, true}}) {
    Random random(kSeed, 6);
    const Tensor features = random_floats(random, {rows_of.features, kFeatures});
    training_.x = {{"features", features}};
    training_.y = {{"label", labels_of(random, features)}};
    single_ = training_.slice(0, kSingleRows);
  }

 private:
  static constexpr std::int64_t kFeatures = 1024;

  Model build() const override {
    auto features = Input({.shape = {kFeatures}, .name = "features"});
    auto h = layers::Dense({.units = kFeatures, .activation = "relu"})(features);
    h = layers::Dense({.units = kFeatures, .activation = "relu"})(h);
    auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(h);
    Model model({features}, {label});
    model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-3}),
                   .loss = "binary_crossentropy",
                   .metrics = {"accuracy"},
                   .steps_per_execution = chosen_steps,
                   .precision = chosen_precision});
    return model;
  }
};

// The mean of the vectors of 200 ids: a table of a million rows, and hardly anything else.
class LargeTable final : public ReferenceModel {
 public:
  LargeTable() {
    Random random(kSeed, 5);
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i < rows_of.ids * kLongest; ++i) {
      const auto vocabulary = static_cast<std::uint64_t>(large_vocabulary);
      ids.push_back(static_cast<std::int32_t>(random.below(vocabulary)));
    }
    training_.x = {{"sequence", Tensor::from(ids, {rows_of.ids, kLongest})}};
    training_.y = {{"target", random_floats(random, {rows_of.ids, kEmbedding})}};
    single_ = training_.slice(0, kSingleRows);
  }

  // As in model 2.
  Work training_work(const Rows& batch) const override {
    const Tensor& ids = batch.x["sequence"];
    const std::set<std::int32_t> distinct(ids.data<std::int32_t>(),
                                          ids.data<std::int32_t>() + ids.elements());
    return {.operations = 2.0 * static_cast<double>(ids.elements() * kEmbedding),
            .bytes = kUpdateBytes * static_cast<double>(distinct.size()) * kEmbedding +
                     bytes_of(batch.x) + bytes_of(batch.y)};
  }
  Work prediction_work(const Rows& row) const override {
    return {.operations = static_cast<double>(kLongest * kEmbedding),
            .bytes = kFloatBytes * kLongest * kEmbedding + bytes_of(row.x)};
  }

 private:
  Model build() const override {
    auto sequence = Input({.shape = {kLongest}, .name = "sequence", .dtype = DType::int32});
    auto h = layers::Embedding({.input_dim = large_vocabulary, .output_dim = kEmbedding})(sequence);
    auto target = layers::GlobalAveragePooling1D({.name = "target"})(h);
    Model model({sequence}, {target});
    model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-3}),
                   .loss = "mean_squared_error",
                   .steps_per_execution = chosen_steps,
                   .precision = chosen_precision});
    return model;
  }
};

}  // namespace

Rows Rows::slice(std::int64_t begin, std::int64_t end) const {
  return {sliced(x, begin, end), sliced(y, begin, end)};
}

void ReferenceModel::set_precision(Precision precision) { chosen_precision = precision; }
Precision ReferenceModel::precision() { return chosen_precision; }

void ReferenceModel::set_steps_per_execution(int steps) { chosen_steps = steps; }

void ReferenceModel::make_large_data() {
  rows_of = {4 * 65536, 65536, 65536, 8192, 1024, 65536};
  wide_units = 4096;
  large_vocabulary = 1000000;
}

const ReferenceModel& ReferenceModel::named(const std::string& name) {
  if (name == "m1") {
    static const TwoInputs model;
    return model;
  }
  if (name == "m2") {
    static const SequenceAndFeatures model(true);
    return model;
  }
  if (name == "m2f") {
    static const SequenceAndFeatures model(false);
    return model;
  }
  if (name == "m3") {
    static const TwoOutputs model(false);
    return model;
  }
  if (name == "m3u") {
    static const TwoOutputs model(true);
    return model;
  }
  if (name == "m4") {
    static const WideLayers model(false);
    return model;
  }
  if (name == "m4d") {
    static const WideLayers model(true);
    return model;
  }
  if (name == "m5") {
    static const LargeTable model;
    return model;
  }
  if (name == "m6") {
    static const ManyFeatures model;
    return model;
  }
  throw NameError("there is no reference model \"" + name +
                  "\"; there are m1, m2, m2f, m3, m3u, m4, m4d, m5 and m6");
}

Model ReferenceModel::make() const {
  set_random_seed(kSeed);
  return build();
}

TensorDict ReferenceModel::arrays() const {
  TensorDict all;
  for (const auto& [name, tensor] : training_.x) all.set("x/" + name, tensor);
  for (const auto& [name, tensor] : training_.y) all.set("y/" + name, tensor);
  for (const auto& [name, tensor] : single_.x) all.set("single/" + name, tensor);
  return all;
}

}  // namespace bench
