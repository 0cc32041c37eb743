#include "engine/graph/regularizer.hpp"

#include "engine/core/error.hpp"

namespace braid {

Regularizer::Regularizer(std::string_view name) {
  if (name == "l1") {
    l1 = 0.01;
  } else if (name == "l2") {
    l2 = 0.01;
  } else if (name == "l1_l2") {
    l1 = l2 = 0.01;
  } else {
    throw NameError("unknown regularizer \"" + std::string(name) +
                    "\"; known are \"l1\", \"l2\" and \"l1_l2\"." +
                    suggestion(name, {"l1", "l2", "l1_l2"}));
  }
}

}  // namespace braid
