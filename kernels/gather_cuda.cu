// A row of blocks fills each column.
#include "kernels/gather.hpp"

#include <algorithm>

#include "kernels/gather_rows.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kThreads = 256;

__global__ void gather_batch_kernel(GatherBatch args) {
  gather_column(args, args.columns[blockIdx.y], stride_of(AllBlocks{}, args));
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const GatherBatch& args) {
  if (args.rows == 0 || args.count == 0) return;
  std::int64_t bytes = 0;  // of the largest column
  for (int i = 0; i < args.count; ++i) {
    const GatheredColumn& column = args.columns[i];
    const auto size = static_cast<std::int64_t>(size_of(column.to));
    bytes = std::max(bytes, args.rows * column.steps * column.width * size);
  }
  launch_kernel<gather_batch_kernel>(
      {.grid = {blocks_for(bytes, kThreads * 4), args.count}, .block = kThreads}, stream, args);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
