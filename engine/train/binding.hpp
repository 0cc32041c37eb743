#pragma once
#include <list>
#include <string>
#include <vector>

#include "engine/train/functional.hpp"
#include "engine/train/model.hpp"
#include "engine/train/objective.hpp"

namespace braid {

// Tensors of one call, bound by name: in the order of the model's inputs and outputs, null where
// there is none. Points into the caller's dictionaries.
struct Bound {
  std::vector<const Tensor*> x;
  std::vector<const Tensor*> y;       // by output
  std::vector<const Tensor*> weight;  // by output
  std::list<Tensor> made;  // weights worked out from class weights, and copies from a device
  std::int64_t rows = 0;
};

// Binds a call's data to a model and checks all that can be seen without looking at values: names
// (NameError), ranks, axes and rows (ShapeError), dtypes (DTypeError). Every message begins with
// the call: "model.fit".
class Binder {
 public:
  explicit Binder(const Functional& model);

  void bind_inputs(const std::string& call, const TensorDict& x, Bound& bound) const;
  // Targets of every judged output.
  void bind_targets(const std::string& call, const Objective& objective, const TensorDict& y,
                    Bound& bound) const;
  void bind_weights(const std::string& call, const Objective& objective,
                    const SampleWeight& sample_weight, const ClassWeight& class_weight,
                    Bound& bound) const;

  // `"text" float32 [batch, 100] and "numeric" float32 [batch, 5]`.
  std::string described_inputs() const;

 private:
  static const Tensor* on_host(const std::string& call, const Tensor* tensor, Bound& bound);
  struct End {
    std::string name;
    ValueInfo info;
  };
  void check_input(const std::string& call, const End& input, const Tensor& tensor) const;
  void check_target(const std::string& call, const Objective::Output& objective, const End& output,
                    const Tensor& tensor) const;
  void check_weight(const std::string& call, const End& output, const Tensor& tensor) const;
  void class_weights(const std::string& call, const ClassWeight::Table& table, std::size_t output,
                     Bound& bound) const;

  std::vector<End> inputs_;
  std::vector<End> outputs_;
};

}  // namespace braid
