#pragma once
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <braid/callbacks.hpp>
#include <braid/count.hpp>
#include <braid/dataset.hpp>
#include <braid/history.hpp>
#include <braid/losses.hpp>
#include <braid/metrics.hpp>
#include <braid/optimizer.hpp>
#include <braid/symbolic.hpp>
#include <braid/tensor.hpp>

namespace braid {

class Functional;

// What a GPU multiplies with in Dense layers, and in an LSTM's products of all steps at once
// (inputs with the kernel, and the gradients): operands keep 24, 11 or 8 significant bits; sums,
// weights and everything else are float32. So is an LSTM's recurrence, but with default activations
// and more than 128 units, or (then of 11 bits) up to 64 units and more than 396 rows. A CPU takes
// float32 always; so do a GPU that lacks the units for it, products that have a single column, and
// Dense layers of up to 256 units and 65536 weights where one launch runs them together with their
// neighbours.
enum class Precision { float32, tf32, bfloat16 };

struct CompileOptions {
  Optimizer optimizer = "rmsprop";
  Losses loss = {};
  LossWeights loss_weights = {};
  Metrics metrics = {};           // never see sample or class weights
  Metrics weighted_metrics = {};  // do
  // Steps of fit and evaluate that are one execution. On a GPU that has the data they are one
  // launch (several where ragged rows give them different lengths, or where the data are sent
  // window by window); a CPU, or a GPU that the host feeds, takes them one by one. The numbers are
  // the same. Batch callbacks come once an execution, with the number of its first step before it
  // and of its last one behind it; stop_training, or a rate that they set, holds for what follows.
  // compile throws RangeError below 1.
  Count steps_per_execution = 1;
  Precision precision = Precision::float32;
};

// Weights of rows (or steps): one tensor for every output, or by output.
class SampleWeight {
 public:
  SampleWeight() = default;
  SampleWeight(Tensor every_output) : shared(std::move(every_output)) {}
  SampleWeight(TensorDict by_output) : by_name(std::move(by_output)) {}
  SampleWeight(std::initializer_list<TensorDict::Item> by_output) : by_name(by_output) {}
  bool empty() const { return !shared && by_name.empty(); }

  std::optional<Tensor> shared;
  TensorDict by_name;
};

// Weights of classes: one table for every output, or by output; a class that is not named weighs 1.
class ClassWeight {
 public:
  using Table = std::map<int, double>;
  ClassWeight() = default;
  ClassWeight(std::initializer_list<Table::value_type> table) : shared(table) {}
  ClassWeight(Table table) : shared(std::move(table)) {}
  ClassWeight(std::initializer_list<std::pair<const std::string, Table>> tables)
      : by_name(tables) {}
  ClassWeight(std::map<std::string, Table> tables) : by_name(std::move(tables)) {}
  bool empty() const { return shared.empty() && by_name.empty(); }

  Table shared;
  std::map<std::string, Table> by_name;
};

struct ValidationData {
  TensorDict x = {};
  TensorDict y = {};
  SampleWeight sample_weight = {};
};

struct FitOptions {
  Count batch_size = 32;
  Count epochs = 1;
  int verbose = 1;  // 0: silent, 1: a progress bar (plain lines when piped), 2: one line an epoch
  Callbacks callbacks = {};
  double validation_split = 0;  // the last share of the rows, set apart before any shuffling
  ValidationData validation_data = {};
  bool shuffle = true;
  ClassWeight class_weight = {};
  SampleWeight sample_weight = {};
  Count initial_epoch = 0;
  std::optional<std::uint64_t> seed = {};
};
struct BatchOptions {
  SampleWeight sample_weight = {};
  ClassWeight class_weight = {};
};
struct EvaluateOptions {
  Count batch_size = 32;
  int verbose = 0;
  SampleWeight sample_weight = {};
};
struct PredictOptions {
  Count batch_size = 32;
  int verbose = 0;
};

// The inputs or outputs of a model: a list (named by Input, or by the layer that makes the output),
// or with keys.
class ModelEnds {
 public:
  ModelEnds(const SymbolicTensor& tensor) : ends{{"", tensor}} {}
  ModelEnds(std::initializer_list<SymbolicTensor> tensors);
  ModelEnds(std::initializer_list<std::pair<std::string, SymbolicTensor>> tensors)
      : ends(tensors) {}
  ModelEnds(const std::vector<SymbolicTensor>& tensors);
  ModelEnds(std::vector<std::pair<std::string, SymbolicTensor>> tensors)
      : ends(std::move(tensors)) {}

  std::vector<std::pair<std::string, SymbolicTensor>> ends;
};

// Layers between named inputs and outputs, trained, evaluated and used as one. A cheap handle:
// copies are the same model. Also a layer. Keras's Model.
//
// A model lives on the default device of the moment when it is made or loaded: its weights and the
// optimizer's state are there, and it computes there. Data may come from any device; predictions,
// logs and what get_weights gives are on the host. fit and evaluate keep the rows on a GPU where
// they take no more than half of the memory that is free there once the largest batch has its own;
// else they send them window by window, ahead of the steps.
//
// Errors, beside those named below:
// - NameError, ShapeError, DTypeError, RangeError (ids, labels, options): the arguments. Each names
//   the key, what was expected and what came, and nothing has changed.
// - OutOfMemory, where a batch, the predictions or the optimizer's state find no memory. Weights
//   are those of the last whole step (on a GPU fit asks for all but some tables before its first),
//   and what fits goes on as before.
// - DeviceError, where a GPU fails. A launch that could not be made ends the step: the weights are
//   those before it, or some of them are already those behind it, and the next step goes on. A
//   fault that a GPU does not get over breaks it for the process: every later call there fails, in
//   the words of the first, and weights that are there are lost. Models on the CPU go on.
class Model : public Layer {
 public:
  // NameError, ShapeError where the tensors make no model; OutOfMemory or DeviceError where the
  // device cannot have the weights, and what default_device() throws.
  Model(ModelEnds inputs, ModelEnds outputs, std::string name = {});

  // Sets optimizer, losses and metrics, and reads the trainable flags; training starts anew. After
  // any error the model is compiled as before. Error while a fit of this model runs. A Sequential
  // that does not know its shape yet resolves outputs when it does: the first data's call throws.
  void compile(CompileOptions options);

  // Trains on named rows. Everything that can be checked is checked before the first step,
  // NumericError (NaN, infinity, with the row) too. An exception of a callback comes through, and
  // leaves the last whole step. NameError without a compiled loss; Error while a fit of this model
  // runs.
  History fit(const TensorDict& x, const TensorDict& y, const FitOptions& options = {});
  History fit(const Dataset& data, const FitOptions& options = {});
  // Looks for NaN and infinity before it begins (NumericError), and changes nothing. NameError if
  // the model is not compiled.
  Logs evaluate(const TensorDict& x, const TensorDict& y, const EvaluateOptions& options = {});
  Logs evaluate(const Dataset& data, const EvaluateOptions& options = {});
  // Changes nothing; safe from several threads at once. NaN and infinity are computed with.
  TensorDict predict(const TensorDict& x, const PredictOptions& options = {}) const;
  // One step on all rows; errors as of fit, and as of evaluate.
  Logs train_on_batch(const TensorDict& x, const TensorDict& y, const BatchOptions& options = {});
  Logs test_on_batch(const TensorDict& x, const TensorDict& y, const BatchOptions& options = {});
  // predict with all rows in one batch.
  TensorDict predict_on_batch(const TensorDict& x) const;

  // A table of the layers: name, class, output shape, parameters, what feeds them; then the totals.
  std::string summary() const;

  std::vector<std::string> input_names() const;
  std::vector<std::string> output_names() const;
  std::vector<Layer> layers() const;
  Layer get_layer(const std::string& name) const;

  // Copies on the host: "dense/kernel", "lstm/recurrent_kernel", nested "image_class/dense/bias";
  // in Keras's order.
  TensorDict get_weights() const;
  // By name; a missing, unknown or misshapen one is an error, and then nothing has changed.
  void set_weights(const TensorDict& weights);
  // Moments, step counter and rate ("iteration", "<weight>/momentum", ...). Empty before compile.
  TensorDict optimizer_state() const;

  // The weights in a safetensors file, under exactly these names; written atomically. IoError.
  void save_weights(const std::string& path) const;
  // IoError, FormatError, and what set_weights throws; then nothing has changed.
  void load_weights(const std::string& path);

  // One file: architecture, weights, optimizer state, names, random state; written atomically.
  // IoError.
  void save(const std::string& path) const;
  // The model of such a file, on the default device of the moment; its training goes on bit for
  // bit. IoError; FormatError for what is wrong with the file; OutOfMemory or DeviceError where the
  // device cannot have the model, and what default_device() throws.
  static Model load(const std::string& path);

  // A model with several outputs, called: results by name and by position.
  SymbolicDict outputs(const SymbolicTensor& input) const;
  SymbolicDict outputs(const std::vector<SymbolicTensor>& inputs) const;

  // Facts for benchmarks: what the last training step planned and ran.
  struct StepFacts {
    std::int64_t op_calls = 0;
    std::int64_t arena_bytes = 0;
  };
  StepFacts step_facts() const;

  explicit Model(std::shared_ptr<Functional> functional);

 protected:
  Functional& functional() const;
};

// A chain of layers, each fed by the one before; an Input may stand first, else the first call or
// the first data decide.
class Sequential : public Model {
 public:
  class Item {
   public:
    Item(const Layer& layer) : item_(layer) {}
    Item(const SymbolicTensor& input) : item_(input) {}
    const std::variant<Layer, SymbolicTensor>& get() const { return item_; }

   private:
    std::variant<Layer, SymbolicTensor> item_;
  };

  explicit Sequential(std::initializer_list<Item> items, std::string name = {});
  explicit Sequential(const std::vector<Item>& items, std::string name = {});
};

}  // namespace braid
