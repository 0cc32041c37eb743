#include "engine/train/weights.hpp"

#include "engine/core/error.hpp"
#include "engine/io/checksum.hpp"
#include "engine/io/safetensors.hpp"

namespace braid {

TensorDict get_weights(const Functional& model) {
  TensorDict weights;
  for (const auto& [path, variable] : model.named_variables())
    weights.set(path, copy_on_host(variable->value));
  return weights;
}

namespace {

void check_weight(const std::string& where, const std::string& path, const Shape& shape,
                  const Tensor& tensor) {
  if (tensor.dtype() != DType::float32) {
    throw DTypeError(where + "the weight \"" + path + "\" is float32; " + describe(tensor) +
                     " came");
  }
  if (tensor.shape() != shape || tensor.is_ragged()) {
    throw ShapeError(where + "the weight \"" + path + "\" is " + to_string(shape) + "; " +
                     describe(tensor) + " came");
  }
}

}  // namespace

void check_weights(const Functional& model, const TensorDict& weights, const std::string& where) {
  const NamedVariables variables = model.named_variables();
  std::vector<std::string> known;
  for (const auto& [path, variable] : variables) known.push_back(path);
  if (const std::string* unknown = first_unknown(weights, known)) {
    throw NameError(where + "the model has no weight \"" + *unknown + "\"; its weights are " +
                    quoted_list(known) + "." + suggestion(*unknown, known));
  }
  if (const std::string* missing = first_unknown(variables, weights.names())) {
    throw NameError(where + "the weight \"" + *missing + "\" is missing; those that came are " +
                    quoted_list(weights.names()) + "." + suggestion(*missing, weights.names()));
  }
  for (const auto& [path, variable] : variables)
    check_weight(where, path, variable->shape, weights.at(path));
}

void set_weights(Functional& model, const TensorDict& weights, const std::string& where) {
  check_weights(model, weights, where);
  for (const auto& [path, variable] : model.named_variables())
    variable->value.assign(weights.at(path));
}

void save_weights(const Functional& model, const std::string& path) {
  const TensorDict weights = get_weights(model);
  write_safetensors(path, weights, with_checksum({}, weights));
}

void load_weights(Functional& model, const std::string& path) {
  const SafetensorsFile file(path);
  const TensorDict weights = file.tensors();
  const std::string where = "\"" + path + "\": ";
  // Files of other programs have none.
  if (compare_checksum(file.metadata(), weights) == Checksum::differs)
    throw FormatError(where + "the checksum does not fit: the file was altered");
  set_weights(model, weights, where);
}

}  // namespace braid
