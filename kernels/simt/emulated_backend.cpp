#include "kernels/gpu_table.hpp"

namespace braid::kernels {

// A program that links the emulated device can launch on it.
static const bool emulated_entered = [] {
  static_cast<void>(emulated::table_of_kernels());
  add_backend(Backend::emulated, [] { return true; });
  return true;
}();

}  // namespace braid::kernels
