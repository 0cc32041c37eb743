#include <cuda_runtime.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/core/device_access.hpp"
#include "engine/core/error.hpp"
#include "kernels/gpu_table.hpp"
#include "kernels/simt/cuda_devices.hpp"

namespace braid {
namespace {

// Throws what the driver said of a call, with the call.
void check(cudaError_t error, const std::string& call) {
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // an error of this call alone must not come back later
  throw DeviceError(call + ": " + cudaGetErrorName(error) + ", " + cudaGetErrorString(error));
}

class CudaAccess final : public DeviceAccess {
 public:
  explicit CudaAccess(int index) : index_(index) {}

  std::byte* allocate(std::size_t bytes) const override {
    select();
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes == 0 ? 1 : bytes);
    if (error == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      return nullptr;
    }
    check(error, "cudaMalloc of " + std::to_string(bytes) + " bytes");
    return static_cast<std::byte*>(memory);
  }
  // Memory may outlive the driver, at the end of the program: then there is nothing to give back.
  void release(std::byte* memory) const noexcept override {
    if (cudaSetDevice(index_) == cudaSuccess) static_cast<void>(cudaFree(memory));
  }
  std::size_t free_bytes() const override {
    select();
    std::size_t free = 0;
    std::size_t all = 0;
    check(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
    return free;
  }

  void* new_stream() const override {
    select();
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    return stream;
  }
  void release_stream(void* stream) const noexcept override {
    if (stream == nullptr || cudaSetDevice(index_) != cudaSuccess) return;
    static_cast<void>(cudaStreamDestroy(static_cast<cudaStream_t>(stream)));
  }
  void synchronize(void* stream) const override {
    select();
    check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "cudaStreamSynchronize");
  }

  void upload(std::byte* to, const std::byte* from, std::size_t bytes,
              void* stream) const override {
    move(to, from, bytes, cudaMemcpyHostToDevice, stream, "upload");
  }
  void download(std::byte* to, const std::byte* from, std::size_t bytes,
                void* stream) const override {
    move(to, from, bytes, cudaMemcpyDeviceToHost, stream, "download");
  }
  void copy(std::byte* to, const std::byte* from, std::size_t bytes, void* stream) const override {
    move(to, from, bytes, cudaMemcpyDeviceToDevice, stream, "copy");
  }
  void fill(std::byte* memory, std::byte pattern, std::size_t bytes, void* stream) const override {
    select();
    if (bytes == 0) return;
    check(cudaMemsetAsync(memory, std::to_integer<int>(pattern), bytes,
                          static_cast<cudaStream_t>(stream)),
          "cudaMemsetAsync of " + std::to_string(bytes) + " bytes");
  }

  bool can_record() const override { return true; }
  void begin_recording(void* stream) const override {
    select();
    check(
        cudaStreamBeginCapture(static_cast<cudaStream_t>(stream), cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
  }
  std::shared_ptr<void> end_recording(void* stream) const override {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &graph), "cudaStreamEndCapture");
    cudaGraphExec_t executable = nullptr;
    const cudaError_t error = cudaGraphInstantiate(&executable, graph, 0);
    static_cast<void>(cudaGraphDestroy(graph));
    check(error, "cudaGraphInstantiate");
    return {executable,
            [](cudaGraphExec_t done) { static_cast<void>(cudaGraphExecDestroy(done)); }};
  }
  void replay(void* recording, void* stream) const override {
    select();
    check(
        cudaGraphLaunch(static_cast<cudaGraphExec_t>(recording), static_cast<cudaStream_t>(stream)),
        "cudaGraphLaunch");
  }

 private:
  // The current device belongs to the thread.
  void select() const { check(cudaSetDevice(index_), "cudaSetDevice " + std::to_string(index_)); }

  void move(std::byte* to, const std::byte* from, std::size_t bytes, cudaMemcpyKind kind,
            void* stream, const char* what) const {
    select();
    if (bytes == 0) return;
    const auto describe = [&] {
      return "cudaMemcpyAsync, " + std::string(what) + " of " + std::to_string(bytes) + " bytes";
    };
    auto* const cuda_stream = static_cast<cudaStream_t>(stream);
    check(cudaMemcpyAsync(to, from, bytes, kind, cuda_stream), describe());
    if (kind == cudaMemcpyDeviceToDevice) return;
    check(cudaStreamSynchronize(cuda_stream), describe());
  }

  int index_;
};

// Made when first asked for, and kept: memory on a device may outlive everything else.
const DeviceAccess& access(int index) {
  static std::mutex mutex;
  static auto* const devices = new std::vector<std::unique_ptr<CudaAccess>>;
  const std::lock_guard lock(mutex);
  while (static_cast<int>(devices->size()) <= index)
    devices->push_back(std::make_unique<CudaAccess>(simt::cuda_devices().numbers[devices->size()]));
  return *(*devices)[static_cast<std::size_t>(index)];
}

}  // namespace

void kernels::cuda::add_devices() {
  add_device_kind(Device::Kind::cuda,
                  {[] { return static_cast<int>(simt::cuda_devices().numbers.size()); }, access,
                   [] { return simt::cuda_devices().absence; }});
}

}  // namespace braid
