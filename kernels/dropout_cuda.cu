// A thread takes the four elements that share their numbers, at once where they lie aligned.
#include "kernels/dropout.hpp"

#include "kernels/dropout_rows.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

template <int Width>
__global__ void dropout_kernel(Dropout args, std::int64_t first) {
  drop_elements<Width>(AllBlocks{}, args, first);
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const Dropout& given) {
  Dropout args = given;
  const std::int64_t first = args.first_row * args.in.columns;
  const std::int64_t count = args.in.rows * args.in.columns;
  if (count == 0) return;
  flatten(args.in, args.out);
  const LaunchShape shape = element_shape(groups_of_elements(first, count));
  if (first % 4 == 0 && in_fours(args.in, args.out)) {
    launch_kernel<dropout_kernel<4>>(shape, stream, args, first);
  } else {
    launch_kernel<dropout_kernel<1>>(shape, stream, args, first);
  }
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
