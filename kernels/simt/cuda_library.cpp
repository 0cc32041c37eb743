#include <cuda_runtime.h>
#include <dlfcn.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "engine/core/environment.hpp"
#include "engine/core/error.hpp"
#include "kernels/product_library.hpp"
#include "kernels/simt/cuda_launch.hpp"

namespace braid::simt {
namespace {

// BRAID_CUBLASLT names the file of the library, which then must be one, or is "none".
std::unique_ptr<kernels::ProductLibrary> open_library() {
  using kernels::ProductLibrary;
  const auto wish = environment("BRAID_CUBLASLT");
  if (!wish) {
    return ProductLibrary::open(
        {"libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13", "libcublasLt.so.12"});
  }
  if (*wish == "none") return nullptr;
  auto library = ProductLibrary::open({*wish});
  if (!library) {
    const bool loads = dlopen(wish->c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr;
    throw DeviceError("BRAID_CUBLASLT=" + *wish + ": " +
                      (loads ? "it is no cuBLASLt that this build can use" : dlerror()));
  }
  return library;
}

// While it lives, this thread may do what does not belong into the graph that it captures.
class BesidesCapture {
 public:
  BesidesCapture() { exchange(); }
  ~BesidesCapture() { exchange(); }
  BesidesCapture(const BesidesCapture&) = delete;
  BesidesCapture& operator=(const BesidesCapture&) = delete;

 private:
  void exchange() { static_cast<void>(cudaThreadExchangeStreamCaptureMode(&mode_)); }
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace

// One for each device, made when first asked for, and kept.
kernels::ProductLibrary* gpu_product_library() {
  static std::mutex mutex;
  static auto* const libraries = new std::map<int, std::unique_ptr<kernels::ProductLibrary>>;
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return nullptr;
  const std::lock_guard lock(mutex);
  const auto known = libraries->find(device);
  if (known != libraries->end()) return known->second.get();
  const BesidesCapture besides_capture;
  return ((*libraries)[device] = open_library()).get();
}

}  // namespace braid::simt
