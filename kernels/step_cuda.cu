// A warp for each array of values.
#include "kernels/step.hpp"

#include "kernels/simt/facade.hpp"
#include "kernels/step_rows.hpp"

namespace braid::kernels {
namespace {

constexpr int kThreads = 128;

__global__ void end_step_kernel(EndStep args) { run_rows(AllBlocks{}, args); }

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const EndStep& args) {
  launch_kernel<end_step_kernel>({.grid = blocks_for(args.count, kThreads / 32), .block = kThreads},
                                 stream, args);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
