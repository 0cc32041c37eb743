#include "engine/graph/layer_base.hpp"

#include <cstdio>
#include <map>
#include <mutex>
#include <set>

#include "engine/core/environment.hpp"
#include "engine/core/error.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/loss.hpp"
#include "kernels/elementwise.hpp"

namespace braid {
namespace {

std::map<std::string, LayerMaker>& registry() {
  static std::map<std::string, LayerMaker> makers;
  return makers;
}

// Adds 1 / batch size to an activity penalty.
class OverBatch final : public Op {
 public:
  std::string_view kind() const override { return "over_batch"; }
  bool tileable(Infos) const override { return false; }
  std::vector<ValueInfo> infer(Infos) const override { return {{.shape = Shape{1}}}; }
  void run(const Run& run) const override {
    const auto batch = static_cast<double>(run.batch());
    run.launch(kernels::Quotient{.numerator = batch == 0 ? 0.0 : 1.0 / batch,
                                 .out = run.out<float>(0).data});
  }
};

}  // namespace

void warn_once(const std::string& text) {
  static std::mutex mutex;
  static std::set<std::string> told;
  const std::lock_guard lock(mutex);
  if (!warnings_wanted()) return;
  if (told.insert(text).second) std::fprintf(stderr, "braid: warning: %s\n", text.c_str());
}

LayerRegistration::LayerRegistration(const char* class_name, LayerMaker maker) {
  registry()[class_name] = std::move(maker);
}

std::shared_ptr<LayerBase> make_layer(const std::string& class_name, const nlohmann::json& config) {
  const auto found = registry().find(class_name);
  if (found == registry().end()) {
    std::vector<std::string> known;
    for (const auto& [name, maker] : registry()) known.push_back(name);
    throw NameError("unknown layer class \"" + class_name + "\"." + suggestion(class_name, known));
  }
  std::shared_ptr<LayerBase> layer = found->second(config);
  if (config.contains("name") && config.at("name").is_string())
    layer->name = config.at("name").get<std::string>();
  if (config.contains("trainable") && config.at("trainable").is_boolean()) {
    layer->trainable = config.at("trainable").get<bool>();
  }
  return layer;
}

void LayerBase::ensure_built(const std::vector<ValueInfo>& inputs) {
  if (built_) return;
  build(inputs);
  built_ = true;
}

std::vector<Lowered> LayerBase::lower(LayerCall& call_of_this) {
  std::string outer = call_of_this.graph.set_layer(described());
  std::vector<Lowered> results = call(call_of_this);
  call_of_this.graph.set_layer(std::move(outer));
  return results;
}

void LayerBase::forget_build() {
  variables_.clear();
  built_ = false;
}

std::string LayerBase::described() const {
  return name.empty() ? class_name() + " layer" : class_name() + " layer \"" + name + "\"";
}

VariablePointer LayerBase::add_weight(std::string weight_name, Shape shape,
                                      const Initializer& initializer,
                                      const Regularizer& regularizer) {
  auto variable = std::make_shared<Variable>();
  variable->name = std::move(weight_name);
  variable->shape = std::move(shape);
  variable->initializer = initializer;
  variable->regularizer = regularizer;
  variables_.push_back(variable);
  return variable;
}

void LayerBase::drop_mask(const Lowered& input) const {
  if (!input.mask) return;
  if (input.ragged) {
    throw ShapeError(described() +
                     " drops masks, so it cannot take ragged rows: their ends would be lost");
  }
  warn("does not pass masks on: the mask of its input ends here");
}

void LayerBase::warn(const std::string& text) const {
  if (!name.empty()) warn_once(described() + " " + text);
}

void LayerBase::join_ragged(LayerCall& call) {
  if (call.ragged_rules == nullptr) return;
  Value first;
  for (const Lowered& input : call.inputs) {
    if (!input.ragged) continue;
    if (first && !(first == input.mask)) call.ragged_rules->same.emplace_back(first, input.mask);
    if (!first) first = input.mask;
  }
}

void LayerBase::add_activity_penalty(LayerCall& call, const Regularizer& regularizer,
                                     Value output) const {
  if (!regularizer || call.added_losses == nullptr) return;
  const Value penalty = ops::penalty(call.graph, output, regularizer.l1, regularizer.l2);
  call.added_losses->push_back(ops::scale_by(call.graph, penalty, call.graph.op<OverBatch>({})));
}

}  // namespace braid
