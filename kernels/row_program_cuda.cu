// A block copies the arguments of a step to its shared memory and runs it, all threads together.
// What steps leave for later ones lies in the device's memory and is read back from its caches.
#include "kernels/row_program.hpp"

#include "kernels/activation_rows.hpp"
#include "kernels/dense_rows.hpp"
#include "kernels/dropout_rows.hpp"
#include "kernels/elementwise_rows.hpp"
#include "kernels/loss_rows.hpp"
#include "kernels/mask_rows.hpp"
#include "kernels/metric_rows.hpp"
#include "kernels/optimizer_rows.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/softmax_rows.hpp"

namespace braid::kernels {
namespace {

constexpr int kThreads = kDenseThreads;
static_assert(kThreads == kElementThreads);

template <class Arguments>
__device__ inline void run_step(const Arguments& args, float* memory) {
  if constexpr (requires { run_rows(args, memory); }) {
    run_rows(args, memory);
  } else {
    run_rows<OneBlock>(args);
  }
}

__global__ void __launch_bounds__(kThreads) row_program_kernel(RowProgram program) {
  SIMT_DYN_SHARED(float, memory);
  constexpr int kWords = static_cast<int>(sizeof(RowStep) / sizeof(unsigned));
  SIMT_SHARED(RowStep, step, [1]);
  const RowStep* steps = program.steps + blockIdx.x * program.steps_of_block;
  for (std::int64_t i = 0; i < program.steps_of_block; ++i) {
    const auto* from = reinterpret_cast<const unsigned*>(steps + i);
    for (int word = static_cast<int>(threadIdx.x); word < kWords; word += kThreads)
      reinterpret_cast<unsigned*>(step)[word] = from[word];
    __syncthreads();  // the step is there
    with_arguments(step[0], [&](const auto& args) { run_step(args, memory); });
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
