#include "engine/train/model_file.hpp"

#include <algorithm>
#include <stdexcept>

#include "engine/core/device.hpp"
#include "engine/core/environment.hpp"
#include "engine/core/error.hpp"
#include "engine/io/checksum.hpp"
#include "engine/io/safetensors.hpp"
#include "engine/train/object_config.hpp"
#include "engine/train/trainer.hpp"
#include "engine/train/weights.hpp"

namespace braid {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
const std::string kDescription = "braid";
const std::string kWeights = "weights/";
const std::string kOptimizer = "optimizer/";

constexpr std::pair<Precision, const char*> kPrecisions[] = {
    {Precision::float32, "float32"}, {Precision::tf32, "tf32"}, {Precision::bfloat16, "bfloat16"}};

std::string name_of(Precision precision) {
  const auto* found = std::ranges::find(kPrecisions, precision, [](auto& p) { return p.first; });
  return found->second;
}

Precision precision_named(const std::string& name) {
  for (const auto& [precision, its_name] : kPrecisions) {
    if (name == its_name) return precision;
  }
  throw NameError("precision \"" + name + "\" is none of float32, tf32, bfloat16");
}

json describe_objective(const Trainer& trainer, const OptimizerState& optimizer) {
  const Objective& objective = *trainer.objective();
  json outputs = json::array();
  for (const Objective::Output& output : objective.outputs) {
    outputs.push_back({{"output", output.name},
                       {"loss", output.loss ? to_config(*output.loss) : json(nullptr)},
                       {"loss_weight", output.loss_weight}});
  }
  json metrics = json::array();
  for (const Objective::Measured& measured : objective.metrics) {
    metrics.push_back({{"output", objective.outputs[measured.output].name},
                       {"metric", to_config(measured.metric)},
                       {"weighted", measured.weighted}});
  }
  return {{"optimizer", to_config(optimizer.rule())},
          {"outputs", outputs},
          {"metrics", metrics},
          {"steps_per_execution", trainer.steps_per_execution()},
          {"precision", name_of(trainer.precision())}};
}

CompileOptions compile_options(const json& described) {
  std::vector<Losses::Named> losses;
  std::vector<LossWeights::Named> weights;
  std::vector<Metrics::Named> plain;
  std::vector<Metrics::Named> weighted;
  for (const json& output : described.at("outputs")) {
    const std::string name = output.at("output").get<std::string>();
    if (!output.at("loss").is_null()) losses.push_back({name, loss_from_config(output.at("loss"))});
    weights.push_back({name, output.at("loss_weight").get<double>()});
    plain.emplace_back(name, MetricList{});
    weighted.emplace_back(name, MetricList{});
  }
  for (const json& measured : described.at("metrics")) {
    for (Metrics::Named& list : measured.at("weighted").get<bool>() ? weighted : plain) {
      if (list.name == measured.at("output"))
        list.metrics.push_back(metric_from_config(measured.at("metric")));
    }
  }
  return {.optimizer = optimizer_from_config(described.at("optimizer")),
          .loss = Losses(std::move(losses)),
          .loss_weights = LossWeights(std::move(weights)),
          .metrics = Metrics(std::move(plain)),
          .weighted_metrics = Metrics(std::move(weighted)),
          .steps_per_execution = described.at("steps_per_execution").get<std::int64_t>(),
          // Files of versions that knew one precision alone do not name it.
          .precision = precision_named(described.value("precision", "float32"))};
}

// Tensors whose names begin with the prefix, without it.
TensorDict group(const TensorDict& tensors, const std::string& prefix) {
  TensorDict found;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) found.set(name.substr(prefix.size()), tensor);
  }
  return found;
}

std::shared_ptr<Functional> restore(const TensorDict& tensors, const json& described) {
  auto model =
      model_from_config(described.at("class_name").get<std::string>(), described.at("config"));
  const TensorDict weights = group(tensors, kWeights);
  // Before memory is asked for: a description may tell of any sizes.
  check_weights(*model, weights);
  model->initialize_weights();
  set_weights(*model, weights);
  if (!described.contains("objective")) return model;
  Trainer& trainer = model->trainer();
  trainer.compile(compile_options(described.at("objective")));
  trainer.optimizer()->load(group(tensors, kOptimizer));
  if (described.contains("seed")) trainer.set_seed(described.at("seed").get<std::uint64_t>());
  return model;
}

}  // namespace

void save_model(const std::string& path, Functional& model) {
  Trainer& trainer = model.trainer();
  json described{
      {"format", kFormat}, {"class_name", model.class_name()}, {"config", model.config()}};
  TensorDict tensors;
  for (const auto& [name, tensor] : get_weights(model)) tensors.set(kWeights + name, tensor);
  if (trainer.compiled()) {
    described["objective"] = describe_objective(trainer, *trainer.optimizer());
    if (trainer.seed()) described["seed"] = *trainer.seed();
    for (const auto& [name, tensor] : trainer.optimizer()->save())
      tensors.set(kOptimizer + name, tensor);
  }
  write_safetensors(path, tensors, with_checksum({{kDescription, described.dump()}}, tensors));
}

std::shared_ptr<Functional> load_model(const std::string& path) {
  const SafetensorsFile file(path);
  const auto found = file.metadata().find(kDescription);
  if (found == file.metadata().end()) {
    throw FormatError("\"" + path +
                      "\" holds tensors but no model; load_weights reads weights alone");
  }
  // A device that the environment asks for and that is not there is no fault of the file's, nor is
  // another wish that cannot be read.
  default_device();
  warnings_wanted();
  try {
    const TensorDict tensors = file.tensors();
    if (compare_checksum(file.metadata(), tensors) != Checksum::fits)
      throw FormatError("\"" + path + "\": the checksum does not fit: the file was altered");
    const json described = json::parse(found->second);
    const int format = described.at("format").get<int>();
    if (format != kFormat) {
      throw FormatError("\"" + path + "\": model format " + std::to_string(format) +
                        "; this library reads " + std::to_string(kFormat));
    }
    return restore(tensors, described);
  } catch (const json::exception& error) {
    throw FormatError("\"" + path + "\": the description of the model is broken: " + error.what());
  } catch (const std::out_of_range&) {
    // A node that names one which does not stand before it: a cycle, or nothing at all.
    throw FormatError(
        "\"" + path +
        "\": the description of the model is broken: a layer is fed by a later one, or "
        "by one that is not there");
  } catch (const FormatError&) {
    throw;
  } catch (const IoError&) {
    throw;
  } catch (const DeviceError&) {
    throw;
  } catch (const OutOfMemory&) {
    throw;
  } catch (const Error& error) {
    throw FormatError("\"" + path + "\": " + error.what());
  }
}

}  // namespace braid
