#pragma once
#include <vector>

// The functions of the LSTM's gates (kernels/lstm_gates.hpp) as a device computes them, one by one.
namespace braid::samples {

struct Gates {
  std::vector<float> sigmoid;
  std::vector<float> tanh;
};
namespace emulated {
Gates gates_of(const std::vector<float>& in);
}
namespace cuda {
Gates gates_of(const std::vector<float>& in);
}

}  // namespace braid::samples
