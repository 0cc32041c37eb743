#include <cuda_runtime.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/core/device_access.hpp"
#include "kernels/gpu_table.hpp"
#include "kernels/simt/cuda_devices.hpp"
#include "kernels/simt/cuda_errors.hpp"

namespace braid {
namespace {

using simt::require;

class CudaAccess final : public DeviceAccess {
 public:
  explicit CudaAccess(int index) : index_(index) {}

  std::byte* allocate(std::size_t bytes) const override {
    select();
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes == 0 ? 1 : bytes);
    return granted(memory, error, "cudaMalloc", bytes);
  }
  // Memory may outlive the driver, at the end of the program: then there is nothing to give back.
  void release(std::byte* memory) const noexcept override {
    if (cudaSetDevice(index_) == cudaSuccess) static_cast<void>(cudaFree(memory));
  }
  std::size_t free_bytes() const override {
    select();
    std::size_t free = 0;
    std::size_t all = 0;
    require(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
    return free;
  }

  std::int64_t shared_bytes_of_block() const override {
    int bytes = 0;
    require(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, index_),
            "cudaDeviceGetAttribute");
    return bytes;
  }

  void* new_stream() const override {
    select();
    cudaStream_t stream = nullptr;
    require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    return stream;
  }
  void make_current() const override { select(); }
  void release_stream(void* stream) const noexcept override {
    if (stream == nullptr || cudaSetDevice(index_) != cudaSuccess) return;
    static_cast<void>(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
    static_cast<void>(cudaStreamDestroy(static_cast<cudaStream_t>(stream)));
  }
  void synchronize(void* stream) const override {
    select();
    require(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "cudaStreamSynchronize");
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
    start(to, from, bytes, cudaMemcpyDeviceToDevice, stream, "copy");
  }
  void fill(std::byte* memory, std::byte pattern, std::size_t bytes, void* stream) const override {
    select();
    if (bytes == 0) return;
    require(cudaMemsetAsync(memory, std::to_integer<int>(pattern), bytes,
                            static_cast<cudaStream_t>(stream)),
            [&] { return "cudaMemsetAsync of " + std::to_string(bytes) + " bytes"; });
  }

  std::byte* allocate_pinned(std::size_t bytes) const override {
    select();
    void* memory = nullptr;
    const cudaError_t error = cudaHostAlloc(&memory, bytes == 0 ? 1 : bytes, cudaHostAllocDefault);
    return granted(memory, error, "cudaHostAlloc", bytes);
  }
  void release_pinned(std::byte* memory) const noexcept override {
    if (cudaSetDevice(index_) == cudaSuccess) static_cast<void>(cudaFreeHost(memory));
  }
  void start_upload(std::byte* to, const std::byte* from, std::size_t bytes,
                    void* stream) const override {
    start(to, from, bytes, cudaMemcpyHostToDevice, stream, "upload");
  }
  void start_download(std::byte* to, const std::byte* from, std::size_t bytes,
                      void* stream) const override {
    start(to, from, bytes, cudaMemcpyDeviceToHost, stream, "download");
  }

  void* new_event(EventUse use) const override {
    select();
    cudaEvent_t event = nullptr;
    require(cudaEventCreateWithFlags(
                &event, use == EventUse::timing ? cudaEventDefault : cudaEventDisableTiming),
            "cudaEventCreateWithFlags");
    return event;
  }
  void release_event(void* event) const noexcept override {
    if (event == nullptr || cudaSetDevice(index_) != cudaSuccess) return;
    static_cast<void>(cudaEventDestroy(static_cast<cudaEvent_t>(event)));
  }
  void record_event(void* event, void* stream) const override {
    select();
    require(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)),
            "cudaEventRecord");
  }
  bool is_done(void* event) const override {
    select();
    const cudaError_t error = cudaEventQuery(static_cast<cudaEvent_t>(event));
    if (error == cudaErrorNotReady) {
      static_cast<void>(cudaGetLastError());
      return false;
    }
    require(error, "cudaEventQuery");
    return true;
  }
  void wait_for(void* event) const override {
    select();
    require(cudaEventSynchronize(static_cast<cudaEvent_t>(event)), "cudaEventSynchronize");
  }
  void await_in(void* stream, void* event) const override {
    select();
    require(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<cudaEvent_t>(event)),
            "cudaStreamWaitEvent");
  }
  double seconds_between(void* first, void* last) const override {
    select();
    float milliseconds = 0;
    require(cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(first),
                                 static_cast<cudaEvent_t>(last)),
            "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) * 1e-3;
  }

  bool can_record() const override { return true; }
  void begin_recording(void* stream) const override {
    select();
    require(
        cudaStreamBeginCapture(static_cast<cudaStream_t>(stream), cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
  }
  std::shared_ptr<void> end_recording(void* stream) const override {
    cudaGraph_t graph = nullptr;
    require(cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &graph),
            "cudaStreamEndCapture");
    cudaGraphExec_t executable = nullptr;
    const cudaError_t error = cudaGraphInstantiate(&executable, graph, 0);
    static_cast<void>(cudaGraphDestroy(graph));
    if (error == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      return nullptr;
    }
    require(error, "cudaGraphInstantiate");
    return {executable,
            [](cudaGraphExec_t done) { static_cast<void>(cudaGraphExecDestroy(done)); }};
  }
  void replay(void* recording, void* stream) const override {
    select();
    require(
        cudaGraphLaunch(static_cast<cudaGraphExec_t>(recording), static_cast<cudaStream_t>(stream)),
        "cudaGraphLaunch");
  }

 private:
  // The current device belongs to the thread.
  void select() const {
    require(cudaSetDevice(index_), [&] { return "cudaSetDevice " + std::to_string(index_); });
  }

  // The memory that was asked for; null where there is no more.
  static std::byte* granted(void* memory, cudaError_t error, const char* call, std::size_t bytes) {
    if (error == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      return nullptr;
    }
    require(error, [&] { return std::string(call) + " of " + std::to_string(bytes) + " bytes"; });
    return static_cast<std::byte*>(memory);
  }

  // Comes back when the bytes have arrived.
  void move(std::byte* to, const std::byte* from, std::size_t bytes, cudaMemcpyKind kind,
            void* stream, const char* what) const {
    start(to, from, bytes, kind, stream, what);
    if (bytes == 0) return;
    require(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)),
            [&] { return describe_copy(what, bytes); });
  }
  void start(std::byte* to, const std::byte* from, std::size_t bytes, cudaMemcpyKind kind,
             void* stream, const char* what) const {
    select();
    if (bytes == 0) return;
    require(cudaMemcpyAsync(to, from, bytes, kind, static_cast<cudaStream_t>(stream)),
            [&] { return describe_copy(what, bytes); });
  }
  static std::string describe_copy(const char* what, std::size_t bytes) {
    return "cudaMemcpyAsync, " + std::string(what) + " of " + std::to_string(bytes) + " bytes";
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
