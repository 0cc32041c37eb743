#include "kernels/simt/cuda_errors.hpp"

#include <map>

#include "engine/core/error.hpp"
#include "engine/core/lasting_fault.hpp"

namespace braid::simt {
namespace {

// After these the process must end before the device can be used again.
bool lasts(cudaError_t error) {
  switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorMpsClientTerminated:
    case cudaErrorExternalDevice: return true;
    default: return false;
  }
}

// Of this thread's device; kept, as errors may come until the very end.
LastingFault& fault_of_device() {
  static std::mutex mutex;
  static auto* const faults = new std::map<int, LastingFault>;
  int device = 0;
  static_cast<void>(cudaGetDevice(&device));
  const std::lock_guard lock(mutex);
  return (*faults)[device];
}

}  // namespace

void throw_cuda_error(cudaError_t error, const std::string& call) {
  static_cast<void>(cudaGetLastError());  // an error of this call alone must not come back later
  const std::string said =
      std::string(cudaGetErrorName(error)) + ", " + std::string(cudaGetErrorString(error));
  throw DeviceError(lasts(error) ? fault_of_device().described(call, said) : call + ": " + said);
}

}  // namespace braid::simt
