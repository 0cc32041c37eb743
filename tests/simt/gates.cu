// A thread takes one number, then the one all threads further on.
#include "kernels/simt/facade.hpp"

#include "engine/core/error.hpp"
#include "kernels/lstm_gates.hpp"
#include "tests/simt/gates.hpp"

namespace braid::samples {
namespace {

using namespace braid::simt;

__global__ void gates_kernel(const float* in, float* sigmoid, float* tanh, std::int64_t count) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    sigmoid[i] = kernels::gate_sigmoid(in[i]);
    tanh[i] = kernels::gate_tanh(in[i]);
  }
}

void launch_gates(const float* in, float* sigmoid, float* tanh, std::int64_t count) {
  launch_kernel<gates_kernel>({.grid = blocks_for(count, 256), .block = 256}, kernels::Stream{}, in,
                              sigmoid, tanh, count);
}

}  // namespace

namespace BRAID_GPU {

#if defined(__CUDACC__)
Gates gates_of(const std::vector<float>& in) {
  const auto check = [](cudaError_t error) {
    if (error != cudaSuccess) throw DeviceError(cudaGetErrorString(error));
  };
  Gates out{std::vector<float>(in.size()), std::vector<float>(in.size())};
  const std::size_t bytes = in.size() * sizeof(float);
  float* device = nullptr;
  check(cudaMalloc(&device, 3 * bytes));
  check(cudaMemcpy(device, in.data(), bytes, cudaMemcpyHostToDevice));
  launch_gates(device, device + in.size(), device + 2 * in.size(),
               static_cast<std::int64_t>(in.size()));
  check(cudaMemcpy(out.sigmoid.data(), device + in.size(), bytes, cudaMemcpyDeviceToHost));
  check(cudaMemcpy(out.tanh.data(), device + 2 * in.size(), bytes, cudaMemcpyDeviceToHost));
  check(cudaFree(device));
  return out;
}
#else
Gates gates_of(const std::vector<float>& in) {
  Gates out{std::vector<float>(in.size()), std::vector<float>(in.size())};
  launch_gates(in.data(), out.sigmoid.data(), out.tanh.data(),
               static_cast<std::int64_t>(in.size()));
  return out;
}
#endif

}  // namespace BRAID_GPU
}  // namespace braid::samples
