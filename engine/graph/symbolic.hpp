#pragma once
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <braid/dtype.hpp>
#include <braid/shape.hpp>

namespace braid {

class LayerBase;
struct SymbolicNode;

// A tensor that a model will compute: what Input and layer calls return. A cheap handle.
class SymbolicTensor {
 public:
  SymbolicTensor(std::shared_ptr<const SymbolicNode> node, int index)
      : node_(std::move(node)), index_(index) {}

  // Without the batch axis; axes may be None.
  Shape shape() const;
  DType dtype() const;
  // The Input's name, or that of the layer that made the tensor ("" while the layer has none).
  const std::string& name() const;

  // Whether the tensor carries a mask of valid steps.
  bool has_mask() const;
  // That mask [batch, steps] as a tensor of its own, for the `mask` of a recurrent call. NameError
  // if there is none.
  SymbolicTensor mask() const;

  const std::shared_ptr<const SymbolicNode>& node() const { return node_; }
  int index() const { return index_; }
  bool operator==(const SymbolicTensor&) const = default;

 private:
  std::shared_ptr<const SymbolicNode> node_;
  int index_;
};

// Element-wise, with broadcasting; numbers stand for constant tensors.
SymbolicTensor operator+(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor operator-(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor operator*(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor operator/(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor operator+(const SymbolicTensor& a, double b);
SymbolicTensor operator-(const SymbolicTensor& a, double b);
SymbolicTensor operator*(const SymbolicTensor& a, double b);
SymbolicTensor operator/(const SymbolicTensor& a, double b);
SymbolicTensor operator+(double a, const SymbolicTensor& b);
SymbolicTensor operator-(double a, const SymbolicTensor& b);
SymbolicTensor operator*(double a, const SymbolicTensor& b);
SymbolicTensor operator/(double a, const SymbolicTensor& b);

struct InputOptions {
  Shape shape = {};       // without the batch axis
  std::string name = {};  // "input", "input_1", ... if empty
  DType dtype = DType::float32;
};

// A named input of a model.
SymbolicTensor Input(InputOptions options);

// Named symbolic tensors in insertion order.
class SymbolicDict {
 public:
  using Item = std::pair<std::string, SymbolicTensor>;
  SymbolicDict() = default;
  SymbolicDict(std::initializer_list<Item> items) : items_(items) {}
  explicit SymbolicDict(std::vector<Item> items) : items_(std::move(items)) {}

  // By name (NameError for an unknown one) and by position (RangeError).
  const SymbolicTensor& operator[](const std::string& name) const;
  const SymbolicTensor& operator[](std::size_t position) const;
  std::size_t size() const { return items_.size(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

 private:
  std::vector<Item> items_;
};

// A layer: callable on symbolic tensors, any number of times, with one set of weights. A cheap
// handle.
class Layer {
 public:
  explicit Layer(std::shared_ptr<LayerBase> base) : base_(std::move(base)) {}

  SymbolicTensor operator()(const SymbolicTensor& input) const;
  SymbolicTensor operator()(const std::vector<SymbolicTensor>& inputs) const;

  // "" until a model that holds the layer has named it.
  const std::string& name() const;
  std::string class_name() const;
  // Whether training changes the weights; of a model: of all its layers. Read when a model is
  // compiled.
  bool trainable() const;
  void set_trainable(bool trainable);
  std::int64_t count_params() const;

  const std::shared_ptr<LayerBase>& base() const { return base_; }

 protected:
  std::shared_ptr<LayerBase> base_;
};

}  // namespace braid
