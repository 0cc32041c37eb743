#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <braid/schedule.hpp>

namespace braid {

// An optimizer's rule and numbers: a Keras name ("adam", "sgd", "rmsprop", "adamw") or an object of
// namespace optimizers. NameError for an unknown name; RangeError if more than one of the three
// clips is set.
class Optimizer {
 public:
  enum class Kind { sgd, rmsprop, adam };

  Optimizer(const char* name) : Optimizer(std::string_view(name)) {}
  Optimizer(const std::string& name) : Optimizer(std::string_view(name)) {}
  Optimizer(std::string_view name);
  explicit Optimizer(Kind optimizer_kind) : kind(optimizer_kind) {}

  Kind kind = Kind::rmsprop;
  std::string name;
  LearningRate learning_rate = 0.001;
  double momentum = 0;
  bool nesterov = false;
  double rho = 0.9;
  bool centered = false;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  bool amsgrad = false;
  double epsilon = 1e-7;
  std::optional<double> weight_decay;
  std::optional<double> clipnorm;
  std::optional<double> clipvalue;
  std::optional<double> global_clipnorm;
  std::vector<std::string> without_weight_decay;

  // Weights whose path ("dense/bias") holds one of these strings keep out of the weight decay. As
  // Keras's method of this name.
  void exclude_from_weight_decay(const std::vector<std::string>& names);

  void check() const;
};

namespace optimizers {

struct SGDOptions {
  LearningRate learning_rate = 0.01;
  double momentum = 0;
  bool nesterov = false;
  std::optional<double> weight_decay = {};
  std::optional<double> clipnorm = {};
  std::optional<double> clipvalue = {};
  std::optional<double> global_clipnorm = {};
  std::string name = "sgd";
};
struct RMSpropOptions {
  LearningRate learning_rate = 0.001;
  double rho = 0.9;
  double momentum = 0;
  double epsilon = 1e-7;
  bool centered = false;
  std::optional<double> weight_decay = {};
  std::optional<double> clipnorm = {};
  std::optional<double> clipvalue = {};
  std::optional<double> global_clipnorm = {};
  std::string name = "rmsprop";
};
struct AdamOptions {
  LearningRate learning_rate = 0.001;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;  // added to the root, not corrected for bias (Keras)
  bool amsgrad = false;
  std::optional<double> weight_decay = {};
  std::optional<double> clipnorm = {};
  std::optional<double> clipvalue = {};
  std::optional<double> global_clipnorm = {};
  std::string name = "adam";
};

// As keras.optimizers. Weight decay is decoupled: each step first takes rate * weight_decay of
// every weight, biases too.
Optimizer SGD(SGDOptions options = {});
Optimizer RMSprop(RMSpropOptions options = {});
Optimizer Adam(AdamOptions options = {});
// Adam with weight_decay 0.004 unless another is given.
Optimizer AdamW(AdamOptions options = {});

}  // namespace optimizers
}  // namespace braid
