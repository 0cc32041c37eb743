// A block copies the arguments of a step to its shared memory and runs it, all threads together.
// What steps leave for later ones lies in the device's memory and is read back from its caches.
#include "kernels/row_program.hpp"

#include "kernels/activation_rows.hpp"
#include "kernels/dense_rows.hpp"
#include "kernels/dropout_rows.hpp"
#include "kernels/elementwise_rows.hpp"
#include "kernels/gather_rows.hpp"
#include "kernels/loss_rows.hpp"
#include "kernels/mask_rows.hpp"
#include "kernels/metric_rows.hpp"
#include "kernels/optimizer_rows.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/softmax_rows.hpp"
#include "kernels/step_rows.hpp"

namespace braid::kernels {
namespace {

constexpr int kThreads = kDenseThreads;
static_assert(kThreads == kElementThreads);
static_assert(sizeof(RowStep) % sizeof(uint4) == 0);

// Tries one kernel after the other; inlined, or each call would keep registers in memory.
template <std::size_t kKernel = 0>
__device__ __forceinline__ void run_step(const RowStep& step, float* memory) {
  if constexpr (kKernel < std::tuple_size_v<RowKernels>) {
    if (step.kernel != static_cast<std::int64_t>(kKernel))
      return run_step<kKernel + 1>(step, memory);
    const auto& args = step.as<std::tuple_element_t<kKernel, RowKernels>>();
    if constexpr (requires { run_rows(args, memory); }) {
      run_rows(args, memory);
    } else {
      run_rows<OneBlock>(args);
    }
  }
}

__global__ void __launch_bounds__(kThreads, 1) row_program_kernel(RowProgram program) {
  SIMT_DYN_SHARED(float, memory);
  constexpr int kPieces = static_cast<int>(sizeof(RowStep) / sizeof(uint4));
  SIMT_SHARED(uint4, copy, [kPieces]);
  const RowStep& step = *reinterpret_cast<const RowStep*>(copy);
  const RowStep* steps = program.steps + blockIdx.x * program.steps_of_block;
  for (std::int64_t i = 0; i < program.steps_of_block; ++i) {
    const auto piece = static_cast<int>(threadIdx.x);
    if (piece < kPieces) copy[piece] = reinterpret_cast<const uint4*>(steps + i)[piece];
    __syncthreads();  // the step is there
    run_step(step, memory);
    __syncthreads();  // its results are there
  }
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const RowProgram& args) {
  if (args.blocks == 0 || args.steps_of_block == 0) return;
  launch_kernel<row_program_kernel>(
      {.grid = args.blocks,
       .block = kThreads,
       .shared = kFloatsOfDenseRows * static_cast<std::int64_t>(sizeof(float))},
      stream, args);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
