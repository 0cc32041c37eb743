#pragma once
#include <cstdint>

#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"

namespace braid::testing {

struct MatrixSize {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t gap;  // behind each row
};

// Calls body(backend, size) for every size on every backend that is tested.
template <class Sizes, class Body>
void for_sizes(const Sizes& sizes, const Body& body) {
  for (const MatrixSize& size : sizes) {
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend)
           << ", N " << size.rows << ", C " << size.columns << ", gap " << size.gap);
      body(backend, size);
    }
  }
}

}  // namespace braid::testing
