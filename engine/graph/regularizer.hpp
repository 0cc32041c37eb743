#pragma once
#include <string>
#include <string_view>

namespace braid {

// A penalty l1 * sum |w| + l2 * sum w^2, added to the loss. From "l1", "l2", "l1_l2" (0.01 each) or
// a function of namespace regularizers. NameError for an unknown name.
class Regularizer {
 public:
  Regularizer() = default;
  Regularizer(const char* name) : Regularizer(std::string_view(name)) {}
  Regularizer(const std::string& name) : Regularizer(std::string_view(name)) {}
  Regularizer(std::string_view name);
  Regularizer(double l1_factor, double l2_factor) : l1(l1_factor), l2(l2_factor) {}

  double l1 = 0;
  double l2 = 0;

  explicit operator bool() const { return l1 != 0 || l2 != 0; }
  bool operator==(const Regularizer&) const = default;
};

namespace regularizers {

inline Regularizer L1(double l1 = 0.01) { return {l1, 0}; }
inline Regularizer L2(double l2 = 0.01) { return {0, l2}; }
inline Regularizer L1L2(double l1 = 0, double l2 = 0) { return {l1, l2}; }

}  // namespace regularizers
}  // namespace braid
