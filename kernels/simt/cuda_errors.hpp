#pragma once
#include <cuda_runtime.h>

#include <string>
#include <type_traits>

namespace braid::simt {

// DeviceError with what the driver said of a call; after a fault that the device does not get over,
// also with the call that met it first.
[[noreturn]] void throw_cuda_error(cudaError_t error, const std::string& call);

// `call` is its text, or a function that makes it.
template <class Call>
void require(cudaError_t error, const Call& call) {
  if (error == cudaSuccess) return;
  if constexpr (std::is_invocable_v<const Call&>) {
    throw_cuda_error(error, call());
  } else {
    throw_cuda_error(error, call);
  }
}

}  // namespace braid::simt
