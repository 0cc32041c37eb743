#pragma once
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace braid {

// A loss of one output: a Keras name ("binary_crossentropy", "mse", ...) or an object of namespace
// losses. NameError for an unknown name.
class Loss {
 public:
  Loss(const char* name) : Loss(std::string_view(name)) {}
  Loss(const std::string& name) : Loss(std::string_view(name)) {}
  Loss(std::string_view name);

  enum class Kind {
    none,
    mean_squared_error,
    mean_absolute_error,
    huber,
    mean_absolute_percentage_error,
    mean_squared_logarithmic_error,
    log_cosh,
    poisson,
    kl_divergence,
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
  };
  explicit Loss(Kind loss_kind) : kind(loss_kind) {}

  Kind kind = Kind::none;
  std::string reduction = "sum_over_batch_size";
  bool from_logits = false;
  double label_smoothing = 0;
  double delta = 1;
  std::optional<int> ignore_class;
};

namespace losses {

struct Options {
  std::string reduction = "sum_over_batch_size";  // or "mean", "sum", "mean_with_sample_weight"
};
struct HuberOptions {
  double delta = 1;
  std::string reduction = "sum_over_batch_size";
};
struct CrossentropyOptions {
  bool from_logits = false;
  double label_smoothing = 0;
  std::string reduction = "sum_over_batch_size";
};
struct SparseCrossentropyOptions {
  bool from_logits = false;
  std::optional<int> ignore_class = {};
  std::string reduction = "sum_over_batch_size";
};

// As keras.losses. Each gives one number a row (a step), reduced over the batch as `reduction`
// says.
Loss MeanSquaredError(Options options = {});
Loss MeanAbsoluteError(Options options = {});
Loss MeanAbsolutePercentageError(Options options = {});
Loss MeanSquaredLogarithmicError(Options options = {});
Loss LogCosh(Options options = {});
Loss Poisson(Options options = {});
Loss KLDivergence(Options options = {});
Loss Huber(HuberOptions options = {});
Loss BinaryCrossentropy(CrossentropyOptions options = {});
// Targets: one distribution over the classes a row.
Loss CategoricalCrossentropy(CrossentropyOptions options = {});
// Targets: one class number a row, 0 .. C - 1.
Loss SparseCategoricalCrossentropy(SparseCrossentropyOptions options = {});

}  // namespace losses

// The losses of a model: one for every output, a list by output, or by name; an output may have
// none.
class Losses {
 public:
  struct Named {
    std::string name;
    Loss loss;
  };

  Losses() = default;
  Losses(const char* name) : shared_(Loss(name)) {}
  Losses(const std::string& name) : shared_(Loss(name)) {}
  Losses(Loss loss) : shared_(std::move(loss)) {}
  Losses(std::initializer_list<Loss> by_output) : by_output_(by_output) {}
  Losses(std::initializer_list<Named> by_name) : by_name_(by_name) {}
  Losses(std::vector<Loss> by_output) : by_output_(std::move(by_output)) {}
  Losses(std::vector<Named> by_name) : by_name_(std::move(by_name)) {}

  bool empty() const { return !shared_ && by_output_.empty() && by_name_.empty(); }
  // One entry an output. Throws NameError for an unknown output, ShapeError where the number of
  // losses does not fit.
  std::vector<std::optional<Loss>> resolve(const std::vector<std::string>& outputs) const;

 private:
  std::optional<Loss> shared_;
  std::vector<Loss> by_output_;
  std::vector<Named> by_name_;
};

// Factors of the losses: by output or by name; 1 if not given.
class LossWeights {
 public:
  struct Named {
    std::string name;
    double weight;
  };

  LossWeights() = default;
  LossWeights(double weight) : by_output_{weight} {}
  LossWeights(std::initializer_list<double> by_output) : by_output_(by_output) {}
  LossWeights(std::initializer_list<Named> by_name) : by_name_(by_name) {}
  LossWeights(std::vector<double> by_output) : by_output_(std::move(by_output)) {}
  LossWeights(std::vector<Named> by_name) : by_name_(std::move(by_name)) {}

  std::vector<double> resolve(const std::vector<std::string>& outputs) const;

 private:
  std::vector<double> by_output_;
  std::vector<Named> by_name_;
};

}  // namespace braid
