#include "engine/train/model.hpp"

#include <mutex>

#include "engine/core/error.hpp"
#include "engine/train/functional.hpp"
#include "engine/train/model_file.hpp"
#include "engine/train/trainer.hpp"
#include "engine/train/weights.hpp"

namespace braid {
namespace {

std::vector<std::pair<std::string, SymbolicTensor>> unnamed(
    const std::vector<SymbolicTensor>& tensors) {
  std::vector<std::pair<std::string, SymbolicTensor>> ends;
  for (const SymbolicTensor& tensor : tensors) ends.emplace_back("", tensor);
  return ends;
}

std::shared_ptr<Functional> chain(const std::vector<Sequential::Item>& items, std::string name) {
  std::vector<std::shared_ptr<LayerBase>> layers;
  std::optional<SymbolicTensor> input;
  for (const Sequential::Item& item : items) {
    if (const auto* layer = std::get_if<Layer>(&item.get())) {
      layers.push_back(layer->base());
    } else if (layers.empty() && !input) {
      input = std::get<SymbolicTensor>(item.get());
    } else {
      throw ShapeError("in a Sequential only the first item may be an Input");
    }
  }
  auto made = std::make_shared<SequentialLayer>(std::move(layers), input, std::move(name));
  if (input) made->initialize_weights();
  return made;
}

// A Sequential without an Input learns its shape from the first data.
void build_from_data(const char* call, Functional& model, const TensorDict& x) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (model.built()) return;
  const std::string beginning = std::string("model.") + call + ": ";
  const Tensor* tensor = x.find("input");
  if (tensor == nullptr || x.size() != 1) {
    throw NameError(
        beginning +
        "a Sequential without an Input takes one tensor named \"input\"; those that came are " +
        quoted_list(x.names()));
  }
  Shape shape = tensor->shape();
  if (shape.empty()) {
    throw ShapeError(beginning + "the input \"input\" needs axes, the batch first; " +
                     describe(*tensor) + " came");
  }
  shape[0] = None;
  try {
    model.ensure_built({{.shape = shape, .dtype = tensor->dtype(), .batched = true}});
  } catch (const ShapeError& error) {
    throw ShapeError(beginning + error.what());
  }
}

}  // namespace

ModelEnds::ModelEnds(std::initializer_list<SymbolicTensor> tensors) : ends(unnamed(tensors)) {}
ModelEnds::ModelEnds(const std::vector<SymbolicTensor>& tensors) : ends(unnamed(tensors)) {}

Model::Model(ModelEnds inputs, ModelEnds outputs, std::string name)
    : Model(std::make_shared<Functional>(std::move(inputs.ends), std::move(outputs.ends),
                                         std::move(name))) {
  functional().initialize_weights();
}

Model::Model(std::shared_ptr<Functional> functional) : Layer(std::move(functional)) {}

Functional& Model::functional() const { return static_cast<Functional&>(*base_); }

void Model::compile(CompileOptions options) {
  functional().with_trainer(
      [options = std::move(options)](Trainer& trainer) { trainer.compile(options); });
}

History Model::fit(const TensorDict& x, const TensorDict& y, const FitOptions& options) {
  build_from_data("fit", functional(), x);
  return functional().trainer().fit(x, y, options);
}

History Model::fit(const Dataset& data, const FitOptions& options) {
  return fit(data.x(), data.y(), options);
}

Logs Model::evaluate(const Dataset& data, const EvaluateOptions& options) {
  return evaluate(data.x(), data.y(), options);
}

Logs Model::evaluate(const TensorDict& x, const TensorDict& y, const EvaluateOptions& options) {
  build_from_data("evaluate", functional(), x);
  return functional().trainer().evaluate(x, y, options);
}

TensorDict Model::predict(const TensorDict& x, const PredictOptions& options) const {
  if (options.batch_size < 1) {
    throw RangeError("model.predict: batch_size is " +
                     std::to_string(static_cast<std::int64_t>(options.batch_size)) +
                     "; at least 1 is needed");
  }
  build_from_data("predict", functional(), x);
  static const std::string call = "model.predict";
  return functional().trainer().predict(call, x, options);
}

Logs Model::train_on_batch(const TensorDict& x, const TensorDict& y, const BatchOptions& options) {
  build_from_data("train_on_batch", functional(), x);
  return functional().trainer().train_on_batch(x, y, options);
}

Logs Model::test_on_batch(const TensorDict& x, const TensorDict& y, const BatchOptions& options) {
  build_from_data("test_on_batch", functional(), x);
  return functional().trainer().test_on_batch(x, y, options);
}

TensorDict Model::predict_on_batch(const TensorDict& x) const {
  build_from_data("predict_on_batch", functional(), x);
  static const std::string call = "model.predict_on_batch";
  return functional().trainer().predict(call, x, {.batch_size = 0});
}

std::vector<std::string> Model::input_names() const { return functional().input_names(); }
std::vector<std::string> Model::output_names() const { return functional().output_names(); }

std::vector<Layer> Model::layers() const {
  std::vector<Layer> layers;
  for (const auto& layer : functional().sublayers()) layers.emplace_back(layer);
  return layers;
}

Layer Model::get_layer(const std::string& name) const {
  std::vector<std::string> known;
  for (const auto& layer : functional().sublayers()) {
    if (layer->name == name) return Layer(layer);
    known.push_back(layer->name);
  }
  throw NameError("the model has no layer \"" + name + "\"; its layers are " + quoted_list(known) +
                  "." + suggestion(name, known));
}

TensorDict Model::get_weights() const {
  functional().initialize_weights();
  return braid::get_weights(functional());
}

void Model::set_weights(const TensorDict& weights) {
  functional().require_built();
  functional().initialize_weights();
  braid::set_weights(functional(), weights);
}

void Model::save_weights(const std::string& path) const {
  functional().initialize_weights();
  braid::save_weights(functional(), path);
}
void Model::load_weights(const std::string& path) {
  functional().require_built();
  functional().initialize_weights();
  braid::load_weights(functional(), path);
}

void Model::save(const std::string& path) const { save_model(path, functional()); }
Model Model::load(const std::string& path) { return Model(load_model(path)); }

TensorDict Model::optimizer_state() const {
  if (!functional().built()) return {};
  const OptimizerState* state = functional().trainer().optimizer();
  return state == nullptr ? TensorDict{} : state->save();
}

SymbolicDict Model::outputs(const SymbolicTensor& input) const {
  return outputs(std::vector<SymbolicTensor>{input});
}

SymbolicDict Model::outputs(const std::vector<SymbolicTensor>& inputs) const {
  const std::vector<SymbolicTensor> results = call_layer(base_, {.inputs = inputs});
  const std::vector<std::string> names = output_names();
  std::vector<SymbolicDict::Item> items;
  for (std::size_t i = 0; i < results.size(); ++i) items.emplace_back(names[i], results[i]);
  return SymbolicDict(std::move(items));
}

Model::StepFacts Model::step_facts() const {
  if (!functional().built()) return {};
  const Program* program = functional().trainer().last_step();
  if (program == nullptr) return {};
  return {.op_calls = program->op_calls(), .arena_bytes = program->arena_bytes()};
}

Sequential::Sequential(std::initializer_list<Item> items, std::string name)
    : Sequential(std::vector<Item>(items), std::move(name)) {}
Sequential::Sequential(const std::vector<Item>& items, std::string name)
    : Model(chain(items, std::move(name))) {}

}  // namespace braid
