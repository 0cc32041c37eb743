#pragma once
#include <cstdint>
#include <vector>

#include "engine/core/matrix.hpp"
#include "kernels/simt/emulated_stream.hpp"

// Launches of GPU kernels that are planned and never carried out.
namespace braid::testing {

// Operands lie nowhere: whoever touched one would not live.
template <class T>
inline T* nowhere() {
  return reinterpret_cast<T*>(std::uintptr_t{4096});
}
template <class T = float>
inline Matrix<T> matrix(std::int64_t rows, std::int64_t columns) {
  return {nowhere<T>(), rows, columns, columns};
}
using Bytes = std::uint8_t;
using Ids = std::int32_t;

// The launches that a kernel would make. DeviceError where a device would refuse one.
template <class Arguments>
std::vector<simt::PlannedLaunch> planned(const Arguments& arguments) {
  std::vector<simt::PlannedLaunch> launches;
  simt::EmulatedStream stream{.planned = &launches};
  kernels::launch({kernels::Backend::emulated, &stream}, arguments);
  return launches;
}

}  // namespace braid::testing
