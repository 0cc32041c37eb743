// A thread takes one element.
#include "kernels/dropout.hpp"

#include "kernels/dropout_rows.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

__global__ void dropout_kernel(Dropout args) { run_rows<AllBlocks>(args); }

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const Dropout& args) {
  const std::int64_t count = args.in.rows * args.in.columns;
  if (count > 0) launch_kernel<dropout_kernel>(element_shape(count), stream, args);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
