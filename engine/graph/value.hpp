#pragma once
#include <cstddef>

#include <braid/dtype.hpp>
#include <braid/shape.hpp>

namespace braid {

// A handle of one tensor in a Graph. The default handle stands for an operand that is not there.
struct Value {
  int id = -1;
  explicit operator bool() const { return id >= 0; }
  bool operator==(const Value&) const = default;
};

// Its place in a table of all values of the graph.
inline std::size_t index(Value value) { return static_cast<std::size_t>(value.id); }

// What is known of a value while the graph is built (axes may be None), or of one planned program
// (all axes known).
struct ValueInfo {
  Shape shape;  // axis 0 is the batch where `batched`
  DType dtype = DType::float32;
  bool batched = false;  // has one entry for each row of the batch; else a weight, a sum over the
                         // batch, a scalar
  bool present = true;   // false for an operand that is not there

  bool operator==(const ValueInfo&) const = default;
};

inline const ValueInfo kAbsent{Shape{}, DType::float32, false, false};

}  // namespace braid
