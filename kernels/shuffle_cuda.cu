// A thread takes one place of the order, then the one all threads further on. All rounds are read
// by all threads at once, from the arguments of the launch.
#include "kernels/shuffle.hpp"

#include "kernels/shuffle_round.hpp"
#include "kernels/simt/elements.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

template <class Word>
__global__ void shuffle_rows_kernel(ShuffleRows args) {
  const auto rows = static_cast<Word>(args.rows);
  for_elements<1>(1, args.count, [&](std::int64_t, std::int64_t i) {
    auto row = static_cast<Word>(args.first + i);
    for (int round = 0; round < kShuffleRounds; ++round)
      row = after_round(row, args.rounds[round], rows);
    args.order[i] = static_cast<std::int64_t>(row);
  });
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const ShuffleRows& args) {
  if (args.count == 0) return;
  const simt::LaunchShape shape = element_shape(args.count);
  if (fits_32_bits(args)) {
    launch_kernel<shuffle_rows_kernel<std::uint32_t>>(shape, stream, args);
  } else {
    launch_kernel<shuffle_rows_kernel<std::uint64_t>>(shape, stream, args);
  }
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
