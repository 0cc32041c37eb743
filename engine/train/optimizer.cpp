#include "engine/train/optimizer.hpp"

#include "engine/core/error.hpp"

namespace braid {
namespace {

template <class Options>
Optimizer common(Optimizer::Kind kind, Options& options) {
  Optimizer rule(kind);
  rule.name = std::move(options.name);
  rule.learning_rate = std::move(options.learning_rate);
  rule.weight_decay = options.weight_decay;
  rule.clipnorm = options.clipnorm;
  rule.clipvalue = options.clipvalue;
  rule.global_clipnorm = options.global_clipnorm;
  rule.check();
  return rule;
}

}  // namespace

Optimizer::Optimizer(std::string_view wanted) {
  if (wanted == "sgd" || wanted == "SGD") {
    *this = optimizers::SGD();
  } else if (wanted == "rmsprop" || wanted == "RMSprop") {
    *this = optimizers::RMSprop();
  } else if (wanted == "adam" || wanted == "Adam") {
    *this = optimizers::Adam();
  } else if (wanted == "adamw" || wanted == "AdamW") {
    *this = optimizers::AdamW();
  } else {
    const std::vector<std::string> known{"sgd", "rmsprop", "adam", "adamw"};
    throw NameError("unknown optimizer \"" + std::string(wanted) + "\"; known are " +
                    quoted_list(known) + "." + suggestion(wanted, known));
  }
}

void Optimizer::exclude_from_weight_decay(const std::vector<std::string>& names) {
  without_weight_decay.insert(without_weight_decay.end(), names.begin(), names.end());
}

void Optimizer::check() const {
  const int clips = (clipnorm ? 1 : 0) + (clipvalue ? 1 : 0) + (global_clipnorm ? 1 : 0);
  if (clips > 1) {
    throw RangeError("optimizer \"" + name +
                     "\": only one of clipnorm, clipvalue and global_clipnorm may be set");
  }
}

namespace optimizers {

Optimizer SGD(SGDOptions options) {
  Optimizer rule = common(Optimizer::Kind::sgd, options);
  rule.momentum = options.momentum;
  rule.nesterov = options.nesterov;
  return rule;
}

Optimizer RMSprop(RMSpropOptions options) {
  Optimizer rule = common(Optimizer::Kind::rmsprop, options);
  rule.rho = options.rho;
  rule.momentum = options.momentum;
  rule.epsilon = options.epsilon;
  rule.centered = options.centered;
  return rule;
}

Optimizer Adam(AdamOptions options) {
  Optimizer rule = common(Optimizer::Kind::adam, options);
  rule.beta_1 = options.beta_1;
  rule.beta_2 = options.beta_2;
  rule.epsilon = options.epsilon;
  rule.amsgrad = options.amsgrad;
  return rule;
}

Optimizer AdamW(AdamOptions options) {
  if (!options.weight_decay) options.weight_decay = 0.004;
  if (options.name == "adam") options.name = "adamw";
  return Adam(std::move(options));
}

}  // namespace optimizers
}  // namespace braid
