#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/graph/layer_base.hpp"

namespace braid {

class Trainer;

using NamedTensors =
    std::vector<std::pair<std::string, SymbolicTensor>>;  // "" where the layer's name is meant
using NamedVariables = std::vector<std::pair<std::string, VariablePointer>>;

// A graph of layer calls between named inputs and outputs: what a Model is inside. Itself a layer.
class Functional : public LayerBase {
 public:
  // Throws NameError for two layers, inputs or outputs of one name, for an input that leads to no
  // output, and for an output that inputs outside the list lead to.
  Functional(NamedTensors inputs, NamedTensors outputs, std::string model_name);
  ~Functional() override;

  std::string class_name() const override { return "Functional"; }
  nlohmann::json config() const override;
  std::vector<Lowered> call(LayerCall& call) override;
  std::vector<std::shared_ptr<LayerBase>> sublayers() const override { return layers_; }

  const NamedTensors& inputs() const { return inputs_; }
  const NamedTensors& outputs() const { return outputs_; }
  std::vector<std::string> input_names() const;
  std::vector<std::string> output_names() const;
  const std::vector<std::shared_ptr<const SymbolicNode>>& nodes() const { return nodes_; }
  // All weights with their paths ("lstm/recurrent_kernel"), in Keras's order; a shared one once, by
  // its first path.
  NamedVariables named_variables() const;
  // Gives every weight that has none yet its initial value, from the seed and its place in the
  // model, and brings all weights to the model's device.
  void initialize_weights();

  // ShapeError while the model does not know the shape of its input.
  void require_built() const;

  // The default device when the model was made.
  Device device() const { return device_; }

  // What trains and runs the model as a whole; made when first asked for, with initial weights.
  Trainer& trainer();
  // Acts on the trainer: now, or as soon as there is one where the model still waits for the shape
  // of its input.
  void with_trainer(std::function<void(Trainer&)> act);

 protected:
  Functional() = default;
  // Orders nodes and layers, names what has no name.
  void connect(NamedTensors inputs, NamedTensors outputs);

 private:
  // Runs through all layers once, for what they have to say of their calls now that they have
  // names.
  void rehearse();
  void check_connections(const std::string& called,
                         const std::set<const SymbolicNode*>& stops) const;

  Device device_ = default_device();
  std::mutex trainer_mutex_;
  std::unique_ptr<Trainer> trainer_;
  std::function<void(Trainer&)> waiting_;
  NamedTensors inputs_;
  NamedTensors outputs_;
  std::vector<std::shared_ptr<const SymbolicNode>> nodes_;
  std::vector<std::shared_ptr<LayerBase>> layers_;
};

// A chain of layers; its graph is made when the shape of its input is known.
class SequentialLayer final : public Functional {
 public:
  SequentialLayer(std::vector<std::shared_ptr<LayerBase>> chain,
                  std::optional<SymbolicTensor> input, std::string model_name);
  std::string class_name() const override { return "Sequential"; }
  nlohmann::json config() const override;
  // A failure leaves the chain as it was.
  void build(const std::vector<ValueInfo>& inputs) override;
  void forget_build() override;
  std::vector<std::shared_ptr<LayerBase>> sublayers() const override { return chain_; }

 private:
  std::vector<std::shared_ptr<LayerBase>> chain_;
  std::optional<SymbolicTensor> input_;
};

// A model from what config() wrote. Throws FormatError, NameError.
std::shared_ptr<Functional> model_from_config(const std::string& class_name,
                                              const nlohmann::json& config);

}  // namespace braid
