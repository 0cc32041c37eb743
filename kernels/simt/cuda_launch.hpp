#pragma once
#include <cuda_runtime.h>

#include <string_view>
#include <tuple>

#include "kernels/launch.hpp"
#include "kernels/simt/shape.hpp"

namespace braid::kernels {
class ProductLibrary;
}

// Launches on a GPU, as emulated.hpp has them.
namespace braid::simt {

// Throws DeviceError with the kernel, its shape and what the driver said.
void launch_on_gpu(const void* kernel, std::string_view name, const LaunchShape& shape,
                   const kernels::Stream& stream, void** arguments, bool cooperative);

template <auto kernel>
constexpr std::string_view kernel_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  const std::size_t start = text.find("kernel = ");
  if (start == std::string_view::npos) return text;
  text.remove_prefix(start + 9);
  return text.substr(0, text.find_first_of(";]"));
}

// The most shared memory that a block can ask for, on the device of this thread.
std::int64_t shared_bytes_of_gpu_block();
static inline std::int64_t shared_bytes_of_block() { return shared_bytes_of_gpu_block(); }

// The most blocks that a cooperative launch can have.
std::int64_t blocks_held_by_gpu(const void* kernel, std::string_view name,
                                const LaunchShape& shape);
template <auto kernel>
std::int64_t blocks_at_once(const LaunchShape& shape) {
  return blocks_held_by_gpu(reinterpret_cast<const void*>(kernel), kernel_name<kernel>(), shape);
}

// Null where the current GPU has none (product_library.hpp).
kernels::ProductLibrary* gpu_product_library();

// Whether the current GPU has matrix units for tf32 and bfloat16.
bool gpu_has_matrix_units();

template <auto kernel, class... Parameters>
void launch_with(void (*)(Parameters...), const LaunchShape& shape, const kernels::Stream& stream,
                 bool cooperative, std::tuple<Parameters...> arguments) {
  std::apply(
      [&](Parameters&... each) {
        void* addresses[] = {&each...};
        launch_on_gpu(reinterpret_cast<const void*>(kernel), kernel_name<kernel>(), shape, stream,
                      addresses, cooperative);
      },
      arguments);
}
template <auto kernel, class... Arguments>
void launch_kernel(const LaunchShape& shape, const kernels::Stream& stream,
                   const Arguments&... arguments) {
  launch_with<kernel>(kernel, shape, stream, false, {arguments...});
}
template <auto kernel, class... Arguments>
void launch_cooperative(const LaunchShape& shape, const kernels::Stream& stream,
                        const Arguments&... arguments) {
  launch_with<kernel>(kernel, shape, stream, true, {arguments...});
}

}  // namespace braid::simt
