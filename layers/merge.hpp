#pragma once
#include <string>
#include <vector>

#include <braid/symbolic.hpp>

namespace braid::layers {

struct MergeOptions {
  std::string name = {};
};

struct ConcatenateOptions {
  int axis = -1;  // counts the batch axis; -1: the last
  std::string name = {};
};

// Merging layers are called on a list. Masks follow Keras: Concatenate joins them along its axis
// (missing ones count as all valid); the others give the OR of all masks, or none if an input has
// none. As the keras.layers of these names.
class Concatenate : public Layer {
 public:
  explicit Concatenate(ConcatenateOptions options = {});
};
// Element-wise with broadcasting; inputs of smaller rank get axes of 1 behind the batch.
class Add : public Layer {
 public:
  explicit Add(MergeOptions options = {});
};
// Of exactly two.
class Subtract : public Layer {
 public:
  explicit Subtract(MergeOptions options = {});
};
// Masked entries count as 1; where no input is valid the product is 0.
class Multiply : public Layer {
 public:
  explicit Multiply(MergeOptions options = {});
};
class Average : public Layer {
 public:
  explicit Average(MergeOptions options = {});
};
// Masked entries are left out.
class Maximum : public Layer {
 public:
  explicit Maximum(MergeOptions options = {});
};
class Minimum : public Layer {
 public:
  explicit Minimum(MergeOptions options = {});
};

SymbolicTensor concatenate(const std::vector<SymbolicTensor>& inputs,
                           ConcatenateOptions options = {});
SymbolicTensor add(const std::vector<SymbolicTensor>& inputs, MergeOptions options = {});
SymbolicTensor subtract(const std::vector<SymbolicTensor>& inputs, MergeOptions options = {});
SymbolicTensor multiply(const std::vector<SymbolicTensor>& inputs, MergeOptions options = {});
SymbolicTensor average(const std::vector<SymbolicTensor>& inputs, MergeOptions options = {});
SymbolicTensor maximum(const std::vector<SymbolicTensor>& inputs, MergeOptions options = {});
SymbolicTensor minimum(const std::vector<SymbolicTensor>& inputs, MergeOptions options = {});

}  // namespace braid::layers
