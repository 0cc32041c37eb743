// A block copies the arguments of a step to its shared memory and runs it, all threads together.
// What steps leave for later ones lies in the device's memory and is read back from its caches.
// Blocks count themselves when they end, and the last one does the closing steps: what all rows
// leave is summed up without a launch of its own.
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

constexpr int kPieces = static_cast<int>(sizeof(RowStep) / sizeof(uint4));

__device__ __forceinline__ void run_steps(const RowStep* steps, std::int64_t count,
                                          uint4 (&copy)[kPieces], float* memory) {
  SIMT_NO_UNROLL
  for (std::int64_t i = 0; i < count; ++i) {
    const auto piece = static_cast<int>(threadIdx.x);
    if (piece < kPieces) copy[piece] = reinterpret_cast<const uint4*>(steps + i)[piece];
    __syncthreads();  // the step is there
    run_step(*reinterpret_cast<const RowStep*>(copy), memory);
    __syncthreads();  // its results are there
  }
}

// Whether all other blocks have ended, and what they wrote can be read.
__device__ inline bool ends_last(unsigned* ended, bool& is_last) {
  if (threadIdx.x == 0) {
    __threadfence();  // behind the barrier of the last step, so it hands on the whole block's work
    is_last = atomicAdd(ended, 1U) == gridDim.x - 1;
    __threadfence();
    if (is_last) *ended = 0;
  }
  __syncthreads();
  return is_last;
}

__global__ void __launch_bounds__(kThreads, 1) row_program_kernel(RowProgram program) {
  SIMT_DYN_SHARED(float, memory);
  SIMT_SHARED(uint4, copy, [kPieces]);
  SIMT_SHARED(bool, is_last, [1]);
  const RowStep* steps = program.steps + blockIdx.x * program.steps_of_block;
  std::int64_t count = program.steps_of_block;
  // One loop for both lists, or the kernel would hold the code of all steps twice.
  for (bool closes = false;; closes = true) {
    run_steps(steps, count, copy, memory);
    if (closes || program.closing_steps == 0 || !ends_last(program.ended, is_last[0])) return;
    steps = program.steps + program.blocks * program.steps_of_block;
    count = program.closing_steps;
  }
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const RowProgram& args) {
  if (args.blocks == 0 || args.steps_of_block + args.closing_steps == 0) return;
  launch_kernel<row_program_kernel>(
      {.grid = args.blocks,
       .block = kThreads,
       .shared = kFloatsOfDenseRows * static_cast<std::int64_t>(sizeof(float))},
      stream, args);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
