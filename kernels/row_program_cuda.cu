// A block copies the arguments of its steps to its shared memory and runs them, all threads
// together; between the steps of a wave no warp waits for another. What steps leave for later ones
// of the block lies in its shared memory where it fits, else in the device's. Blocks count
// themselves when they end, and the last one does the closing steps: what all rows leave is summed
// up without a launch of its own.
#include "kernels/row_program.hpp"

#include <type_traits>

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
static_assert(kThreads == kElementThreads && kThreads == 32 * kWarpsOfRows);
static_assert(sizeof(RowStep) % sizeof(uint4) == 0);

static_assert(std::is_same_v<std::tuple_element_t<0, RowKernels>, DenseForward> &&
              std::is_same_v<std::tuple_element_t<1, RowKernels>, DenseInputGradient> &&
              std::is_same_v<std::tuple_element_t<2, RowKernels>, DenseWeightGradient>);

__device__ __forceinline__ void run_product(const RowStep& step, int kernel, float* memory) {
  DenseProduct product;
  switch (kernel) {
    case 0: product = product_of(step.as<DenseForward>()); break;
    case 1: product = product_of(step.as<DenseInputGradient>()); break;
    default: product = product_of(step.as<DenseWeightGradient>());
  }
  multiply_rows(OneBlock{step.first}, static_cast<RowProduct>(kernel), product, memory);
}

template <std::size_t kKernel>
__device__ __forceinline__ void run_kernel(const RowStep& step) {
  run_rows(OneBlock{step.first}, step.as<std::tuple_element_t<kKernel, RowKernels>>());
}

// Inlined, or each call would keep registers in memory. A few jumps, none for products: a chain of
// comparisons took longer than most steps, there and back.
__device__ __forceinline__ void run_step(const RowStep& step, int kernel, float* memory) {
  static_assert(std::tuple_size_v<RowKernels> == 26);
  constexpr int kProducts = 3;
  if (kernel < kProducts) return run_product(step, kernel, memory);
  switch (kernel) {
    case 3: return run_kernel<3>(step);
    case 4: return run_kernel<4>(step);
    case 5: return run_kernel<5>(step);
    case 6: return run_kernel<6>(step);
    case 7: return run_kernel<7>(step);
    case 8: return run_kernel<8>(step);
    case 9: return run_kernel<9>(step);
    case 10: return run_kernel<10>(step);
    case 11: return run_kernel<11>(step);
    case 12: return run_kernel<12>(step);
    case 13: return run_kernel<13>(step);
    case 14: return run_kernel<14>(step);
    case 15: return run_kernel<15>(step);
    case 16: return run_kernel<16>(step);
    case 17: return run_kernel<17>(step);
    case 18: return run_kernel<18>(step);
    case 19: return run_kernel<19>(step);
    case 20: return run_kernel<20>(step);
    case 21: return run_kernel<21>(step);
    case 22: return run_kernel<22>(step);
    case 23: return run_kernel<23>(step);
    case 24: return run_kernel<24>(step);
    case 25: return run_kernel<25>(step);
  }
}

constexpr int kPieces = static_cast<int>(sizeof(RowStep) / sizeof(uint4));
constexpr std::int64_t kBytesOfDenseRows =
    kFloatsOfDenseRows * static_cast<std::int64_t>(sizeof(float));
// Steps whose arguments are fetched at once, as many as there is room for beside a kilobyte of what
// kernels declare: all those of a small model.
constexpr int kStepsHeld = static_cast<int>((kSharedOfRowProgram - kBytesOfDenseRows - 1024) /
                                            static_cast<std::int64_t>(sizeof(RowStep)));

// The address that two halves of a word of arguments stand for, if it counts from shared memory.
__device__ inline void find_in_shared(unsigned& low, unsigned& high, bool counts,
                                      const float* shared) {
  if (!counts) return;
  const std::uint64_t address = reinterpret_cast<std::uintptr_t>(shared) + low;
  low = static_cast<unsigned>(address);
  high = static_cast<unsigned>(address >> 32U);
}

// The steps of a block, and behind them the closing ones.
struct StepList {
  const RowStep* steps;
  const RowStep* closing;
  int count;
  int all;

  __device__ explicit StepList(const RowProgram& program)
      : steps(program.steps + blockIdx.x * program.steps_of_block),
        closing(program.steps + program.blocks * program.steps_of_block),
        count(static_cast<int>(program.steps_of_block)),
        all(static_cast<int>(program.steps_of_block + program.closing_steps)) {}

  // Copies the next ones from `first` on, as many as are held.
  __device__ void fetch(int first, const float* shared, uint4 (&held)[kStepsHeld * kPieces]) const {
    constexpr int kRounds = (kStepsHeld * kPieces + kThreads - 1) / kThreads;
    const int pieces = (all - first < kStepsHeld ? all - first : kStepsHeld) * kPieces;
    uint4 fetched[kRounds];
    std::uint64_t in_shared[kRounds];
    const auto place = [&](int round) { return static_cast<int>(threadIdx.x) + round * kThreads; };
    // Behind the last piece it is read again: no load waits for a branch.
    SIMT_UNROLL
    for (int round = 0; round < kRounds; ++round) {
      const int i = place(round) < pieces ? place(round) : pieces - 1;
      const int step = first + i / kPieces;
      const RowStep* from = step < count ? steps + step : closing + (step - count);
      fetched[round] = ld_vec<uint4>(reinterpret_cast<const uint4*>(from) + i % kPieces);
      // Of this piece's two words; the first piece is no argument.
      in_shared[round] = i % kPieces == 0 ? 0 : from->in_shared >> (2 * (i % kPieces - 1));
    }
    SIMT_UNROLL
    for (int round = 0; round < kRounds; ++round) {
      uint4& piece = fetched[round];
      find_in_shared(piece.x, piece.y, (in_shared[round] & 1U) != 0, shared);
      find_in_shared(piece.z, piece.w, (in_shared[round] & 2U) != 0, shared);
      if (place(round) < pieces) held[place(round)] = piece;
    }
  }
};

// Whether all other blocks have ended, and what they wrote can be read.
__device__ inline bool ends_last(unsigned* ended, bool& is_last) {
  __syncthreads();  // all steps have been made
  if (threadIdx.x == 0) {
    __threadfence();  // behind the barrier of the last step, so it hands on the whole block's work
    is_last = atomicAdd(ended, 1U) == gridDim.x - 1;
    __threadfence();
    if (is_last) *ended = 0;
  }
  __syncthreads();
  return is_last;
}

// What a warp must know of a step before it takes part or passes by.
struct StepHead {
  int kernel;
  bool waits;
  bool has_work;  // for this warp

  __device__ explicit StepHead(const RowStep& step)
      : kernel(step.kernel),
        waits(step.waits),
        has_work(OneBlock{step.first}.thread() / 32 < step.warps) {}
};

__global__ void __launch_bounds__(kThreads, 1) row_program_kernel(RowProgram program) {
  SIMT_DYN_SHARED(float, memory);
  SIMT_SHARED(uint4, held, [kStepsHeld * kPieces]);
  SIMT_SHARED(bool, is_last, [1]);
  const StepList list(program);
  // One loop for both lists, or the kernel would hold the code of all steps twice.
  SIMT_NO_UNROLL
  for (int i = 0; i < list.all;) {
    if (i == list.count && !ends_last(program.ended, is_last[0])) return;
    if (i % kStepsHeld == 0) {
      if (i > 0) __syncthreads();  // the ones before have been read, and made
      list.fetch(i, memory + kFloatsOfDenseRows, held);
      __syncthreads();  // the steps are there
    }
    const RowStep* step = reinterpret_cast<const RowStep*>(held) + i % kStepsHeld;
    const int stop = min(i < list.count ? list.count : list.all, i - i % kStepsHeld + kStepsHeld);
    StepHead head(*step);
    SIMT_NO_UNROLL
    while (true) {
      ++i;
      // Read before it is needed: most warps pass most steps by.
      const RowStep* const next = i < stop ? step + 1 : step;
      const StepHead next_head(*next);
      if (head.has_work) run_step(*step, head.kernel, memory);
      if (i == stop) break;
      if (next_head.waits) __syncthreads();  // the results of those before are there
      step = next;
      head = next_head;
    }
  }
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const RowProgram& args) {
  if (args.blocks == 0 || args.steps_of_block + args.closing_steps == 0) return;
  launch_kernel<row_program_kernel>(
      {.grid = args.blocks, .block = kThreads, .shared = kBytesOfDenseRows + args.shared_bytes},
      stream, args);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
