#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/graph/graph.hpp"
#include "engine/graph/symbolic.hpp"

namespace braid {

// A value on its way through the layers, with the mask that travels with it.
struct Lowered {
  Value value;
  Value mask;  // bool [B, T]; absent: no mask
  bool ragged =
      false;  // the mask stands for the ends of ragged rows: layers that drop masks must refuse it

  bool operator==(const Lowered&) const = default;
};

// A loss that a layer adds to the model's own: an unbatched value [1].
using AddedLosses = std::vector<Value>;

// What merging layers ask of ragged rows: pairs of masks that must be the same row by row, and
// masks whose rows have invalid steps between valid ones.
struct RaggedRules {
  std::vector<std::pair<Value, Value>> same;
  std::vector<Value> holed;
};

// One call of a layer while a graph is built.
struct LayerCall {
  Graph& graph;
  std::vector<Lowered> inputs;
  std::vector<Lowered> initial_state;  // recurrent layers
  Value explicit_mask;                 // recurrent layers: an argument `mask`
  bool has_explicit_mask = false;
  bool training = false;
  AddedLosses* added_losses = nullptr;
  RaggedRules* ragged_rules = nullptr;

  const Lowered& input() const { return inputs.front(); }
  const ValueInfo& info(std::size_t index = 0) const { return graph.info(inputs[index].value); }
};

// What a layer is inside. Layers make variables in build() and emit ops in call(); they hold no
// loops.
class LayerBase : public std::enable_shared_from_this<LayerBase> {
 public:
  virtual ~LayerBase() = default;

  // Keras's class name: "Dense".
  virtual std::string class_name() const = 0;
  // Every option that bears on values, as Keras's get_config names them.
  virtual nlohmann::json config() const = 0;
  // Makes the variables for inputs of these shapes (with batch axis). Called once, before the first
  // call. Throws ShapeError, DTypeError, which name the layer.
  virtual void build(const std::vector<ValueInfo>& inputs) { (void)inputs; }
  // Emits the ops of one call; one result or more. Others go through lower(), which marks the ops
  // as this layer's.
  virtual std::vector<Lowered> call(LayerCall& call) = 0;
  std::vector<Lowered> lower(LayerCall& call);
  // Layers inside, in Keras's order; for models.
  virtual std::vector<std::shared_ptr<LayerBase>> sublayers() const { return {}; }
  virtual bool is_input() const { return false; }

  // Own weights, in Keras's order.
  const std::vector<VariablePointer>& variables() const { return variables_; }
  bool built() const { return built_; }
  // Builds on the first call.
  void ensure_built(const std::vector<ValueInfo>& inputs);
  // As before the first call: for layers of a chain that could not be built to its end.
  virtual void forget_build();

  std::string name;  // empty until a model names it
  bool trainable = true;

  // `dense "label"`, for messages; the class name alone while there is no name.
  std::string described() const;

 protected:
  VariablePointer add_weight(std::string weight_name, Shape shape, const Initializer& initializer,
                             const Regularizer& regularizer = {});
  Value weight(LayerCall& call, std::size_t index) const {
    return call.graph.weight(variables_[index]);
  }
  // What a user should know of a call, once: told when the model that holds the layer has named it.
  void warn(const std::string& text) const;
  // The mask is dropped here: a warning once (Keras), an error for ragged rows.
  void drop_mask(const Lowered& input) const;
  // Ragged inputs that are joined step by step must have rows of the same lengths.
  static void join_ragged(LayerCall& call);
  // Adds l1, l2 of the output, divided by the batch size, to the losses.
  void add_activity_penalty(LayerCall& call, const Regularizer& regularizer, Value output) const;
  std::vector<VariablePointer> variables_;

 private:
  bool built_ = false;
};

// One call of a layer in the symbolic graph.
struct SymbolicNode {
  std::shared_ptr<LayerBase> layer;
  std::vector<SymbolicTensor> inputs;
  std::vector<SymbolicTensor> initial_state;
  std::optional<SymbolicTensor> mask;
  struct Output {
    ValueInfo info;
    bool masked = false;
  };
  std::vector<Output> outputs;
  bool is_mask_of_input = false;  // the node's only output is the mask of its only input
};

struct SymbolicCall {
  std::vector<SymbolicTensor> inputs;
  std::vector<SymbolicTensor> initial_state = {};
  std::optional<SymbolicTensor> mask = {};
};

// Calls a layer: builds it if need be, works out what comes out, and returns the results.
std::vector<SymbolicTensor> call_layer(const std::shared_ptr<LayerBase>& layer, SymbolicCall call);

// Prints a warning on standard error, once for each text. BRAID_WARNINGS=off keeps quiet.
void warn_once(const std::string& text);

// Layers by their class name, from a Keras config. One line a layer registers it:
//   const LayerRegistration registration("Dense", [](const nlohmann::json& config) { return ...;
//   });
using LayerMaker = std::function<std::shared_ptr<LayerBase>(const nlohmann::json& config)>;
class LayerRegistration {
 public:
  LayerRegistration(const char* class_name, LayerMaker maker);
};
// Throws NameError for a class or an option that does not exist.
std::shared_ptr<LayerBase> make_layer(const std::string& class_name, const nlohmann::json& config);

}  // namespace braid
