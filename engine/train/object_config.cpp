#include "engine/train/object_config.hpp"

#include <set>

#include "engine/core/error.hpp"
#include "engine/graph/config.hpp"

namespace braid {
namespace {

using nlohmann::json;

// Keras writes "class_name"; a schedule may stand under its own word.
std::string class_of(const json& described) {
  for (const char* key : {"class", "class_name", "schedule"}) {
    if (described.contains(key)) return described.at(key).get<std::string>();
  }
  throw NameError("an object's config has no \"class\": " + described.dump());
}

const json& config_of(const json& described) {
  static const json empty = json::object();
  return described.contains("config") ? described.at("config") : empty;
}

// Fields of one object, taken out of its config one by one.
class Reader {
 public:
  explicit Reader(const json& described)
      : class_name_(class_of(described)), config_(config_of(described)) {}

  const std::string& class_name() const { return class_name_; }

  template <class T>
  Reader& operator()(const char* key, T& value) {
    if (const json* found = take(key)) value = found->get<T>();
    return *this;
  }
  template <class T>
  Reader& operator()(const char* key, std::optional<T>& value) {
    if (const json* found = take(key)) value = found->get<T>();
    return *this;
  }
  const json* take(const char* key) {
    taken_.insert(key);
    const auto found = config_.find(key);
    return found == config_.end() || found->is_null() ? nullptr : &*found;
  }
  Reader& pass_over(const char* key) {
    taken_.insert(key);
    return *this;
  }
  void finish() const {
    for (const auto& [key, value] : config_.items()) {
      const bool silent =
          value.is_null() || value == false || (value.is_structured() && value.empty());
      if (!taken_.contains(key) && !silent)
        throw NameError(class_name_ + " has no option \"" + key + "\"");
    }
  }

 private:
  std::string class_name_;
  const json& config_;
  std::set<std::string> taken_;
};

class Writer {
 public:
  template <class T>
  Writer& operator()(const char* key, const T& value) {
    config_[key] = value;
    return *this;
  }
  template <class T>
  Writer& operator()(const char* key, const std::optional<T>& value) {
    config_[key] = value ? json(*value) : json(nullptr);
    return *this;
  }
  json described(const std::string& class_name) const {
    return {{"class", class_name}, {"config", config_}};
  }

 private:
  json config_ = json::object();
};

template <class Kind>
struct Named {
  const char* name;
  Kind kind;
};

template <class Kind, std::size_t count>
std::string name_in(const Named<Kind> (&table)[count], Kind kind) {
  for (const auto& entry : table) {
    if (entry.kind == kind) return entry.name;
  }
  return {};
}

template <class Kind, std::size_t count>
Kind kind_in(const Named<Kind> (&table)[count], const std::string& name, const char* what) {
  std::vector<std::string> known;
  for (const auto& entry : table) {
    if (entry.name == name) return entry.kind;
    known.push_back(entry.name);
  }
  throw NameError(std::string("unknown ") + what + " class \"" + name + "\"." +
                  suggestion(name, known));
}

constexpr Named<Loss::Kind> kLosses[] = {
    {"MeanSquaredError", Loss::Kind::mean_squared_error},
    {"MeanAbsoluteError", Loss::Kind::mean_absolute_error},
    {"Huber", Loss::Kind::huber},
    {"MeanAbsolutePercentageError", Loss::Kind::mean_absolute_percentage_error},
    {"MeanSquaredLogarithmicError", Loss::Kind::mean_squared_logarithmic_error},
    {"LogCosh", Loss::Kind::log_cosh},
    {"Poisson", Loss::Kind::poisson},
    {"KLDivergence", Loss::Kind::kl_divergence},
    {"BinaryCrossentropy", Loss::Kind::binary_crossentropy},
    {"CategoricalCrossentropy", Loss::Kind::categorical_crossentropy},
    {"SparseCategoricalCrossentropy", Loss::Kind::sparse_categorical_crossentropy},
};

constexpr Named<Metric::Kind> kMetrics[] = {
    {"accuracy", Metric::Kind::accuracy},  // not yet resolved by the shapes
    {"Accuracy", Metric::Kind::exact_accuracy},
    {"BinaryAccuracy", Metric::Kind::binary_accuracy},
    {"CategoricalAccuracy", Metric::Kind::categorical_accuracy},
    {"SparseCategoricalAccuracy", Metric::Kind::sparse_categorical_accuracy},
    {"Precision", Metric::Kind::precision},
    {"Recall", Metric::Kind::recall},
    {"AUC", Metric::Kind::auc},
};

constexpr Named<LearningRate::Kind> kSchedules[] = {
    {"Constant", LearningRate::Kind::constant},
    {"ExponentialDecay", LearningRate::Kind::exponential},
    {"InverseTimeDecay", LearningRate::Kind::inverse_time},
    {"PolynomialDecay", LearningRate::Kind::polynomial},
    {"PiecewiseConstantDecay", LearningRate::Kind::piecewise},
    {"CosineDecay", LearningRate::Kind::cosine},
    {"CosineDecayRestarts", LearningRate::Kind::cosine_restarts},
};

// A schedule's options by their Keras names, in the order of LearningRate::numbers().
struct ScheduleOption {
  const char* name;
  double by_default;
  bool flag = false;
};

const std::vector<ScheduleOption>& schedule_options(LearningRate::Kind kind) {
  static const std::vector<ScheduleOption> decay{{"initial_learning_rate", 0.001},
                                                 {"decay_steps", 1},
                                                 {"decay_rate", 1},
                                                 {"staircase", 0, true}};
  static const std::vector<ScheduleOption> polynomial{{"initial_learning_rate", 0.001},
                                                      {"decay_steps", 1},
                                                      {"end_learning_rate", 0.0001},
                                                      {"power", 1},
                                                      {"cycle", 0, true}};
  static const std::vector<ScheduleOption> cosine{{"initial_learning_rate", 0.001},
                                                  {"decay_steps", 1},
                                                  {"alpha", 0},
                                                  {"warmup_target", -1},
                                                  {"warmup_steps", 0}};
  static const std::vector<ScheduleOption> restarts{{"initial_learning_rate", 0.001},
                                                    {"first_decay_steps", 1},
                                                    {"t_mul", 2},
                                                    {"m_mul", 1},
                                                    {"alpha", 0}};
  switch (kind) {
    case LearningRate::Kind::polynomial: return polynomial;
    case LearningRate::Kind::cosine: return cosine;
    case LearningRate::Kind::cosine_restarts: return restarts;
    default: return decay;
  }
}

template <class Fields, class LossType>
void loss_fields(Fields& fields, LossType& loss) {
  fields("reduction", loss.reduction);
  switch (loss.kind) {
    case Loss::Kind::huber: fields("delta", loss.delta); break;
    case Loss::Kind::binary_crossentropy:
    case Loss::Kind::categorical_crossentropy:
      fields("from_logits", loss.from_logits)("label_smoothing", loss.label_smoothing);
      break;
    case Loss::Kind::sparse_categorical_crossentropy:
      fields("from_logits", loss.from_logits)("ignore_class", loss.ignore_class);
      break;
    default: break;
  }
}

template <class Fields, class OptimizerType>
void optimizer_fields(Fields& fields, OptimizerType& optimizer) {
  fields("name", optimizer.name)("weight_decay", optimizer.weight_decay)("clipnorm",
                                                                         optimizer.clipnorm);
  fields("clipvalue", optimizer.clipvalue)("global_clipnorm", optimizer.global_clipnorm);
  fields("exclude_from_weight_decay", optimizer.without_weight_decay);
  switch (optimizer.kind) {
    case Optimizer::Kind::sgd:
      fields("momentum", optimizer.momentum)("nesterov", optimizer.nesterov);
      break;
    case Optimizer::Kind::rmsprop:
      fields("rho", optimizer.rho)("momentum", optimizer.momentum)("epsilon", optimizer.epsilon);
      fields("centered", optimizer.centered);
      break;
    case Optimizer::Kind::adam:
      fields("beta_1", optimizer.beta_1)("beta_2", optimizer.beta_2)("epsilon", optimizer.epsilon);
      fields("amsgrad", optimizer.amsgrad);
      break;
  }
}

}  // namespace

json to_config(const Loss& loss) {
  Writer writer;
  loss_fields(writer, loss);
  return writer.described(name_in(kLosses, loss.kind));
}

Loss loss_from_config(const json& described) {
  Reader reader(described);
  Loss loss(kind_in(kLosses, reader.class_name(), "loss"));
  loss_fields(reader, loss);
  const json& config = config_of(described);
  if (config.contains("reduction") && config.at("reduction").is_null()) loss.reduction = "none";
  reader.pass_over("name").pass_over("dtype").pass_over("axis").finish();
  return loss;
}

json to_config(const Metric& metric) {
  Writer writer;
  writer("name", metric.name);
  if (metric.kind == Metric::Kind::loss) {
    loss_fields(writer, metric.loss);
    return writer.described(name_in(kLosses, metric.loss.kind));
  }
  switch (metric.kind) {
    case Metric::Kind::accuracy:
    case Metric::Kind::binary_accuracy: writer("threshold", metric.threshold); break;
    case Metric::Kind::precision:
    case Metric::Kind::recall: writer("thresholds", metric.thresholds); break;
    case Metric::Kind::auc:
      // The first and the last bucket stand a little beyond 0 and 1, whatever was asked for.
      writer("thresholds",
             std::vector<double>(metric.thresholds.begin() + 1, metric.thresholds.end() - 1));
      writer("curve", std::string(metric.precision_recall_curve ? "PR" : "ROC"));
      writer("summation_method", metric.summation)("from_logits", metric.from_logits);
      break;
    default: break;
  }
  return writer.described(name_in(kMetrics, metric.kind));
}

Metric metric_from_config(const json& described) {
  Reader reader(described);
  std::string name = snake_case(reader.class_name());
  reader("name", name);
  for (const auto& entry : kLosses) {
    if (reader.class_name() != entry.name) continue;
    Metric metric(Metric::Kind::loss, name);
    metric.loss = Loss(entry.kind);
    loss_fields(reader, metric.loss);
    reader.pass_over("dtype").pass_over("axis").finish();
    return metric;
  }
  Metric metric(kind_in(kMetrics, reader.class_name(), "metric"), name);
  switch (metric.kind) {
    case Metric::Kind::accuracy:
    case Metric::Kind::binary_accuracy: reader("threshold", metric.threshold); break;
    case Metric::Kind::precision:
    case Metric::Kind::recall: {
      metric.thresholds = {0.5};
      const json* thresholds = reader.take("thresholds");
      if (thresholds != nullptr && thresholds->is_array()) {
        metric.thresholds = thresholds->get<std::vector<double>>();
      } else if (thresholds != nullptr) {
        metric.thresholds = {thresholds->get<double>()};
      }
      break;
    }
    case Metric::Kind::auc: {
      metrics::AUCOptions options{.name = name};
      reader("num_thresholds", options.num_thresholds)("curve", options.curve);
      reader("summation_method", options.summation_method)("thresholds", options.thresholds);
      reader("from_logits", options.from_logits);
      metric = metrics::AUC(std::move(options));
      break;
    }
    default: break;
  }
  reader.pass_over("dtype").finish();
  return metric;
}

json to_config(const LearningRate& rate) {
  if (!rate.is_schedule()) return rate.numbers().front();
  Writer writer;
  const std::vector<double>& numbers = rate.numbers();
  if (rate.kind() == LearningRate::Kind::piecewise) {
    const auto boundaries = numbers.begin() + 1 + static_cast<std::ptrdiff_t>(numbers.front());
    writer("boundaries", std::vector<double>(numbers.begin() + 1, boundaries));
    writer("values", std::vector<double>(boundaries, numbers.end()));
    return writer.described(name_in(kSchedules, rate.kind()));
  }
  const auto& names = schedule_options(rate.kind());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string name = names[i].name;
    if (names[i].flag) {
      writer(names[i].name, numbers[i] != 0);
    } else if (name == "warmup_target" && numbers[i] < 0) {
      writer(names[i].name, std::optional<double>());
    } else {
      writer(names[i].name, numbers[i]);
    }
  }
  return writer.described(name_in(kSchedules, rate.kind()));
}

LearningRate learning_rate_from_config(const json& described) {
  if (described.is_number()) return described.get<double>();
  Reader reader(described);
  const LearningRate::Kind kind = kind_in(kSchedules, reader.class_name(), "schedule");
  if (kind == LearningRate::Kind::piecewise) {
    schedules::PiecewiseOptions options;
    reader("boundaries", options.boundaries)("values", options.values).pass_over("name").finish();
    return schedules::PiecewiseConstantDecay(std::move(options));
  }
  std::vector<double> numbers;
  for (const auto& option : schedule_options(kind)) {
    const json* found = reader.take(option.name);
    numbers.push_back(found == nullptr      ? option.by_default
                      : found->is_boolean() ? (found->get<bool>() ? 1.0 : 0.0)
                                            : found->get<double>());
  }
  reader.pass_over("name").finish();
  return {kind, std::move(numbers)};
}

json to_config(const Optimizer& optimizer) {
  Writer writer;
  optimizer_fields(writer, optimizer);
  writer("learning_rate", to_config(optimizer.learning_rate));
  switch (optimizer.kind) {
    case Optimizer::Kind::sgd: return writer.described("SGD");
    case Optimizer::Kind::rmsprop: return writer.described("RMSprop");
    case Optimizer::Kind::adam: return writer.described("Adam");
  }
  return {};
}

Optimizer optimizer_from_config(const json& described) {
  constexpr Named<Optimizer::Kind> kinds[] = {{"SGD", Optimizer::Kind::sgd},
                                              {"RMSprop", Optimizer::Kind::rmsprop},
                                              {"Adam", Optimizer::Kind::adam},
                                              {"AdamW", Optimizer::Kind::adam}};
  Reader reader(described);
  Optimizer optimizer(kind_in(kinds, reader.class_name(), "optimizer"));
  optimizer_fields(reader, optimizer);
  if (const json* rate = reader.take("learning_rate"))
    optimizer.learning_rate = learning_rate_from_config(*rate);
  if (reader.class_name() == "AdamW" && !config_of(described).contains("weight_decay"))
    optimizer.weight_decay = 0.004;
  // Without use_ema, which is an unknown option where it is on, this number says nothing.
  reader.pass_over("ema_momentum").finish();
  optimizer.check();
  return optimizer;
}

}  // namespace braid
