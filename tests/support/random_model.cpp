#include "tests/support/random_model.hpp"

#include "tests/support/random_rows.hpp"

namespace braid::testing {
namespace {

struct Piece {
  SymbolicTensor tensor;
  std::int64_t width;  // of the last axis
  bool used = false;   // by another layer
};

// Draws a model from its inputs to its outputs. Every piece ends in an output.
class Drawing {
 public:
  explicit Drawing(std::uint64_t seed) : draw_(seed), data_(draw_), wide_(draw_.chance(0.4)) {}

  Sample sample() {
    for (std::int64_t i = draw_.between(1, 4); i > 0; --i) add_input();
    for (std::int64_t i = draw_.between(2, 10); i > 0; --i) {
      if (!sequences_.empty() && (features_.empty() || draw_.chance(0.5))) {
        add_to_sequences();
      } else {
        add_to_features();
      }
    }
    add_outputs();
    Model model(inputs_, outputs_);
    model.compile({.optimizer = optimizer(),
                   .loss = losses_,
                   .loss_weights = weights_,
                   .metrics = metrics_,
                   .steps_per_execution = draw_.between(1, 3)});
    return {model, x_, y_};
  }

 private:
  std::int64_t units() {
    return wide_ ? draw_.of<std::int64_t>({1, 8, 31, 32, 33, 64, 65, 130})
                 : draw_.of<std::int64_t>({1, 2, 3, 4, 5, 8, 12});
  }
  const char* activation() {
    return draw_.of({"linear", "relu", "relu", "tanh", "sigmoid", "elu", "selu", "softplus",
                     "softsign", "gelu", "silu", "softmax", "leaky_relu", "mish"});
  }
  Regularizer regularizer() {
    if (draw_.chance(0.9)) return {};
    return draw_.chance(0.5) ? regularizers::L2(0.01) : regularizers::L1(0.003);
  }
  // Clipped, most of them, as a training that diverges shows nothing.
  Optimizer optimizer() {
    switch (draw_.between(0, 4)) {
      case 0: return optimizers::SGD({.learning_rate = 0.05, .clipvalue = 0.1});
      case 1:
        return optimizers::SGD(
            {.learning_rate = 0.02, .momentum = 0.9, .nesterov = true, .clipnorm = 0.2});
      case 2: return optimizers::SGD({.learning_rate = 0.1, .global_clipnorm = 0.5});
      // Steps of Adam are as large for a gradient that is but a rounding: not with these epsilons.
      case 3: return optimizers::Adam({.learning_rate = 0.01, .epsilon = 0.01});
      default:
        return optimizers::AdamW(
            {.learning_rate = 0.01, .epsilon = 0.01, .weight_decay = 0.02, .clipnorm = 0.4});
    }
  }

  Piece& take(std::vector<Piece>& pieces) {
    Piece& piece = draw_.of(pieces);
    piece.used = true;
    return piece;
  }
  // Another piece as wide as this one, which is made if there is none.
  SymbolicTensor partner(std::vector<Piece>& pieces, const Piece& piece) {
    std::vector<Piece*> fitting;
    for (Piece& other : pieces) {
      if (other.width == piece.width && other.tensor != piece.tensor) fitting.push_back(&other);
    }
    if (fitting.empty())
      return layers::Dense({.units = piece.width, .activation = "tanh"})(take(pieces).tensor);
    Piece& chosen = *draw_.of(fitting);
    chosen.used = true;
    return chosen.tensor;
  }

  // ---- inputs

  SymbolicTensor input(Shape shape, DType dtype, Tensor rows) {
    const std::string name = draw_.of({"z", "m", "a"}) + std::to_string(x_.size());
    SymbolicTensor tensor = Input({.shape = std::move(shape), .name = name, .dtype = dtype});
    inputs_.push_back(tensor);
    x_.set(name, std::move(rows));
    return tensor;
  }

  void add_input() {
    const std::int64_t width = units();
    const Dim steps = data_.known_steps() ? data_.steps() : None;
    if (draw_.chance(0.4)) {
      features_.push_back(
          {input({width}, DType::float32, data_.numbers({data_.rows(), width}, 0)), width});
    } else if (!data_.ragged() && draw_.chance(0.3)) {
      const SymbolicTensor vectors = input(
          {steps, width}, DType::float32, data_.numbers({data_.rows(), data_.steps(), width}, 0.3));
      sequences_.push_back({draw_.chance(0.7) ? layers::Masking()(vectors) : vectors, width});
    } else if (!data_.ragged() || sequences_.empty()) {
      const std::int64_t vocabulary = draw_.of<std::int64_t>({2, 5, 30, 300});
      layers::Embedding table({.input_dim = vocabulary,
                               .output_dim = width,
                               .embeddings_initializer = initializers::RandomUniform(-0.5, 0.5),
                               .mask_zero = draw_.chance(0.7)});
      if (draw_.chance(0.1)) table.set_trainable(false);
      for (std::int64_t i = data_.ragged() || draw_.chance(0.8) ? 1 : 2; i > 0; --i)
        sequences_.push_back({table(input({steps}, DType::int32, data_.ids(vocabulary))), width});
    }
    if (features_.empty() && sequences_.empty()) add_input();
  }

  // ---- layers

  SymbolicTensor merged(const std::vector<SymbolicTensor>& both) {
    switch (draw_.between(0, 6)) {
      case 0: return layers::add(both);
      case 1: return layers::subtract(both);
      case 2: return layers::multiply(both);
      case 3: return layers::average(both);
      case 4: return layers::maximum(both);
      case 5: return layers::minimum(both);
      // An operator drops masks, and with them where ragged rows end.
      default: return data_.ragged() ? layers::multiply(both) : both[0] * both[1];
    }
  }
  layers::DenseOptions dense(std::int64_t width) {
    return {.units = width,
            .activation = activation(),
            .use_bias = draw_.chance(0.85),
            .kernel_regularizer = regularizer(),
            .bias_regularizer = {},
            .activity_regularizer = regularizer()};
  }
  layers::LSTMOptions lstm(std::int64_t width, bool return_sequences) {
    const bool plain = draw_.chance(0.85);
    return {.units = width,
            .activation = plain ? "tanh" : draw_.of({"softsign", "tanh", "relu"}),
            .recurrent_activation = plain ? "sigmoid" : "hard_sigmoid",
            .use_bias = draw_.chance(0.9),
            .recurrent_regularizer = regularizer(),
            .return_sequences = return_sequences,
            .go_backwards = draw_.chance(0.2) && !(data_.ragged() && return_sequences)};
  }

  // What may follow a piece: [rows, width], or [rows, steps, width].
  using Step = void (Drawing::*)(const Piece&);

  void add_to_features() {
    static constexpr Step kSteps[] = {
        &Drawing::dense_of_features, &Drawing::dense_of_features, &Drawing::dense_of_features,
        &Drawing::merge_features,    &Drawing::join_features,     &Drawing::join_features,
        &Drawing::scale_features,    &Drawing::activate_features, &Drawing::drop_features,
        &Drawing::reshape_features,  &Drawing::nested_model};
    const Piece piece = take(features_);
    (this->*draw_.of(kSteps))(piece);
  }

  void add_to_sequences() {
    static constexpr Step kSteps[] = {
        &Drawing::last_output,       &Drawing::last_output,       &Drawing::every_output,
        &Drawing::output_and_states, &Drawing::from_given_states, &Drawing::mean_of_steps,
        &Drawing::dense_of_steps,    &Drawing::dense_of_steps,    &Drawing::merge_sequences,
        &Drawing::join_sequences,    &Drawing::one_after_other,   &Drawing::flatten_steps,
        &Drawing::drop_of_steps};
    const Piece piece = take(sequences_);
    (this->*draw_.of(kSteps))(piece);
  }

  void feature(const SymbolicTensor& tensor, std::int64_t width) {
    features_.push_back({tensor, width});
  }
  void sequence(const SymbolicTensor& tensor, std::int64_t width) {
    sequences_.push_back({tensor, width});
  }

  // ---- layers of features

  void dense_of_features(const Piece& piece) {
    const std::int64_t width = units();
    layers::Dense layer(dense(width));
    if (draw_.chance(0.1)) layer.set_trainable(false);
    feature(layer(piece.tensor), width);
    if (draw_.chance(0.4)) feature(layer(partner(features_, piece)), width);
  }
  void merge_features(const Piece& piece) {
    feature(merged({piece.tensor, partner(features_, piece)}), piece.width);
  }
  void join_features(const Piece& piece) {
    std::vector<SymbolicTensor> parts{piece.tensor};
    std::int64_t total = piece.width;
    for (std::int64_t i = draw_.between(1, 3); i > 0; --i) {
      const Piece other = take(features_);
      parts.push_back(other.tensor);
      total += other.width;
    }
    feature(layers::concatenate(parts), total);
  }
  void scale_features(const Piece& piece) {
    const double scalar = draw_.of({0.5, 2.0, -1.5});
    feature(draw_.chance(0.5) ? piece.tensor * scalar : scalar - piece.tensor, piece.width);
  }
  void activate_features(const Piece& piece) {
    feature(layers::Activation({.activation = activation()})(piece.tensor), piece.width);
  }
  void drop_features(const Piece& piece) {
    feature(layers::Dropout(draw_.of({0.0, 0.5}))(piece.tensor), piece.width);
  }
  void reshape_features(const Piece& piece) {
    const std::int64_t rows = piece.width % 2 == 0 ? 2 : 1;
    const auto grid = layers::Reshape({.target_shape = {rows, None}})(piece.tensor);
    feature(layers::Flatten()(grid), piece.width);
  }
  void nested_model(const Piece& piece) {
    const std::int64_t width = units();
    const SymbolicTensor inside = Input({.shape = {piece.width}});
    const auto hidden = layers::Dense(dense(width))(inside);
    const Model tower(inside, layers::Dense(dense(width))(hidden) + hidden);
    feature(tower(piece.tensor), width);
    if (draw_.chance(0.3)) feature(tower(partner(features_, piece)), width);
  }

  // ---- layers of sequences

  void last_output(const Piece& piece) {
    const std::int64_t width = units();
    feature(layers::LSTM(lstm(width, false))(piece.tensor), width);
  }
  void every_output(const Piece& piece) {
    const std::int64_t width = units();
    sequence(layers::LSTM(lstm(width, true))(piece.tensor), width);
  }
  void output_and_states(const Piece& piece) {
    const std::int64_t width = units();
    layers::LSTMOptions options = lstm(width, true);
    options.return_state = true;
    const auto [output, h, c] = layers::LSTM(options).states(piece.tensor);
    sequence(output, width);
    feature(h, width);
    feature(c, width);
  }
  void from_given_states(const Piece& piece) {
    if (features_.empty()) return last_output(piece);
    const std::int64_t width = units();
    const auto h = layers::Dense({.units = width, .activation = "tanh"})(take(features_).tensor);
    const auto c = layers::Dense({.units = width})(take(features_).tensor);
    RecurrentCall call{.initial_state = {h, c}};
    if (piece.tensor.has_mask() && draw_.chance(0.5)) call.mask = piece.tensor.mask();
    feature(layers::LSTM(lstm(width, false))(piece.tensor, call), width);
  }
  // A row without a valid step would be 0 / 0.
  void mean_of_steps(const Piece& piece) {
    if (piece.tensor.has_mask() || data_.ragged()) return last_output(piece);
    feature(layers::GlobalAveragePooling1D()(piece.tensor), piece.width);
  }
  void dense_of_steps(const Piece& piece) {
    const std::int64_t width = units();
    sequence(layers::Dense(dense(width))(piece.tensor), width);
  }
  void merge_sequences(const Piece& piece) {
    sequence(merged({piece.tensor, partner(sequences_, piece)}), piece.width);
  }
  void join_sequences(const Piece& piece) {
    const Piece other = take(sequences_);
    sequence(layers::concatenate({piece.tensor, other.tensor}), piece.width + other.width);
  }
  void one_after_other(const Piece& piece) {
    const auto both = layers::concatenate({piece.tensor, partner(sequences_, piece)}, {.axis = 1});
    last_output({both, piece.width});
  }
  void flatten_steps(const Piece& piece) {
    if (!data_.known_steps()) return last_output(piece);
    feature(layers::Flatten()(piece.tensor), data_.steps() * piece.width);
  }
  void drop_of_steps(const Piece& piece) {
    sequence(layers::Dropout(draw_.of({0.0, 0.3}))(piece.tensor), piece.width);
  }

  // ---- outputs

  void add_output(const SymbolicTensor& tensor, bool of_steps) {
    const std::string name = draw_.of({"q", "o", "b"}) + std::to_string(y_.size());
    const Shape whole = of_steps ? Shape{data_.rows(), data_.steps()} : Shape{data_.rows()};
    const std::int64_t count = whole.elements();
    const auto dense = [&](std::int64_t width, const char* activation) {
      outputs_.push_back(
          layers::Dense({.units = width, .activation = activation, .name = name})(tensor));
    };
    const auto with = [&](std::int64_t width) {
      return of_steps ? Shape{data_.rows(), data_.steps(), width} : Shape{data_.rows(), width};
    };
    const auto coins = [&](std::int64_t width) {
      std::vector<float> values;
      for (std::int64_t i = 0; i < count * width; ++i) values.push_back(draw_.chance(0.5) ? 1 : 0);
      return Tensor::from(values, with(width));
    };
    Loss loss = "mse";
    switch (draw_.between(0, 6)) {
      case 0:
        dense(1, "sigmoid");
        y_.set(name, coins(1));
        loss = "binary_crossentropy";
        metrics_.push_back({name, "accuracy"});
        break;
      case 1:
        dense(3, "sigmoid");
        y_.set(name, coins(3));
        loss = "binary_crossentropy";
        break;
      case 2:
        dense(5, "softmax");
        y_.set(name, Tensor::from(data_.integers(count, 5), whole));
        loss = "sparse_categorical_crossentropy";
        metrics_.push_back({name, "accuracy"});
        break;
      case 3:
        dense(4, "linear");
        y_.set(name, Tensor::from(data_.integers(count, 4), whole));
        loss = losses::SparseCategoricalCrossentropy({.from_logits = true});
        break;
      case 4:
        dense(40, "softmax");
        y_.set(name, Tensor::from(data_.integers(count, 40), whole));
        loss = "sparse_categorical_crossentropy";
        break;
      case 5:
        dense(2, "linear");
        y_.set(name, data_.numbers(with(2), 0));
        loss = "huber";
        metrics_.push_back({name, "mae"});
        break;
      default: dense(1, "linear"); y_.set(name, data_.numbers(with(1), 0));
    }
    losses_.push_back({name, loss});
    weights_.push_back({name, draw_.of({1.0, 0.3, 2.0})});
  }

  void add_outputs() {
    std::vector<SymbolicTensor> ends;
    for (const Piece& piece : features_) {
      if (!piece.used) ends.push_back(piece.tensor);
    }
    for (const Piece& piece : sequences_) {
      if (piece.used) continue;
      if (!data_.ragged() && y_.size() < 2 && draw_.chance(0.5)) {
        add_output(piece.tensor, true);
      } else {
        ends.push_back(layers::LSTM(lstm(units(), false))(piece.tensor));
      }
    }
    if (ends.empty()) return;
    if (ends.size() > 1 && draw_.chance(0.4)) {
      add_output(ends.back(), false);
      ends.pop_back();
    }
    const SymbolicTensor all = ends.size() == 1 ? ends[0] : layers::concatenate(ends);
    add_output(all, false);
    if (draw_.chance(0.3)) add_output(all, false);
  }

  Draw draw_;
  RandomRows data_;
  bool wide_;
  std::vector<Piece> features_;
  std::vector<Piece> sequences_;
  std::vector<SymbolicTensor> inputs_;
  std::vector<SymbolicTensor> outputs_;
  TensorDict x_;
  TensorDict y_;
  std::vector<Losses::Named> losses_;
  std::vector<LossWeights::Named> weights_;
  std::vector<Metrics::Named> metrics_;
};

}  // namespace

Sample random_model(std::uint64_t seed) {
  set_random_seed(seed);
  return Drawing(seed).sample();
}

}  // namespace braid::testing
